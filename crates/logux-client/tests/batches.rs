//! A message of the server that is handled in several batches.

use std::time::Duration;

use logux::crdt::{List, Shared};
use logux_client::Client;
use logux_net::{
    FrameLimits,
    drive::{Event, FrameConnection},
    pair,
};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

/// The batches after the first ones are handled when these are confirmed, without a further input.
#[tokio::test(start_paused = true)]
async fn the_state_has_all_actions_of_a_message() {
    let (server_end, mut ends) = mpsc::unbounded_channel();
    let connector = move || {
        let server_end = server_end.clone();
        async move {
            let (here, there) = pair(FrameLimits::default());
            let _ = server_end.send(there);
            Ok(here)
        }
    };
    let builder = Client::builder("10:phone:1").expect("a node id");
    let builder = builder.connection(|connection| connection.actions_per_batch = 1);
    let mut list =
        builder.start_document(connector, Shared::<List>::new("lists", "1")).await.expect("open");
    let mut connection = FrameConnection::new(ends.recv().await.expect("a connection"));
    let Event::Frame(_) = connection.event(true).await else { panic!("`connect`") };
    connection.push(r#"["connected",5,"server:x",[0,0]]"#.into());
    let mut message = vec![json!("sync"), json!(9)];
    for n in 1..10 {
        let insert = json!({"op": "insert", "first": n, "values": [n]});
        message.push(json!({"type": "lists/edit", "id": "1", "ops": [insert]}));
        message.push(json!({"id": [n, "20:a:b", 0], "time": n}));
    }
    connection.push(json!(message).to_string().into());
    let all = async {
        loop {
            tokio::select! {
                _ = connection.event(true) => {}
                state = list.until(|list| list.len() == 9) => break state,
            }
        }
    };
    timeout(Duration::from_secs(1), all).await.expect("in time").expect("a state");
}
