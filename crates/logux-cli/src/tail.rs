//! `logux tail`: prints the actions of channels as they are received.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;
use logux::action::logux::is_logux;

use crate::{client_args::ClientArgs, error::CliError};

/// Print the actions of a channel, one JSON object per line
///
/// Subscribes to the channels and prints each action that the server sends, except the `logux/*`
/// actions of the protocol itself. Runs until it is interrupted.
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

/// Prints actions until the process is interrupted, standard output is closed, or the client stops.
pub(crate) async fn run(args: TailArgs) -> Result<ExitCode, CliError> {
    let client = args.client.connect()?;
    let mut actions = client.actions();
    let subscribing = async {
        for channel in &args.channels {
            client.subscribe(channel).await?;
            eprintln!("subscribed to {channel}");
        }
        std::future::pending::<Result<(), CliError>>().await
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
        Err(CliError::ClientStopped(client.ended().await))
    };
    tokio::select! {
        result = subscribing => result.map(|()| ExitCode::FAILURE),
        result = printing => result,
        reason = client.ended() => Err(CliError::ClientStopped(reason)),
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::SUCCESS),
    }
}
