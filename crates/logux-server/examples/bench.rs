//! The server for `logux bench`.
//!
//!     cargo run --release -p logux-server --example bench -- 31337
//!     cargo run --release -p logux-cli -- bench fan-out ws://127.0.0.1:31337
//!
//! `benches/servers` compares it with the official server and with a bare broadcast.

use logux_server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "31337".into()).parse()?;
    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .action_type("bench/note", |kind| {
            kind.access(|_| async { Ok(true) }).resend(|_| async { Ok("bench") })
        })
        .channel("bench", |channel| channel.access(|_| async { Ok(true) }))
        .listen(([127, 0, 0, 1], port).into())
        .await?;
    println!("listening on ws://{}", server.address());
    logux_server::stop_signal().await;
    server.shutdown().await?;
    Ok(())
}
