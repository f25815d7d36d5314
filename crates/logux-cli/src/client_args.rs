//! The arguments that `tail` and `send` share, and their connection.

use std::{
    io,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::Args;
use logux_client::{Backoff, Client, ServerMessage, ServerMessages};
use logux_net::{Connector, NetError, WebSocketConnector};
use tokio::sync::mpsc;

use crate::{
    client_tls,
    config::flags::{SecretFile, SecretString},
    error::CliError,
};

/// The exit code if the server did not respond, or could not be reached.
pub(crate) const NO_RESPONSE: u8 = 2;

/// The server to connect to, and the credentials.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientArgs {
    /// URL of the server, such as ws://127.0.0.1:31337
    #[arg(value_name = "URL")]
    url: String,
    /// User id to log in with
    #[arg(long, value_name = "ID", default_value = "cli")]
    user: String,
    /// Token to log in with [env: LOGUX_TOKEN]
    ///
    /// Other users of this machine can see it in the list of processes: set LOGUX_TOKEN or
    /// --token-file instead. `logux token` prints one.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<SecretFile>,
    /// Version of the application's protocol
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    subprotocol: u32,
    /// Certificates to trust instead of those of the system: a PEM file
    ///
    /// The certificates of authorities, or the certificate of the server itself.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Allow ws:// to other hosts, without encryption
    ///
    /// Whoever is on the way can read and change what is sent, with the token.
    #[arg(long)]
    insecure: bool,
    /// Keep trying while the server cannot be reached
    ///
    /// Without it, the command ends when it cannot connect, or when the connection is lost.
    #[arg(long)]
    retry: bool,
}

/// A client, and why it cannot continue.
pub(crate) struct ConnectedClient {
    pub(crate) client: Client,
    failures: mpsc::UnboundedReceiver<ConnectError>,
    messages: ServerMessages,
}

/// The server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot connect to {url}: {reason}")]
    Failed { url: String, reason: String },
    #[error("the connection to {0} was lost; use --retry to connect again")]
    Lost(String),
    /// The server refused the client, with the kind of its error.
    #[error("the server refused the connection: {0}")]
    Refused(String),
}

impl ClientArgs {
    /// Starts a client that connects to the server.
    pub(crate) fn connect(self) -> Result<ConnectedClient, CliError> {
        let mut connector = if self.insecure {
            WebSocketConnector::insecure(&self.url)?
        } else {
            WebSocketConnector::new(&self.url).map_err(|error| match error {
                NetError::Insecure(url) => CliError::Insecure(url),
                other => other.into(),
            })?
        };
        if self.ca.is_some() || self.url.starts_with("wss:") {
            let config = client_tls::client_config(self.ca.as_deref())?;
            connector = config.into_iter().fold(connector, WebSocketConnector::tls);
        }
        let mut builder = Client::builder(&self.user)?.subprotocol(self.subprotocol);
        let from_file = self.token_file.map(|SecretFile(SecretString(token))| token);
        let token = self.token.or(from_file).or_else(|| std::env::var("LOGUX_TOKEN").ok());
        if let Some(token) = token {
            builder = builder.token(token);
        }
        if !self.retry {
            // The second attempt only reports that the connection was lost.
            let none = Duration::ZERO;
            builder = builder.backoff(Backoff { min_delay: none, max_delay: none, attempts: None });
        }
        let (sender, failures) = mpsc::unbounded_channel();
        let client = builder.start(ReportingConnector {
            connector,
            url: self.url,
            retry: self.retry,
            was_connected: AtomicBool::new(false),
            last_failure: Mutex::default(),
            failures: sender,
        });
        let messages = client.server_messages();
        Ok(ConnectedClient { client, failures, messages })
    }
}

impl ConnectedClient {
    /// Waits until the client cannot continue, and returns the reason.
    pub(crate) async fn failed(&mut self) -> ConnectError {
        tokio::select! {
            Some(failure) = self.failures.recv() => {
                // The server may have said why it closes the connection.
                self.print_debug_texts().map_or(failure, ConnectError::Refused)
            }
            reason = self.client.ended() => ConnectError::Refused(reason),
        }
    }

    /// Prints the texts that a server in development has sent, such as the reason why an action
    /// failed. They precede the answer to the action. Returns the kind of the error that the server
    /// has sent, if there is one.
    pub(crate) fn print_debug_texts(&mut self) -> Option<String> {
        let mut kind = None;
        while let Some(message) = self.messages.try_next() {
            match message {
                ServerMessage::Debug(text) => {
                    eprintln!("logux: the server says: {}", text.trim_end());
                }
                ServerMessage::Error(error) => kind = Some(error),
                ServerMessage::Fault(text) => eprintln!("logux: the server is wrong: {text}"),
                _ => {}
            }
        }
        kind
    }
}

/// Connects, and reports why it cannot.
struct ReportingConnector {
    connector: WebSocketConnector,
    url: String,
    /// Whether to print failures and to continue, in place of reporting them.
    retry: bool,
    was_connected: AtomicBool,
    last_failure: Mutex<String>,
    failures: mpsc::UnboundedSender<ConnectError>,
}

impl ReportingConnector {
    fn report(&self, failure: ConnectError) {
        if !self.retry {
            let _ = self.failures.send(failure);
            return;
        }
        let text = failure.to_string();
        let mut last = self.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != text {
            eprintln!("logux: {text}; trying again");
            *last = text;
        }
    }
}

impl Connector for ReportingConnector {
    type Transport = <WebSocketConnector as Connector>::Transport;

    async fn connect(&self) -> Result<Self::Transport, NetError> {
        if !self.retry && self.was_connected.load(Ordering::Relaxed) {
            self.report(ConnectError::Lost(self.url.clone()));
            return std::future::pending().await;
        }
        match self.connector.connect().await {
            Ok(transport) => {
                if self.was_connected.swap(true, Ordering::Relaxed) {
                    eprintln!("logux: connected again");
                }
                self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Ok(transport)
            }
            Err(error) => {
                let reason = reason(&error);
                self.report(ConnectError::Failed { url: self.url.clone(), reason });
                if self.retry { Err(error) } else { std::future::pending().await }
            }
        }
    }
}

/// Returns what went wrong, in words for the user.
fn reason(error: &NetError) -> String {
    match error {
        NetError::Io(error) => io_reason(error),
        NetError::Refused(status) => {
            format!("expected a Logux server, but the answer was HTTP status {status}")
        }
        NetError::Handshake(_) => {
            format!("expected a Logux server, but the answer was no WebSocket ({error})")
        }
        error => error.to_string(),
    }
}

fn io_reason(error: &io::Error) -> String {
    use rustls::{CertificateError as Certificate, Error};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(problem)) => match problem {
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                format!("the certificate of the server is for another name ({problem})")
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "the certificate of the server has expired".to_owned()
            }
            // `Other` is mostly a certificate that signs itself.
            Certificate::UnknownIssuer | Certificate::Other(_) => {
                "the certificate of the server is not trusted; set --ca to the file with its \
                 authority, or with the certificate itself"
                    .to_owned()
            }
            problem => format!("the certificate of the server is not valid: {problem}"),
        },
        Some(Error::InvalidMessage(_)) => {
            "the server does not use TLS; use a ws:// URL to connect without".to_owned()
        }
        Some(error) => format!("TLS: {error}"),
        None if error.kind() == io::ErrorKind::ConnectionRefused => {
            "connection refused; is the server running?".to_owned()
        }
        None => error.to_string(),
    }
}
