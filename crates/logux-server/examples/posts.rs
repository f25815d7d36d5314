//! Moderated posts: types and channels by regular expression, typed actions, access and processing
//! in one step, concurrent queues, filters, actions on connect, and the undo of processed actions.
//!
//! Run `LOGUX_PORT=31337 cargo run -p logux-server --example posts`, and connect an official client
//! with any token.

use logux::{
    Action, ActionId, Json,
    server::{Recipients, UndoRequest},
};
use logux_server::{Builder, Context, HandlerError, Server, stop_signal};
use regex::Regex;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

/// The shared state: the action `wait` waits until the action `go` notifies it.
#[derive(Default)]
struct Gate(Notify);

#[derive(Deserialize)]
struct Subscription {
    filter: Option<Filter>,
}

#[derive(Deserialize)]
struct Filter {
    author: String,
}

#[derive(Deserialize)]
struct Moderate {
    post: String,
}

/// Gives access to all users but `guest`.
async fn not_for_guests(context: Context<Gate>) -> Result<bool, HandlerError> {
    Ok(context.user_id() != Some("guest"))
}

fn posts(server: Builder<Gate>) -> Result<Builder<Gate>, Box<dyn std::error::Error>> {
    let server = server
        .channel(Regex::new("^posts/(?<tag>[a-z]+)$")?, |channel| {
            channel
                .access(not_for_guests)
                // A subscriber may select the posts of one author: `filter: {"author": "10"}`.
                .filter(|context| async move {
                    let author =
                        context.parse::<Subscription>()?.filter.map(|filter| filter.author);
                    Ok(move |action: &Action, _: &logux::Meta| match &author {
                        None => true,
                        Some(author) => {
                            action.str_field("author").is_none_or(|other| other == **author)
                        }
                    })
                })
                .load(|context| async move {
                    let tag = context.param("tag");
                    Ok(json!([
                        {"type": "posts/loaded", "tag": tag, "n": 1},
                        {"type": "posts/loaded", "tag": tag, "n": 2},
                    ]))
                })
        })
        .action_type(Regex::new("^posts/(add|change)$")?, |action| {
            action.access(not_for_guests).resend(|context| async move {
                Ok(format!("posts/{}", context.action().str_field("tag").unwrap_or_default()))
            })
        })
        .action_type("moderate", |action| {
            action
                .typed::<Moderate>()
                .access(|context, _| async move { Ok(context.user_id() == Some("moderator")) })
                .process(|context, moderate| async move {
                    let post: ActionId = moderate.post.parse()?;
                    let by = Json::from_value(&context.user_id())?;
                    let request = UndoRequest::new(post, "spam")
                        .with("by", by)
                        .to(Recipients::channel("posts/news"));
                    context.server().undo(request).await;
                    Ok(())
                })
        });
    Ok(server)
}

fn one_step(server: Builder<Gate>) -> Builder<Gate> {
    server
        .action_type("pay", |action| {
            action.access_and_process(|context| async move {
                if !not_for_guests(context.clone()).await? {
                    return Err(HandlerError::Denied);
                }
                context.send_back(json!({"type": "paid"}).try_into()?).await;
                Ok(())
            })
        })
        .channel("bills/:id", |channel| {
            channel.access_and_load(|context| async move {
                match context.param("id") {
                    "1" => Ok(json!({"type": "bill", "id": "1"})),
                    "2" => Err(HandlerError::Denied),
                    _ => Err(HandlerError::NotFound),
                }
            })
        })
}

/// `wait` is processed until `go` is received. One client can send both, since they have different
/// queues.
fn queues(server: Builder<Gate>) -> Builder<Gate> {
    server
        .action_type("wait", |action| {
            action.access(|_| async { Ok(true) }).process(|context| async move {
                context.state().0.notified().await;
                if context.action().field("fail") == Some("true") {
                    return Err(HandlerError::failed("asked to fail"));
                }
                Ok(())
            })
        })
        .action_type("go", |action| {
            action
                .access(|_| async { Ok(true) })
                .process(|context| async move {
                    context.state().0.notify_one();
                    Ok(())
                })
                .queue("gate")
        })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let port = std::env::var("LOGUX_PORT").unwrap_or_else(|_| "31337".into()).parse()?;

    let server = Server::builder_with(Gate::default())
        .config(|config| {
            config.subprotocol = 3;
            config.development = true;
        })
        .auth(|login| async move { Ok(login.token.is_some()) })
        .send_on_connect(|client| async move {
            Ok(json!({"type": "welcome", "user": client.user_id()}))
        });
    let mut server = queues(one_step(posts(server)?)).listen(([127, 0, 0, 1], port).into()).await?;
    println!("listening on ws://{}", server.address());

    tokio::select! {
        () = stop_signal() => Ok(server.shutdown().await?),
        error = server.broken() => Err(error.into()),
    }
}
