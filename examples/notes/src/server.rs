//! The server of the notes, which keeps them in a file.

use logux::crdt::Document;
use logux_server::{MemoryDocuments, Server, stop_signal};
use logux_sqlite::Database;

use crate::Error;

/// Serves until the process is asked to stop. Accepts all users, on this machine only.
pub(crate) async fn serve(port: &str, file: &str) -> Result<(), Error> {
    let mut server = Server::builder()
        .store(Database::open(file)?.store())
        .auth(|_login| async { Ok(true) })
        .documents::<Document>("notes", MemoryDocuments::new(), |kind| {
            kind.access(|_| async { Ok(true) }).created_by_edits().undoable()
        })
        .listen(([127, 0, 0, 1], port.parse()?).into())
        .await?;
    println!("listening on ws://{}", server.address());
    tokio::select! {
        () = stop_signal() => Ok(server.shutdown().await?),
        error = server.broken() => Err(error.into()),
    }
}
