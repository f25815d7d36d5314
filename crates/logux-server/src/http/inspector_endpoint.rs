//! The HTTP endpoint of the inspector: its page and the JSON that the page polls.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Response, StatusCode, Uri,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use serde::Serialize;

use crate::{
    http::{inspected_documents::InspectedDocuments, inspector_access::InspectorAccess},
    hub::handle::Handle,
    telemetry::{
        inspector::{Inspector, InspectorUpdate, clients::ClientView},
        metrics,
    },
};

/// Allows only the page's own files: nothing from other origins, no inline scripts.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// The body of `/inspector.json`: all that has changed after a change number.
#[derive(Serialize)]
struct InspectorResponse {
    version: &'static str,
    #[serde(flatten)]
    update: InspectorUpdate,
    /// The number of connected clients; `clients` may list fewer.
    connected: usize,
    clients: Vec<ClientJson>,
    /// The number of nodes that show themselves, by channel.
    present: BTreeMap<Arc<str>, usize>,
}

#[derive(Serialize)]
struct ClientJson {
    node: String,
    subprotocol: String,
    /// The time of the connection, in milliseconds since the epoch.
    since: Option<u64>,
    remote: Option<SocketAddr>,
    channels: BTreeSet<String>,
    /// The number of its actions that wait for earlier ones.
    waiting: usize,
    /// The number of messages in its outbox, and their approximate size in bytes.
    unread: usize,
    unread_bytes: usize,
}

/// Responds to a request for the inspector, if its sender has access.
pub(crate) async fn respond(
    handle: &Handle,
    access: &InspectorAccess,
    remote: Option<SocketAddr>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<Response<Full<Bytes>>> {
    let inspector = handle.telemetry().inspector()?;
    if ![Method::GET, Method::HEAD].contains(method)
        || !access.allows(remote.map(|remote| remote.ip()), headers)
    {
        return None;
    }
    Some(match uri.path() {
        "/" => response(
            "text/html; charset=utf-8",
            Bytes::from_static(include_bytes!("inspector.html")),
        ),
        "/inspector.css" => {
            response("text/css; charset=utf-8", Bytes::from_static(include_bytes!("inspector.css")))
        }
        "/inspector.js" => response(
            "text/javascript; charset=utf-8",
            Bytes::from_static(include_bytes!("inspector.js")),
        ),
        "/inspector.json" => {
            let after = uri
                .query()
                .and_then(|query| query.strip_prefix("after=")?.parse().ok())
                .unwrap_or(0);
            response("application/json", changes_json(handle, inspector, after).await.into())
        }
        "/inspector-documents.js" => response(
            "text/javascript; charset=utf-8",
            Bytes::from_static(include_bytes!("inspector_documents.js")),
        ),
        "/inspector/documents.json" => {
            documents_json(handle, uri.query().unwrap_or_default()).await
        }
        "/metrics" => response(metrics::CONTENT_TYPE, handle.metrics().await?.into()),
        _ => return None,
    })
}

async fn changes_json(handle: &Handle, inspector: &Inspector, after: u64) -> Vec<u8> {
    let list = handle.clients().await.unwrap_or_default();
    let clients = list.clients.iter().map(|client| client_json(client, inspector)).collect();
    let update = inspector.changes_after(after);
    let body = InspectorResponse {
        version: env!("CARGO_PKG_VERSION"),
        update,
        connected: list.connected,
        clients,
        present: list.present,
    };
    // Strings and numbers always serialize.
    serde_json::to_vec(&body).unwrap_or_default()
}

async fn documents_json(handle: &Handle, query: &str) -> Response<Full<Bytes>> {
    let (status, value) = match handle.extensions().get::<InspectedDocuments>() {
        Some(InspectedDocuments(answer)) => answer(handle.clone(), query.to_owned()).await,
        None => (StatusCode::OK, serde_json::json!({"kinds": []})),
    };
    let mut response = response("application/json", value.to_string().into());
    *response.status_mut() = status;
    response
}

fn client_json(client: &ClientView, inspector: &Inspector) -> ClientJson {
    let connection = inspector.connection(client.session);
    ClientJson {
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

fn response(content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
