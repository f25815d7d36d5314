//! A connection is cut at every byte of a conversation, in both directions: each action is processed once all the same, and each is answered. And a server is killed
//! there, and started again.

mod application;
mod client;
mod conversation;
#[cfg(feature = "sqlite")]
mod mortal;
mod proxy;

use std::net::SocketAddr;

use application::Processed;
use conversation::{Conversation, News, cuts};
use futures_util::{StreamExt as _, stream};
use logux::MemoryStore;
use logux_server::RunningServer;
use tokio::sync::watch;

/// How many conversations take place at a time.
const AT_ONCE: usize = 16;

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
        let news = News::FromServer(self.server.handle().clone());
        conversation.with_device(self.address.subscribe(), news, &self.processed, || {}).await
    }

    async fn with_client(&self, conversation: Conversation) -> [usize; 2] {
        let (bytes, counted) =
            conversation.with_client(self.address.subscribe(), &self.processed, || {}).await;
        assert_eq!(counted, 2, "at {:?}", conversation.cut);
        bytes
    }
}

/// The whole conversation, from which the cuts are made.
const UNCUT: Conversation = Conversation { number: 0, cut: None };

fn all(bytes: [usize; 2]) -> impl Iterator<Item = Conversation> {
    cuts(bytes).enumerate().map(|(number, cut)| Conversation { number: number + 1, cut: Some(cut) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_repeats_what_is_safe() {
    let world = World::start().await;
    let bytes = world.with_device(UNCUT).await;
    assert!(bytes.iter().all(|bytes| *bytes > 500), "{bytes:?}");
    let conversations =
        stream::iter(all(bytes).map(|conversation| world.with_device(conversation)));
    conversations.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
    world.server.shutdown().await.expect("a log that works");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_this_project() {
    let world = World::start().await;
    let bytes = world.with_client(UNCUT).await;
    let conversations =
        stream::iter(all(bytes).map(|conversation| world.with_client(conversation)));
    conversations.buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
    world.server.shutdown().await.expect("a log that works");
}
