//! A document that a server keeps, changed by operations on its JSON.
//!
//!     logux serve --dev --document notes
//!     cargo run -p logux-client --example document -- ws://127.0.0.1:31337 10 notes 7
//!
//! A line such as `{"op":"set","path":"/title","value":"Shopping"}` is an operation; a changed
//! document is printed as JSON, once for changes that come together. The program ends when its
//! input does.

use std::{env, error::Error, io::stdin, process::ExitCode, thread};

use logux::crdt::{Crdt, Document, JsonOp};
use logux_client::Client;
use logux_net::WebSocketConnector;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let [_, url, user, kind, id] = &env::args().collect::<Vec<_>>()[..] else {
        eprintln!("usage: document URL USER KIND ID");
        return Ok(ExitCode::from(2));
    };
    let client = Client::builder(user)?.start(WebSocketConnector::new(url)?);
    let mut document = client.document::<Document>(kind, id).await?;
    let (sender, mut lines) = mpsc::channel(16);
    // Reading standard input blocks.
    thread::spawn(move || {
        stdin().lines().map_while(Result::ok).try_for_each(|line| sender.blocking_send(line))
    });
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { return Ok(ExitCode::SUCCESS) };
                let op: JsonOp = serde_json::from_str(&line)?;
                document
                    .operate_with(|state, id| Ok::<_, Box<dyn Error>>(
                        state.json_ops(&[op], id.node())?.ops,
                    ))?
                    .await?;
            }
            is_running = document.changed() => {
                if !is_running {
                    eprintln!("{}", client.ended().await);
                    return Ok(ExitCode::FAILURE);
                }
                println!("{}", document.state().to_json());
            }
        }
    }
}
