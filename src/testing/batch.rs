//! What a hub is given by a connection, without one.

use std::sync::Arc;

use crate::{
    action::NodeId,
    sync::{BatchToken, Config, Input, Node, Output},
    time::Now,
};

/// A batch token as the node of a connection makes them, for tests of a [`Hub`](crate::server::Hub) alone.
///
/// # Panics
/// Never: what the node is told is right.
pub fn batch() -> BatchToken {
    let mut node = Node::new(Arc::new(Config::server(NodeId::new("server:x").expect("an id"))), ());
    let now = Now::from_millis(0, 0);
    node.handle(now, Input::Opened);
    node.handle(now, Input::Frame(r#"["connect",5,"1:a:b",0]"#));
    while let Some(output) = node.poll_output() {
        match output {
            Output::Authenticate(who) => {
                node.handle(now, Input::Allow(who.token));
                node.handle(now, Input::Frame(r#"["sync",1]"#));
            }
            Output::Received { batch, .. } => return batch,
            _ => {}
        }
    }
    unreachable!("a node gives a token for what it received")
}
