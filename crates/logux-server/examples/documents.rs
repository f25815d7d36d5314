//! Notes that several people edit at once, also offline: the server keeps the edits, settles old
//! ones by snapshots, and lets authors undo and redo those that are still open.
//!
//! Run `LOGUX_PORT=31337 cargo run -p logux-server --example documents`, and connect a client with
//! any token: `logux send ws://127.0.0.1:31337 --user 10 --token any
//! '{"type":"notes/edit","id":"7","ops":[{"op":"set","path":"/title","value":"Tea"}]}'`.
//! `LOGUX_DB=notes.db` keeps the notes in a file; `LOGUX_OPEN=100` is the number of edits of a note
//! that can be undone.

use logux::{
    action::DocumentOperation,
    crdt::Document,
    server::SettlementRule,
    store::{MemoryStore, Store},
};
use logux_server::{DocumentStorage, MemoryDocuments, Server, stop_signal};
use logux_sqlite::Database;

type Error = Box<dyn std::error::Error>;

async fn run(
    store: impl Store + Send + 'static,
    documents: impl DocumentStorage,
) -> Result<(), Error> {
    let setting =
        |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
    let port = setting("LOGUX_PORT", "31337").parse()?;
    let open_actions = setting("LOGUX_OPEN", "1000").parse()?;
    let mut server = Server::builder()
        .store(store)
        .config(|config| {
            config.subprotocol = 3;
            config.development = true;
        })
        .auth(|login| async move { Ok(login.token.is_some()) })
        .documents::<Document>("notes", documents, |kind| {
            kind.access(|request| async move {
                let is_guest = request.user_id() == Some("guest");
                Ok(request.operation() == DocumentOperation::Read || !is_guest)
            })
            .created_by_edits()
            .undoable()
            .settlement(SettlementRule { open_actions, ..SettlementRule::default() })
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
        Ok(file) => {
            let database = Database::open(file)?;
            run(database.store(), database.documents()).await
        }
        Err(_) => run(MemoryStore::new(), MemoryDocuments::new()).await,
    }
}
