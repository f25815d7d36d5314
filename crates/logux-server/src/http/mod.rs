//! HTTP: listening sockets, TLS, the upgrade to WebSocket, and the HTTP endpoints.
//!
//! Read [`service`] (the public entry for accepted connections), then [`connection`] (one HTTP
//! connection: limits, the upgrade to WebSocket, the choice of an endpoint). [`listener`] accepts
//! connections, over [`tls`] and on [`unix`] sockets; [`connection_limit`] bounds their number,
//! [`trusted_proxies`] finds the client's address, and [`origins`] has the web pages that may
//! connect. The endpoints are [`routes`] (the application's
//! own), [`control_access`] (who may send control requests) with its [`secret_throttle`],
//! [`control_endpoint`] (actions from the back end), [`inspector_endpoint`] with its
//! [`inspector_access`] and [`inspected_documents`], and [`metrics_endpoint`].

pub(crate) mod connection;
pub(crate) mod connection_limit;
pub(crate) mod control_access;
pub(crate) mod control_endpoint;
pub(crate) mod inspected_documents;
pub(crate) mod inspector_access;
mod inspector_endpoint;
pub(crate) mod listener;
pub(crate) mod metrics_endpoint;
pub(crate) mod origins;
mod response;
pub(crate) mod routes;
pub(crate) mod secret_throttle;
pub(crate) mod service;
pub(crate) mod tls;
pub(crate) mod trusted_proxies;
#[cfg(unix)]
mod unix;
