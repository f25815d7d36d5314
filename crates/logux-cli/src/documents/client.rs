//! The HTTP client of `logux documents`.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    client_tls::{self, CaError},
    config::flags::{SecretFile, SecretString},
};

/// What is not written as it is in a path or a query: all but the unreserved characters (RFC 3986,
/// section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request to the documents of a server has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentsError {
    #[error("expected the URL of a server, such as http://127.0.0.1:31337, not `{0}`")]
    Url(String),
    #[error("the secret has characters that a header cannot have")]
    Secret,
    #[error("{0} is not encrypted, and the secret would be seen: use https://, or --insecure")]
    Insecure(String),
    #[error("cannot reach {url}: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{message} ({reason})")]
    Refused { reason: String, message: String },
    #[error(
        "{url} has no documents over HTTP (status {status}): start `logux serve` with --document, \
         and with --control-secret-file or --dev"
    )]
    NotServed { url: String, status: StatusCode },
    #[error("{0}")]
    Arguments(&'static str),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Which server, and how to authenticate.
#[derive(Args, Clone, Debug)]
pub(super) struct ServerArgs {
    /// URL of the server
    #[arg(long, value_name = "URL", global = true, default_value = "http://127.0.0.1:31337")]
    server: String,
    /// File with the control secret of the server [env: LOGUX_CONTROL_SECRET]
    ///
    /// The secret of `logux serve --control-secret-file`. A server with --dev needs none.
    #[arg(long, value_name = "FILE", global = true)]
    secret_file: Option<SecretFile>,
    /// Certificates to trust instead of those of the system: a PEM file
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// Allow http:// to other hosts, without encryption
    #[arg(long, global = true)]
    insecure: bool,
    /// Seconds to wait for a response
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 60)]
    wait: u64,
}

/// The documents of a server.
pub(super) struct DocumentsClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    secret: Option<HeaderValue>,
    wait: Duration,
}

/// Returns a part of a path or a query with its special characters escaped.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Returns whether a host is this machine.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl DocumentsClient {
    pub(super) fn new(args: ServerArgs) -> Result<Self, DocumentsError> {
        let url = args.server.trim_end_matches('/').to_owned();
        let parsed: Option<Uri> = url.parse().ok();
        let valid = parsed.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?)));
        let Some((scheme @ ("http" | "https"), host)) = valid else {
            return Err(DocumentsError::Url(args.server));
        };
        let from_file = args.secret_file.map(|SecretFile(SecretString(secret))| secret);
        let secret = from_file.or_else(|| std::env::var("LOGUX_CONTROL_SECRET").ok());
        let secret = secret.filter(|secret| !secret.is_empty());
        if scheme == "http" && secret.is_some() && !args.insecure && !is_this_machine(host) {
            return Err(DocumentsError::Insecure(url));
        }
        let secret = secret.map(|secret| {
            let mut value = HeaderValue::from_str(&format!("Bearer {secret}"))?;
            value.set_sensitive(true);
            Ok::<_, hyper::header::InvalidHeaderValue>(value)
        });
        let secret = secret.transpose().map_err(|_| DocumentsError::Secret)?;
        let builder = HttpsConnectorBuilder::new();
        let config = if scheme == "https" || args.ca.is_some() {
            client_tls::client_config(args.ca.as_deref())?
        } else {
            None
        };
        let builder = match config {
            Some(config) => builder.with_tls_config((*config).clone()),
            None => builder.with_native_roots()?,
        };
        let client = Client::builder(TokioExecutor::new())
            .build(builder.https_or_http().enable_http1().build());
        Ok(Self { client, url, secret, wait: Duration::from_secs(args.wait) })
    }

    /// Sends a request to a path below `/documents`. Returns the JSON of the response.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Value, DocumentsError> {
        let url = format!("{}/documents{path}", self.url);
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(secret) = &self.secret {
            request = request.header(AUTHORIZATION, secret);
        }
        let request = request
            .body(Full::new(body.unwrap_or_default().into()))
            .map_err(|_| DocumentsError::Url(url))?;
        let unreachable =
            |reason: String| DocumentsError::Unreachable { url: self.url.clone(), reason };
        let response = async {
            let response = self.client.request(request).await.map_err(|error| root(&error))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| root(&error))?;
            Ok::<_, String>((status, body.to_bytes()))
        };
        let (status, body) = timeout(self.wait, response)
            .await
            .map_err(|_| unreachable(format!("no response within {} s", self.wait.as_secs())))?
            .map_err(unreachable)?;
        let value: Option<Value> = serde_json::from_slice(&body).ok();
        match value {
            Some(value) if status.is_success() => Ok(value),
            Some(value) if value["error"].is_string() => {
                let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
                Err(DocumentsError::Refused { reason: text("error"), message: text("message") })
            }
            _ => Err(DocumentsError::NotServed { url: self.url.clone(), status }),
        }
    }
}

/// Returns the text of the first cause of an error.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map_or_else(String::new, ToString::to_string)
}
