//! `logux tail`: what happens in a channel, as it happens.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;
use logux::action::logux::is_logux;

use crate::talk::{Failed, TalkArgs};

/// Print the actions of a channel as they come, one JSON object a line
#[derive(Args, Clone, Debug)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    talk: TalkArgs,
    /// Channel to subscribe to; repeat it for several
    #[arg(long = "channel", short, value_name = "NAME", required = true)]
    channels: Vec<String>,
    /// Print the ids and times too, as [ACTION, {"id": …, "time": …}]
    #[arg(long)]
    meta: bool,
}

/// Runs until it is interrupted, or the reader of its output or the server has had enough.
pub(crate) async fn run(args: TailArgs) -> Result<ExitCode, Failed> {
    let client = args.talk.client()?;
    let mut actions = client.actions();
    let subscribing = async {
        for channel in &args.channels {
            client.subscribe(channel).await?;
            eprintln!("subscribed to {channel}");
        }
        std::future::pending::<Result<(), Failed>>().await
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
        Err::<_, Failed>(client.ended().await.into())
    };
    tokio::select! {
        stopped = subscribing => stopped.map(|()| ExitCode::FAILURE),
        printed = printing => printed,
        why = client.ended() => Err(why.into()),
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::SUCCESS),
    }
}
