//! One connection of a [`FakeServer`](super::FakeServer).

use std::sync::Arc;

use logux::{
    Entry, NodeId,
    sync::{Config, Input, Node, Output},
};
use logux_net::{
    CloseReason, Frame, PairTransport,
    drive::{DeadlineTimer, Event, FrameConnection},
};
use tokio::sync::mpsc;

use crate::testing::state::{Joined, ServerState};

/// The server's end of a connection.
struct Endpoint {
    server: Arc<ServerState>,
    node: Node,
    frames: FrameConnection<PairTransport>,
    client: Option<ConnectedClient>,
}

struct ConnectedClient {
    node: NodeId,
    connection: u64,
    outgoing: mpsc::UnboundedReceiver<Entry>,
}

/// Serves a connection until it ends or another one of the client replaces it.
pub(super) async fn serve(server: Arc<ServerState>, transport: PairTransport) {
    let node = Node::new(Config::server(server.node.clone()).into(), ());
    let frames = FrameConnection::new(transport);
    let mut endpoint = Endpoint { server, node, frames, client: None };
    endpoint.run().await;
    if let Some(ConnectedClient { node, connection, .. }) = &endpoint.client {
        endpoint.server.leave(node, *connection);
    }
    endpoint.frames.close(CloseReason::Done).await;
}

impl Endpoint {
    async fn run(&mut self) {
        let clock = self.server.clock;
        let mut timer = DeadlineTimer::new(clock);
        self.node.handle(clock.now(), Input::Opened);
        while !self.execute_outputs() {
            let deadline = self.node.next_deadline().map(|deadline| deadline.at);
            let can_send = self.node.can_send();
            let outgoing = async {
                match &mut self.client {
                    Some(client) if can_send => client.outgoing.recv().await,
                    _ => core::future::pending().await,
                }
            };
            tokio::select! {
                event = self.frames.event(self.node.wants_frames()) => match event {
                    Event::Frame(frame) => {
                        self.node.handle(clock.now(), Input::Frame(frame.as_str()));
                    }
                    Event::Announced(_) => self.frames.admit(),
                    Event::Flushed => {}
                    Event::Ended(_) => return,
                },
                entry = outgoing => match entry {
                    Some(entry) => {
                        let added = entry.meta.added.unwrap_or_default();
                        self.node.send(clock.now().mono, added, [&entry]);
                    }
                    None => return,
                },
                () = timer.until(deadline) => self.node.handle(clock.now(), Input::Wake),
            }
        }
    }

    /// Returns `true` if the connection has to be closed.
    fn execute_outputs(&mut self) -> bool {
        let now = self.server.clock.now();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(frame) => self.frames.push(Frame::from(frame)),
                Output::Authenticate(login) => {
                    let response = match self.server.authenticate(&login) {
                        Ok(()) => Input::Allow(login.token),
                        Err(error) => Input::Refuse(login.token, error),
                    };
                    self.node.handle(now, response);
                }
                Output::Connected { peer, since } => {
                    let joined = self.server.join(&peer, since.unwrap_or_default());
                    let Joined { connection, last_added, missed, outgoing } = joined;
                    self.client = Some(ConnectedClient { node: peer, connection, outgoing });
                    self.node.send(now.mono, last_added, &missed);
                }
                Output::Received { batch, entries, refused, .. } => {
                    if let Some(client) = &self.client {
                        self.server.receive(&client.node, entries, &refused);
                    }
                    self.node.handle(now, Input::Persisted(batch));
                }
                Output::SentUpTo(added) => {
                    if let Some(client) = &self.client {
                        self.server.confirmed(&client.node, added);
                    }
                }
                Output::Disconnect(_) => return true,
                _ => {}
            }
        }
        false
    }
}
