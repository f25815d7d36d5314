//! `logux send`: one action, and what became of it.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use logux::Action;
use logux_client::SyncError;

use crate::talk::{Failed, TalkArgs};

/// Send an action and wait until the server has processed it: exit code 0, or 1 if it was undone, 2 without an answer
#[derive(Args, Clone, Debug)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    talk: TalkArgs,
    /// The action, such as '{"type":"tasks/create","id":"1","fields":{"title":"Tea"}}'
    #[arg(value_name = "ACTION")]
    action: String,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

/// No answer in time.
const UNANSWERED: u8 = 2;

/// Sends, waits, tells.
pub(crate) async fn run(args: SendArgs) -> Result<ExitCode, Failed> {
    let action = Action::new(args.action)?;
    let client = args.talk.client()?;
    tokio::select! {
        done = client.sync(action) => match done {
            Ok(()) => {
                println!("processed");
                Ok(ExitCode::SUCCESS)
            }
            Err(SyncError::Undone(undo)) => {
                println!("undone: {}", undo.reason);
                Ok(ExitCode::FAILURE)
            }
            Err(error) => {
                eprintln!("logux: {error}");
                Ok(ExitCode::from(UNANSWERED))
            }
        },
        () = tokio::time::sleep(Duration::from_secs(args.wait)) => {
            eprintln!("logux: no answer from the server in {} s", args.wait);
            Ok(ExitCode::from(UNANSWERED))
        }
    }
}
