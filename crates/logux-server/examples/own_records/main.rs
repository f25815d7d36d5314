//! Records that clients share, with a storage of the application's own.
//!
//! Run `LOGUX_PORT=31337 cargo run -p logux-server --example own_records`, connect an official
//! client with the token `good`, and use `syncMapTemplate('tasks')` and `useFilter`.

mod tasks;

use std::sync::Arc;

use logux_server::{Server, stop_signal};

use tasks::Tasks;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let port = std::env::var("LOGUX_PORT").unwrap_or_else(|_| "31337".into()).parse()?;
    let tasks = Arc::new(Tasks::default());
    let mut server = Server::builder()
        .config(|config| config.development = true)
        .auth(|login| async move { Ok(login.token.as_deref() == Some("good")) })
        .sync_map("tasks", tasks.clone(), |context, _id| async move {
            Ok(context.user_id() != Some("guest"))
        })
        .sync_map_filter("tasks", tasks, |_context, _filter| async { Ok(true) })
        .listen(([127, 0, 0, 1], port).into())
        .await?;
    println!("listening on ws://{}", server.address());
    tokio::select! {
        () = stop_signal() => Ok(server.shutdown().await?),
        error = server.broken() => Err(error.into()),
    }
}
