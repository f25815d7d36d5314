//! A document that the devices of a user edit together, and that the server cannot read.
//!
//!     logux serve --dev --relay
//!     cargo run -p logux-client --example encrypted_document -- ws://127.0.0.1:31337 10 SECRET
//!
//! Start it twice, also with `encryptActions` of `@logux/client` as the other device. A line
//! `title=Shopping` sets a field; a changed document is printed as JSON, once for changes that come
//! together. The program ends when its input does.

use std::{env, error::Error, io::stdin, process::ExitCode, thread};

use logux::{
    Json,
    crdt::{Crdt, Document, DocumentOp, Path, Shared},
};
use logux_client::Client;
use logux_net::WebSocketConnector;
use serde_json::json;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let [_, url, user, secret] = &env::args().collect::<Vec<_>>()[..] else {
        eprintln!("usage: encrypted_document URL USER SECRET");
        return Ok(ExitCode::from(2));
    };
    let notes = Shared::<Document>::new("notes", "1");
    let connector = WebSocketConnector::new(url)?;
    let builder = Client::builder(user)?.encryption(secret.as_str());
    let mut document = builder.start_document(connector, notes.clone()).await?;
    let client = document.client().clone();
    let mut failures = client.encryption_failures();
    let (sender, mut lines) = mpsc::channel(16);
    // Reading standard input blocks.
    thread::spawn(move || {
        stdin().lines().map_while(Result::ok).try_for_each(|line| sender.blocking_send(line))
    });
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { return Ok(ExitCode::SUCCESS) };
                let Some((field, value)) = line.split_once('=') else { continue };
                let op = DocumentOp::Set { path: Path::of(&[field])?, value: Json::from(json!(value)) };
                document.operate(&[op]).await?;
            }
            is_running = document.changed() => {
                if !is_running {
                    eprintln!("{}", client.ended().await);
                    return Ok(ExitCode::FAILURE);
                }
                println!("{}", document.state().to_json());
            }
            failure = failures.next() => {
                if let Some(failure) = failure {
                    eprintln!("{}: {}", failure.id, failure.error);
                }
            }
        }
    }
}
