//! What the page of the inspector asks over HTTP.

use std::{collections::BTreeSet, net::SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Response, Uri,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use serde::Serialize;

use crate::{
    http::inspector_access::InspectorAccess,
    hub::handle::Handle,
    telemetry::{
        inspector::{Inspector, InspectorUpdate, clients::ClientView},
        metrics,
    },
};

/// Nothing from elsewhere, nothing within the page but its own files.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// Everything the page shows, from now on or since it asked last.
#[derive(Serialize)]
struct InspectorResponse {
    version: &'static str,
    #[serde(flatten)]
    news: InspectorUpdate,
    /// How many clients there are; not all of them may be listed.
    connected: usize,
    clients: Vec<ShownClient>,
}

#[derive(Serialize)]
struct ShownClient {
    node: String,
    subprotocol: String,
    /// When it connected, ms since the epoch.
    since: Option<u64>,
    remote: Option<SocketAddr>,
    channels: BTreeSet<String>,
    /// How many of its actions wait for earlier ones.
    waiting: usize,
    /// How many messages wait to be read by it, and about how many bytes.
    unread: usize,
    unread_bytes: usize,
}

/// Answers a request if it is one for the inspector, and who asks may see it.
pub(crate) async fn respond(
    handle: &Handle,
    audience: &InspectorAccess,
    remote: Option<SocketAddr>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<Response<Full<Bytes>>> {
    let inspector = handle.telemetry().inspector()?;
    if method != Method::GET || !audience.admits(remote.map(|remote| remote.ip()), headers) {
        return None;
    }
    Some(match uri.path() {
        "/" => {
            answer("text/html; charset=utf-8", Bytes::from_static(include_bytes!("inspector.html")))
        }
        "/inspector.css" => {
            answer("text/css; charset=utf-8", Bytes::from_static(include_bytes!("inspector.css")))
        }
        "/inspector.js" => answer(
            "text/javascript; charset=utf-8",
            Bytes::from_static(include_bytes!("inspector.js")),
        ),
        "/inspector.json" => {
            let after = uri
                .query()
                .and_then(|query| query.strip_prefix("after=")?.parse().ok())
                .unwrap_or(0);
            answer("application/json", look(handle, inspector, after).await.into())
        }
        "/metrics" => answer(metrics::CONTENT_TYPE, handle.metrics().await?.into()),
        _ => return None,
    })
}

async fn look(handle: &Handle, inspector: &Inspector, after: u64) -> Vec<u8> {
    let view = handle.clients().await.unwrap_or_default();
    let clients = view.clients.iter().map(|client| shown(client, inspector)).collect();
    let news = inspector.news(after);
    let answer = InspectorResponse {
        version: env!("CARGO_PKG_VERSION"),
        news,
        connected: view.connected,
        clients,
    };
    // Texts and numbers can always be written.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn shown(client: &ClientView, inspector: &Inspector) -> ShownClient {
    let connection = inspector.connection(client.session);
    ShownClient {
        node: client.node.as_str().to_owned(),
        subprotocol: client.subprotocol.to_string(),
        since: connection.map(|connection| connection.since),
        remote: connection.and_then(|connection| connection.remote),
        channels: client.channels.iter().map(ToString::to_string).collect(),
        waiting: client.waiting,
        unread: client.unread.0,
        unread_bytes: client.unread.1,
    }
}

fn answer(kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
