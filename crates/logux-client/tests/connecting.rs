//! Connecting and the actions that are added meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use logux::Action;
use logux_client::Client;
use logux_net::{FrameLimits, pair};
use tokio::sync::Semaphore;

#[tokio::test(start_paused = true)]
async fn actions_do_not_interrupt_a_connection_attempt() {
    let (attempts, may_connect) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, held) = (attempts.clone(), may_connect.clone());
    let (server_end, mut server_ends) = tokio::sync::mpsc::unbounded_channel();
    let client = Client::builder("10").expect("a user").start(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let (held, server_end) = (held.clone(), server_end.clone());
        async move {
            held.acquire().await.expect("open").forget();
            let (here, there) = pair(FrameLimits::default());
            let _ = server_end.send(there);
            Ok(here)
        }
    });
    let action = || Action::new(r#"{"type":"a"}"#).expect("an action");
    let doing: Vec<_> = (0..3)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.sync(action()).await })
        })
        .collect();
    // Virtual time advances when all tasks wait.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    may_connect.add_permits(1);
    server_ends.recv().await.expect("a connection");
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
    doing.iter().for_each(tokio::task::JoinHandle::abort);
}
