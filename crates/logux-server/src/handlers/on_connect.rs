//! What each client is told when it connects.

use std::{fmt, net::SocketAddr, sync::Arc};

use hyper::HeaderMap;
use logux::{
    Json, NodeId,
    action::Subprotocol,
    server::{AddAction, Recipients},
};

use crate::{
    connection_info::{ConnectionInfo, cookie},
    handlers::{channel::InitialActions, handler::BoxFuture},
    hub::handle::Handle,
    telemetry::event::{Event, Failure},
};

/// A client that was just let in.
pub struct ConnectContext<S = ()> {
    /// Its node.
    pub node: NodeId,
    /// The number of the last action of this server's log that it has got, 0 for none.
    pub since: u64,
    /// The application's protocol version it speaks.
    pub subprotocol: Subprotocol,
    /// What it says about itself: a JSON object.
    pub headers: Option<Json>,
    pub(crate) info: Arc<ConnectionInfo>,
    pub(crate) state: Arc<S>,
    pub(crate) handle: Handle,
}

impl<S> ConnectContext<S> {
    /// Whose client it is.
    pub fn user_id(&self) -> Option<&str> {
        self.node.user_id()
    }

    /// The headers of the HTTP request that opened the connection.
    pub fn http_headers(&self) -> &HeaderMap {
        &self.info.http_headers
    }

    /// A cookie of that request, percent escapes decoded.
    pub fn cookie(&self, name: &str) -> Option<String> {
        cookie(self.http_headers(), name)
    }

    /// Where it connects from; `None` if that is no IP address.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.info.remote
    }

    /// What all handlers share, given to the builder.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The server, for actions of your own.
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

/// Finds what a client is told.
pub(crate) type OnConnect<S> =
    Arc<dyn Fn(ConnectContext<S>) -> BoxFuture<InitialActions> + Send + Sync>;

/// The same with what all clients share left out.
pub(crate) type BoundOnConnect =
    Arc<dyn Fn(JoinedClient) -> BoxFuture<InitialActions> + Send + Sync>;

/// What is known about the client alone.
pub(crate) struct JoinedClient {
    pub(crate) node: NodeId,
    pub(crate) since: u64,
    pub(crate) subprotocol: Subprotocol,
    pub(crate) headers: Option<Json>,
    pub(crate) info: Arc<ConnectionInfo>,
}

/// Gives every greeting what all share.
pub(crate) fn shared<S: Send + Sync + 'static>(
    on_connect: OnConnect<S>,
    state: Arc<S>,
    handle: Handle,
) -> BoundOnConnect {
    Arc::new(move |JoinedClient { node, since, subprotocol, headers, info }| {
        let (state, handle) = (state.clone(), handle.clone());
        on_connect(ConnectContext { node, since, subprotocol, headers, info, state, handle })
    })
}

/// Tells a client that has joined.
pub(crate) async fn greet(greet: BoundOnConnect, arrival: JoinedClient, handle: Handle) {
    let node = arrival.node.clone();
    match greet(arrival).await {
        Ok(InitialActions(actions)) => {
            let to = Recipients { nodes: vec![node.as_str().into()], ..Recipients::default() };
            for (action, draft) in actions {
                handle
                    .enqueue(AddAction {
                        action,
                        draft,
                        to: to.clone(),
                        process: false,
                        ticket: None,
                    })
                    .await;
            }
        }
        Err(error) => {
            let what = Failure::OnConnect { node: &node };
            handle.telemetry().record(&Event::Failed { what, error: &error.in_words() });
        }
    }
}
