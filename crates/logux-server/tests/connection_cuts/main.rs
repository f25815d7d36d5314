//! Cuts a connection at every byte of a conversation, in both directions: each action must be
//! processed once and answered. Also kills the server at these positions and restarts it.
//!
//! `proxy` cuts connections, `application` is the server's application, `client` a minimal client,
//! `conversation` the actions and assertions, and `killed_server` the server as a process that is
//! killed.

mod application;
mod client;
mod conversation;
#[cfg(feature = "sqlite")]
mod killed_server;
mod proxy;

use std::net::SocketAddr;

use application::Processed;
use conversation::{Conversation, NewsSource, cuts};
use futures_util::{StreamExt as _, stream};
use logux::MemoryStore;
use logux_server::RunningServer;
use tokio::sync::watch;

/// The number of concurrent conversations.
const CONCURRENCY: usize = 16;

/// One server for many conversations.
struct World {
    server: RunningServer,
    processed: Processed,
    address: watch::Sender<Option<SocketAddr>>,
}

impl World {
    async fn start() -> Self {
        let processed = Processed::in_memory();
        let server = application::start(processed.clone(), MemoryStore::new()).await;
        let address = watch::channel(Some(server.address())).0;
        Self { server, processed, address }
    }

    async fn with_device(&self, conversation: Conversation) -> [usize; 2] {
        let news_source = NewsSource::FromServer(self.server.handle().clone());
        conversation
            .with_device(self.address.subscribe(), news_source, &self.processed, || {})
            .await
    }

    async fn with_client(&self, conversation: Conversation) -> [usize; 2] {
        let (bytes, counted) =
            conversation.with_client(self.address.subscribe(), &self.processed, || {}).await;
        assert_eq!(counted, 2, "at {:?}", conversation.cut);
        bytes
    }
}

/// The conversation without a cut, which measures the number of bytes.
const UNCUT: Conversation = Conversation { number: 0, cut: None };

fn all_cuts(bytes: [usize; 2]) -> impl Iterator<Item = Conversation> {
    cuts(bytes).enumerate().map(|(number, cut)| Conversation { number: number + 1, cut: Some(cut) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_resend_synced_actions() {
    let world = World::start().await;
    let bytes = world.with_device(UNCUT).await;
    assert!(bytes.iter().all(|bytes| *bytes > 500), "{bytes:?}");
    let conversations =
        stream::iter(all_cuts(bytes).map(|conversation| world.with_device(conversation)));
    conversations.buffer_unordered(CONCURRENCY).for_each(|_| async {}).await;
    world.server.shutdown().await.expect("a shutdown without errors");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_logux_client() {
    let world = World::start().await;
    let bytes = world.with_client(UNCUT).await;
    let conversations =
        stream::iter(all_cuts(bytes).map(|conversation| world.with_client(conversation)));
    conversations.buffer_unordered(CONCURRENCY).for_each(|_| async {}).await;
    world.server.shutdown().await.expect("a shutdown without errors");
}
