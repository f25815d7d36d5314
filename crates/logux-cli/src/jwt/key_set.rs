//! A JSON Web Key Set at a URL: fetched when it is needed, and again when its keys change.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::{Instant, timeout};

use super::keys::{SetKey, read_set};

/// The time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest key set, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// The time after which the set is fetched again, so that removed keys are not trusted any longer.
const MAX_AGE: Duration = Duration::from_mins(10);
/// The shortest time between two requests, also if tokens name keys that the set does not have.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// The URL of a key set.
#[derive(Clone, Debug)]
pub(crate) struct KeySetUrl(Uri);

/// The URL is not one of a key set.
#[derive(Debug, thiserror::Error)]
#[error("expected a URL such as https://example.com/.well-known/jwks.json")]
pub(crate) struct KeySetUrlError;

impl FromStr for KeySetUrl {
    type Err = KeySetUrlError;

    fn from_str(text: &str) -> Result<Self, KeySetUrlError> {
        let url: Uri = text.parse().map_err(|_| KeySetUrlError)?;
        let is_valid = matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
            && !url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if is_valid { Ok(Self(url)) } else { Err(KeySetUrlError) }
    }
}

/// The keys cannot be fetched now.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("the key set cannot be fetched: {0}")]
    Request(String),
    #[error("the key set cannot be fetched: no response within {} s", TIMEOUT.as_secs())]
    TimedOut,
    #[error("the key set cannot be fetched: HTTP status {0}, expected 200")]
    Status(StatusCode),
    #[error("the URL of the key set has another content: {0}")]
    Content(String),
    #[error("the key set was fetched a moment ago, and is not fetched again for {} s", .0.as_secs())]
    TooSoon(Duration),
}

/// A key set. One request is in flight at a time.
pub(super) struct KeySet {
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    cache: Mutex<Cache>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Cache {
    keys: Arc<[SetKey]>,
    fetched_at: Option<Instant>,
    /// The time of the last request and its error.
    last_attempt: Option<(Instant, Option<FetchError>)>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("url", &self.url).finish_non_exhaustive()
    }
}

impl KeySet {
    /// Creates a set that is not fetched yet.
    ///
    /// # Errors
    /// If the system's certificates cannot be read.
    pub(super) fn new(KeySetUrl(url): KeySetUrl) -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            url,
            client: Client::builder(TokioExecutor::new()).build(connector),
            cache: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    fn cache(&self) -> Cache {
        // A poisoned lock is consistent: every change is one assignment.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the keys with this id, or all keys if a token names none. Fetches the set if it is
    /// older than [`MAX_AGE`], or does not have the key.
    ///
    /// # Errors
    /// [`FetchError`] if the keys are not known. If the set cannot be fetched again, its old keys
    /// are still used.
    pub(super) async fn keys(&self, id: Option<&str>) -> Result<Vec<SetKey>, FetchError> {
        let cache = self.cache();
        let is_recent = cache.fetched_at.is_some_and(|at| at.elapsed() < MAX_AGE);
        let found = matching(&cache.keys, id);
        if is_recent && !found.is_empty() {
            return Ok(found);
        }
        match self.fetch(cache.fetched_at).await {
            Ok(keys) => Ok(matching(&keys, id)),
            Err(_) if !found.is_empty() => Ok(found),
            Err(error) => Err(error),
        }
    }

    /// Fetches the set, unless another task has fetched it since `seen`.
    pub(super) async fn fetch(&self, seen: Option<Instant>) -> Result<Arc<[SetKey]>, FetchError> {
        let _permit = self.fetching.lock().await;
        let cache = self.cache();
        if cache.fetched_at != seen {
            return Ok(cache.keys);
        }
        if let Some((at, error)) = cache.last_attempt
            && let Some(wait) = MIN_INTERVAL.checked_sub(at.elapsed())
        {
            return Err(error.unwrap_or(FetchError::TooSoon(wait)));
        }
        let result = timeout(TIMEOUT, self.request()).await.unwrap_or(Err(FetchError::TimedOut));
        let now = Instant::now();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.last_attempt = Some((now, result.as_ref().err().cloned()));
        match result {
            Ok(keys) => {
                tracing::info!(event = "keySet", keys = keys.len(), "Key set was fetched");
                cache.keys = keys;
                cache.fetched_at = Some(now);
                Ok(cache.keys.clone())
            }
            Err(error) => {
                let url = self.url.to_string();
                tracing::error!(event = "keySet", url, error = error.to_string(), "No key set");
                Err(error)
            }
        }
    }

    async fn request(&self) -> Result<Arc<[SetKey]>, FetchError> {
        let failed = |error: &dyn std::error::Error| FetchError::Request(root_cause(error));
        let response = self.client.get(self.url.clone()).await.map_err(|error| failed(&error))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
        let body = body.map_err(|error| failed(&*error))?.to_bytes();
        let keys = read_set(&body).map_err(|error| FetchError::Content(error.to_string()))?;
        if keys.is_empty() {
            let expected = "no key for RS256, ES256 or EdDSA";
            return Err(FetchError::Content(expected.to_owned()));
        }
        Ok(keys.into())
    }
}

fn matching(keys: &[SetKey], id: Option<&str>) -> Vec<SetKey> {
    let matches = |key: &&SetKey| id.is_none() || key.id.as_deref() == id;
    keys.iter().filter(matches).cloned().collect()
}

/// Returns the innermost source of an error, because hyper's own messages are too general.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
