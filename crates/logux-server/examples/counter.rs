//! A shared counter, as in the README of Logux: subscribe, load, increase, resend.
//!
//! Run `LOGUX_PORT=31337 cargo run -p logux-server --example counter`, and connect an official
//! client with the token `good`.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use logux_server::{HandlerError, Server, stop_signal};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Increase {
    #[serde(default)]
    fail: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let port = std::env::var("LOGUX_PORT").unwrap_or_else(|_| "31337".into()).parse()?;

    let mut server = Server::builder_with(AtomicI64::new(0))
        .config(|config| {
            config.subprotocol = 3;
            config.min_subprotocol = 2;
            config.development = true;
        })
        .auth(|login| async move { Ok(login.token.as_deref() == Some("good")) })
        .channel("counter", |channel| {
            channel.access(|_| async { Ok(true) }).load(|context| async move {
                let value = context.state().load(SeqCst);
                Ok(json!({"type": "counter/set", "value": value}))
            })
        })
        .action_type("counter/inc", |action| {
            action
                .access(|context| async move { Ok(context.user_id() != Some("guest")) })
                .resend(|_| async { Ok("counter") })
                .process(|context| async move {
                    let Increase { fail } = context.parse()?;
                    if fail {
                        return Err(HandlerError::failed("asked to fail"));
                    }
                    context.state().fetch_add(1, SeqCst);
                    Ok(())
                })
        })
        .action_type("secret/do", |action| action.access(|_| async { Ok(false) }))
        .channel("private/:user", |channel| {
            channel.access(
                |context| async move { Ok(context.user_id() == Some(context.param("user"))) },
            )
        })
        .channel("users/find/:id", |channel| {
            channel
                .access(|_| async { Ok(true) })
                .load(|_| async { Err::<(), _>(HandlerError::NotFound) })
        })
        .listen(([127, 0, 0, 1], port).into())
        .await?;
    println!("listening on ws://{}", server.address());

    tokio::select! {
        () = stop_signal() => Ok(server.shutdown().await?),
        error = server.broken() => Err(error.into()),
    }
}
