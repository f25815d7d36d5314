//! What each client is told when it connects.

use std::{fmt, net::SocketAddr, sync::Arc};

use hyper::HeaderMap;
use logux::{
    Json, NodeId,
    action::Subprotocol,
    server::{Addition, Recipients},
};

use crate::{
    connection_info::{Origin, cookie},
    handlers::{channel::Loaded, handler::Running},
    hub::handle::Handle,
    telemetry::event::{Event, Failure},
};

/// A client that was just let in.
pub struct Connected<S = ()> {
    /// Its node.
    pub node: NodeId,
    /// The number of the last action of this server's log that it has got, 0 for none.
    pub since: u64,
    /// The application's protocol version it speaks.
    pub subprotocol: Subprotocol,
    /// What it says about itself: a JSON object.
    pub headers: Option<Json>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) state: Arc<S>,
    pub(crate) handle: Handle,
}

impl<S> Connected<S> {
    /// Whose client it is.
    pub fn user_id(&self) -> Option<&str> {
        self.node.user_id()
    }

    /// The headers of the HTTP request that opened the connection.
    pub fn http_headers(&self) -> &HeaderMap {
        &self.origin.http_headers
    }

    /// A cookie of that request, percent escapes decoded.
    pub fn cookie(&self, name: &str) -> Option<String> {
        cookie(self.http_headers(), name)
    }

    /// Where it connects from; `None` if that is no IP address.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.origin.remote
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

impl<S> fmt::Debug for Connected<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("node", &self.node)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// Finds what a client is told.
pub(crate) type Greeting<S> = Arc<dyn Fn(Connected<S>) -> Running<Loaded> + Send + Sync>;

/// The same with what all clients share left out.
pub(crate) type Greet = Arc<dyn Fn(Arrival) -> Running<Loaded> + Send + Sync>;

/// What is known about the client alone.
pub(crate) struct Arrival {
    pub(crate) node: NodeId,
    pub(crate) since: u64,
    pub(crate) subprotocol: Subprotocol,
    pub(crate) headers: Option<Json>,
    pub(crate) origin: Arc<Origin>,
}

/// Gives every greeting what all share.
pub(crate) fn shared<S: Send + Sync + 'static>(
    greeting: Greeting<S>,
    state: Arc<S>,
    handle: Handle,
) -> Greet {
    Arc::new(move |Arrival { node, since, subprotocol, headers, origin }| {
        let (state, handle) = (state.clone(), handle.clone());
        greeting(Connected { node, since, subprotocol, headers, origin, state, handle })
    })
}

/// Tells a client that has joined.
pub(crate) async fn greet(greet: Greet, arrival: Arrival, handle: Handle) {
    let node = arrival.node.clone();
    match greet(arrival).await {
        Ok(Loaded(actions)) => {
            let to = Recipients { nodes: vec![node.as_str().into()], ..Recipients::default() };
            for (action, draft) in actions {
                handle
                    .post(Addition { action, draft, to: to.clone(), process: false, ticket: None })
                    .await;
            }
        }
        Err(error) => {
            let what = Failure::Greeting { node: &node };
            handle.watch().note(&Event::Failed { what, error: &error.in_words() });
        }
    }
}
