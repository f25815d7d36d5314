//! The certificates that `tail` and `send` trust: those of the system, or those of a file.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem, pem::PemObject as _},
    server::ParsedCertificate,
};

/// The file of `--ca` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaError {
    #[error("--ca {}: {error}", path.display())]
    Read { path: PathBuf, error: pem::Error },
    #[error("--ca {}: expected certificates in PEM format", .0.display())]
    Empty(PathBuf),
    #[error("--ca {}: {error}", path.display())]
    Verifier { path: PathBuf, error: rustls::client::VerifierBuilderError },
    #[error(transparent)]
    Tls(#[from] Error),
}

/// Returns a configuration that trusts the certificates in the file, or those of the system. `None`
/// if the system has none: then the authorities that are compiled in are trusted.
pub(crate) fn client_config(ca: Option<&Path>) -> Result<Option<Arc<ClientConfig>>, CaError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let config = match ca {
        Some(path) => {
            let verifier = FileVerifier::read(path, provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        None => {
            let mut roots = RootCertStore::empty();
            // Certificates of the system that cannot be parsed are not trusted.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Ok(None);
            }
            builder.with_root_certificates(roots)
        }
    };
    Ok(Some(Arc::new(config.with_no_client_auth())))
}

/// Trusts the certificates of a file, as authorities and as certificates of servers.
///
/// A certificate for development that signs itself is mostly marked as an authority, and such a
/// certificate is not accepted for a server by webpki. It is here, if it is in the file.
struct FileVerifier {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl FileVerifier {
    fn read(path: &Path, provider: Arc<CryptoProvider>) -> Result<Self, CaError> {
        let read = |error| CaError::Read { path: path.to_owned(), error };
        let certificates: Vec<_> =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(read)?;
        if certificates.is_empty() {
            return Err(CaError::Empty(path.to_owned()));
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone())?;
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| CaError::Verifier { path: path.to_owned(), error })?;
        Ok(Self { certificates, authorities })
    }
}

impl fmt::Debug for FileVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileVerifier").field("certificates", &self.certificates.len()).finish()
    }
}

impl ServerCertVerifier for FileVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // `Other` has the error that an authority is used as the certificate of a server.
            // webpki checks the validity period before.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.certificates.iter().any(|trusted| trusted == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
