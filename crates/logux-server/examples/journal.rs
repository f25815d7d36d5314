//! A journal that is kept in the server's log: authors undo and redo their lines, a moderator those
//! of others, and new readers receive all of it.
//!
//! Run `LOGUX_PORT=31337 cargo run -p logux-server --example journal`, and connect an official
//! client with any token. `LOGUX_DB=journal.db` keeps the journal in a file.

use logux::{
    Action,
    replay::untyped_reducer,
    server::Retention,
    store::{MemoryStore, Store},
};
use logux_server::{Server, stop_signal};
use logux_sqlite::Database;
use serde_json::json;

type Error = Box<dyn std::error::Error>;

async fn run(store: impl Store + Send + 'static) -> Result<(), Error> {
    let port = std::env::var("LOGUX_PORT").unwrap_or_else(|_| "31337".into()).parse()?;
    // The number of lines that are not undone.
    let count = untyped_reducer(0, |count: &mut u64, action: &Action| {
        *count += u64::from(action.kind() == "journal/add");
    });
    let (server, count) = Server::builder().projection(count);
    let mut server = server
        .store(store)
        .config(|config| {
            config.subprotocol = 3;
            config.development = true;
        })
        .auth(|login| async move { Ok(login.token.is_some()) })
        .channel("journal", |channel| channel.access(|_| async { Ok(true) }).replay())
        .channel("journal/count", move |channel| {
            channel.access(|_| async { Ok(true) }).load(move |_| {
                let loaded = json!({"type": "journal/counted", "count": count.get()});
                async move { Ok(loaded) }
            })
        })
        .action_type("journal/add", |action| {
            action
                .access(|context| async move { Ok(context.user_id() != Some("guest")) })
                .resend(|_| async { Ok("journal") })
                .keep(Retention::last("journal", 10_000))
                .undoable_by(|context, target| async move {
                    let is_moderator = context.user_id() == Some("moderator");
                    Ok(is_moderator || target.is_by(context.node_id()))
                })
        })
        // Kept too, but not undoable.
        .action_type("journal/close", |action| {
            action
                .access(|_| async { Ok(true) })
                .resend(|_| async { Ok("journal") })
                .keep(Retention::last("journal", 10_000))
        })
        .listen(([127, 0, 0, 1], port).into())
        .await?;
    println!("listening on ws://{}", server.address());

    tokio::select! {
        () = stop_signal() => Ok(server.shutdown().await?),
        error = server.broken() => Err(error.into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().init();
    match std::env::var("LOGUX_DB") {
        Ok(file) => run(Database::open(file)?.store()).await,
        Err(_) => run(MemoryStore::new()).await,
    }
}
