//! The actions that a client receives when it connects.

use std::{fmt, net::SocketAddr, sync::Arc};

use hyper::HeaderMap;
use logux::{Json, NodeId, action::Subprotocol, server::SessionId};

use crate::{
    connection_info::{ConnectionInfo, cookie},
    handlers::{channel::InitialActions, handler::BoxFuture},
    hub::{handle::Handle, reader::Reader},
    telemetry::event::{Event, Failure},
};

/// The argument of [`Builder::send_on_connect`](crate::Builder::send_on_connect): a client that was
/// just accepted.
pub struct ConnectContext<S = ()> {
    /// The client's node.
    pub node: NodeId,
    /// The added number of the last action that the client has received from this server's log; 0
    /// if none.
    pub since: u64,
    /// The version of the application's own protocol that the client uses.
    pub subprotocol: Subprotocol,
    /// The client's headers, a JSON object.
    pub headers: Option<Json>,
    pub(crate) info: Arc<ConnectionInfo>,
    pub(crate) state: Arc<S>,
    pub(crate) handle: Handle,
}

impl<S> ConnectContext<S> {
    /// Returns the client's user. `None` if the node id has no user.
    pub fn user_id(&self) -> Option<&str> {
        self.node.user_id()
    }

    /// Returns the headers of the HTTP request that opened the connection.
    pub fn http_headers(&self) -> &HeaderMap {
        &self.info.http_headers
    }

    /// Returns a cookie of that request, percent-decoded.
    pub fn cookie(&self, name: &str) -> Option<String> {
        cookie(self.http_headers(), name)
    }

    /// Returns the client's address. `None` if it does not connect by IP.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.info.remote
    }

    /// Returns the state that all handlers share, from
    /// [`Server::builder_with`](crate::Server::builder_with).
    pub fn state(&self) -> &S {
        &self.state
    }

    /// Returns the server, to add actions of the application's own.
    pub fn server(&self) -> &Handle {
        &self.handle
    }
}

impl<S> fmt::Debug for ConnectContext<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectContext")
            .field("node", &self.node)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// The handler: returns the actions for a client that connects.
pub(crate) type OnConnect<S> =
    Arc<dyn Fn(ConnectContext<S>) -> BoxFuture<InitialActions> + Send + Sync>;

/// The handler with the state and the server already applied.
pub(crate) type BoundOnConnect =
    Arc<dyn Fn(JoinedClient) -> BoxFuture<InitialActions> + Send + Sync>;

/// The part of a [`ConnectContext`] that differs from client to client.
pub(crate) struct JoinedClient {
    pub(crate) session: SessionId,
    pub(crate) node: NodeId,
    pub(crate) since: u64,
    pub(crate) subprotocol: Subprotocol,
    pub(crate) headers: Option<Json>,
    pub(crate) info: Arc<ConnectionInfo>,
}

/// Applies the state and the server to a handler.
pub(crate) fn bind<S: Send + Sync + 'static>(
    on_connect: OnConnect<S>,
    state: Arc<S>,
    handle: Handle,
) -> BoundOnConnect {
    Arc::new(move |JoinedClient { session: _, node, since, subprotocol, headers, info }| {
        let (state, handle) = (state.clone(), handle.clone());
        on_connect(ConnectContext { node, since, subprotocol, headers, info, state, handle })
    })
}

/// Calls the handler for a client that has joined, and sends its actions at its pace.
pub(crate) async fn send_initial_actions(
    on_connect: BoundOnConnect,
    client: JoinedClient,
    reader: Reader,
    handle: Handle,
) {
    let (node, session) = (client.node.clone(), client.session);
    match on_connect(client).await {
        Ok(actions) => {
            for InitialActions(page) in actions.into_pages() {
                if reader.room().await.is_err() || !handle.send_to_session(session, page).await {
                    return;
                }
            }
        }
        Err(error) => {
            let what = Failure::OnConnect { node: &node };
            handle.telemetry().record(&Event::Failed { what, error: &error.message() });
        }
    }
}
