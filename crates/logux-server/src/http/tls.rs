//! TLS certificates from files or strings, and their renewal while the server runs.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::{
    error::BuildError,
    telemetry::{
        Telemetry,
        event::{Event, Failure},
    },
};

/// A certificate chain and its private key.
///
/// ```
/// use logux_server::{Server, Tls};
///
/// let server = Server::builder().config(|config| config.tls = Some(Tls::new("cert.pem", "key.pem")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    cert: Pem,
    key: Pem,
}

/// PEM data: a file or the content itself. A string that contains `-----BEGIN` is converted to
/// content, any other string to a path.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pem {
    /// The path of a file.
    File(PathBuf),
    /// The content. Hidden in `Debug`, because it may be a key.
    Text(Arc<str>),
}

impl Tls {
    /// Creates it from a certificate chain, with the server's own certificate first, and its key
    /// (PKCS #8, PKCS #1 or SEC 1).
    pub fn new(cert: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        Self { cert: cert.into(), key: key.into() }
    }

    fn read(&self) -> Result<Contents, BuildError> {
        Ok(Contents { cert: self.cert.read()?, key: self.key.read()? })
    }

    fn has_files(&self) -> bool {
        matches!((&self.cert, &self.key), (Pem::File(_), _) | (_, Pem::File(_)))
    }

    fn configure(&self, contents: &Contents) -> Result<Arc<ServerConfig>, BuildError> {
        let chain = CertificateDer::pem_slice_iter(&contents.cert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.cert.unusable(error.to_string()))?;
        if chain.is_empty() {
            return Err(self.cert.unusable("no certificate in PEM format".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| self.key.unusable(error.to_string()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.cert.unusable(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| self.key.unusable(error.to_string()))?;
        Ok(Arc::new(config))
    }
}

impl Pem {
    fn read(&self) -> Result<Vec<u8>, BuildError> {
        match self {
            Self::File(path) => fs::read(path).map_err(|error| self.unusable(error.to_string())),
            Self::Text(text) => Ok(text.as_bytes().to_vec()),
        }
    }

    fn unusable(&self, why: String) -> BuildError {
        BuildError::Tls { what: self.to_string(), why }
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Text(_) => f.write_str("PEM text"),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&str> for Pem {
    fn from(text: &str) -> Self {
        if text.contains("-----BEGIN") { Self::Text(text.into()) } else { Self::File(text.into()) }
    }
}

impl From<String> for Pem {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&Path> for Pem {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<PathBuf> for Pem {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// The bytes of certificate and key, to detect changes.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// The current certificate, for new connections. Open connections keep the one that they started
/// with.
#[derive(Clone)]
pub(crate) struct Certificate(watch::Receiver<Arc<ServerConfig>>);

impl Certificate {
    /// Reads and checks a certificate and its key.
    pub(crate) fn read(tls: Tls) -> Result<ValidCertificate, BuildError> {
        let contents = tls.read()?;
        Ok(ValidCertificate { config: tls.configure(&contents)?, contents, tls })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.borrow().clone())
    }
}

/// A certificate and key that have been checked.
pub(crate) struct ValidCertificate {
    tls: Tls,
    contents: Contents,
    config: Arc<ServerConfig>,
}

impl ValidCertificate {
    /// Starts a task that checks the files for changes at this interval. Must be called within a
    /// runtime.
    pub(crate) fn watch_files(self, interval: Duration, telemetry: Telemetry) -> Certificate {
        let (current, certificate) = watch::channel(self.config);
        if self.tls.has_files() {
            tokio::spawn(reload(self.tls.into(), self.contents, current, interval, telemetry));
        }
        Certificate(certificate)
    }
}

/// Reloads changed certificates. Compares the content of the files, because their times and names
/// are not reliable: certificates are replaced by writing, by renaming, and by changing links.
async fn reload(
    tls: Arc<Tls>,
    mut last_contents: Contents,
    current: watch::Sender<Arc<ServerConfig>>,
    interval: Duration,
    telemetry: Telemetry,
) {
    let mut error_reported = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = current.closed() => return,
        }
        let reading = tls.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || reading.read()).await else { continue };
        let new_config = match read {
            Ok(contents) if contents == last_contents => continue,
            Ok(contents) => {
                // Stored even if it is invalid: the error is reported once, until the content
                // changes again.
                last_contents = contents;
                error_reported = false;
                tls.configure(&last_contents)
            }
            Err(error) => Err(error),
        };
        match new_config {
            Ok(config) => {
                current.send_replace(config);
                telemetry.record(&Event::CertificateRenewed { cert: &tls.cert });
            }
            Err(error) if !error_reported => {
                error_reported = true;
                telemetry.record(&Event::Failed { what: Failure::Certificate, error: &error });
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_distinguished_from_a_path_and_a_key_is_hidden_in_debug() {
        assert_eq!(Pem::from("certs/key.pem"), Pem::File("certs/key.pem".into()));
        let key = Pem::from("-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----\n");
        assert!(matches!(key, Pem::Text(_)));
        assert_eq!(
            format!("{:?}", Tls::new("cert.pem", key)),
            "Tls { cert: cert.pem, key: PEM text }"
        );
    }
}
