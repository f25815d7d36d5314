//! `logux tail`: prints the actions of channels as they are received.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;
use logux::action::logux::is_logux;
use logux_client::SyncError;

use crate::{client_args::ClientArgs, error::CliError};

/// Print the actions of a channel, one JSON object per line
///
/// Subscribes to the channels and prints each action that the server sends, except the `logux/*`
/// actions of the protocol itself. Runs until it is interrupted, or the connection is lost.
///
/// The exit code is 1 if the server refused a subscription, and 2 if it could not be reached, the
/// connection was lost, or the server refused it.
#[derive(Args, Clone, Debug)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Channel to subscribe to; can be repeated
    #[arg(long = "channel", short, value_name = "NAME", required = true)]
    channels: Vec<String>,
    /// Print the id and time of each action as well: [ACTION, {"id": …, "time": …}]
    #[arg(long)]
    meta: bool,
}

/// Prints actions until the process is interrupted, standard output is closed, or the client
/// cannot continue.
pub(crate) async fn run(args: TailArgs) -> Result<ExitCode, CliError> {
    let mut connected = args.client.connect()?;
    let client = connected.client.clone();
    let mut actions = client.actions();
    let subscribing = async {
        for channel in &args.channels {
            match client.subscribe(channel).await {
                Ok(()) => eprintln!("subscribed to {channel}"),
                Err(SyncError::Undone(undo)) => {
                    return CliError::Subscription {
                        channel: channel.clone(),
                        reason: undo.reason,
                    };
                }
                // The client has stopped, which `failed` reports.
                Err(_) => break,
            }
        }
        std::future::pending().await
    };
    let printing = async {
        while let Some(entry) = actions.next().await {
            if is_logux(entry.action.kind()) {
                continue;
            }
            let json = entry.action.as_json();
            let written = if args.meta {
                let (id, time) = (entry.meta.id.to_string(), entry.meta.time);
                writeln!(
                    io::stdout(),
                    "[{json},{{\"id\":{},\"time\":{time}}}]",
                    serde_json::to_string(&id)?
                )
            } else {
                writeln!(io::stdout(), "{json}")
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Ok(ExitCode::SUCCESS);
                }
                other => other?,
            }
        }
        std::future::pending().await
    };
    let result = tokio::select! {
        error = subscribing => Err(error),
        result = printing => result,
        error = connected.failed() => Err(error.into()),
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::SUCCESS),
    };
    if result.is_err() {
        connected.print_debug_texts();
    }
    result
}
