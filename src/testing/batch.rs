//! A batch token without a connection.

use std::sync::Arc;

use crate::{
    action::NodeId,
    sync::{BatchToken, Config, Input, Node, Output},
    time::Now,
};

/// Returns a batch token as a sync node makes it, for tests of a [`Hub`](crate::server::Hub)
/// without connections.
///
/// # Panics
/// Never: the node receives valid frames.
pub fn batch() -> BatchToken {
    let mut node = Node::new(Arc::new(Config::server(NodeId::new("server:x").expect("an id"))), ());
    let now = Now::from_millis(0, 0);
    node.handle(now, Input::Opened);
    node.handle(now, Input::Frame(r#"["connect",5,"1:a:b",0]"#));
    while let Some(output) = node.poll_output() {
        match output {
            Output::Authenticate(request) => {
                node.handle(now, Input::Allow(request.token));
                node.handle(now, Input::Frame(r#"["sync",1]"#));
            }
            Output::Received { batch, .. } => return batch,
            _ => {}
        }
    }
    unreachable!("a node makes a token for each `sync` message")
}
