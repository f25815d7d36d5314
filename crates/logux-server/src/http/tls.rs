//! Certificates, from files or texts, and new ones for old while the server runs.

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

/// A certificate chain and its key.
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

/// PEM: the path of a file, or the text itself. A text with `-----BEGIN` in it is taken for PEM, any other for a path.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pem {
    /// In a file.
    File(PathBuf),
    /// As it is. Left out of `Debug`, since it may be a key.
    Text(Arc<str>),
}

impl Tls {
    /// A certificate chain, the server's own certificate first, and its key (PKCS #8, PKCS #1 or SEC 1).
    pub fn new(cert: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        Self { cert: cert.into(), key: key.into() }
    }

    fn read(&self) -> Result<Contents, BuildError> {
        Ok(Contents { cert: self.cert.read()?, key: self.key.read()? })
    }

    fn are_files(&self) -> bool {
        matches!((&self.cert, &self.key), (Pem::File(_), _) | (_, Pem::File(_)))
    }

    fn configure(&self, contents: &Contents) -> Result<Arc<ServerConfig>, BuildError> {
        let chain = CertificateDer::pem_slice_iter(&contents.cert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.cert.unusable(error.to_string()))?;
        if chain.is_empty() {
            return Err(self.cert.unusable("it has no certificate in PEM".into()));
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

/// What was read, to see whether it has changed.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate for new connections. Those that are open keep the one they began with.
#[derive(Clone)]
pub(crate) struct Certificate(watch::Receiver<Arc<ServerConfig>>);

impl Certificate {
    /// Reads a certificate and its key.
    pub(crate) fn read(tls: Tls) -> Result<Read, BuildError> {
        let contents = tls.read()?;
        Ok(Read { config: tls.configure(&contents)?, contents, tls })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.borrow().clone())
    }
}

/// A certificate that was found good.
pub(crate) struct Read {
    tls: Tls,
    contents: Contents,
    config: Arc<ServerConfig>,
}

impl Read {
    /// Begins to look every so often whether its files have another. Has to be called within a runtime.
    pub(crate) fn keep_fresh(self, every: Duration, telemetry: Telemetry) -> Certificate {
        let (current, certificate) = watch::channel(self.config);
        if self.tls.are_files() {
            tokio::spawn(renew(self.tls.into(), self.contents, current, every, telemetry));
        }
        Certificate(certificate)
    }
}

/// Compares what the files hold, since times and names of files say less: certificates are replaced by writing, by renaming, and
/// by links that point elsewhere.
async fn renew(
    tls: Arc<Tls>,
    mut known: Contents,
    current: watch::Sender<Arc<ServerConfig>>,
    every: Duration,
    telemetry: Telemetry,
) {
    let mut complained = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = current.closed() => return,
        }
        let reading = tls.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || reading.read()).await else { continue };
        let renewed = match read {
            Ok(contents) if contents == known => continue,
            Ok(contents) => {
                // Remembered also when it is broken: it is said once, and looked at again when it is another.
                known = contents;
                complained = false;
                tls.configure(&known)
            }
            Err(error) => Err(error),
        };
        match renewed {
            Ok(config) => {
                current.send_replace(config);
                telemetry.record(&Event::CertificateRenewed { cert: &tls.cert });
            }
            Err(error) if !complained => {
                complained = true;
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
    fn pem_is_told_from_a_path_and_a_key_is_not_shown() {
        assert_eq!(Pem::from("certs/key.pem"), Pem::File("certs/key.pem".into()));
        let key = Pem::from("-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----\n");
        assert!(matches!(key, Pem::Text(_)));
        assert_eq!(
            format!("{:?}", Tls::new("cert.pem", key)),
            "Tls { cert: cert.pem, key: PEM text }"
        );
    }
}
