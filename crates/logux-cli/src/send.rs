//! `logux send`: sends one action and prints its result.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use logux::{Action, action::logux::Undo, sync::State};
use logux_client::SyncError;

use crate::{
    client_args::{ClientArgs, NO_RESPONSE},
    error::CliError,
};

/// Send an action and wait until the server has processed it
///
/// Prints `processed`, or `undone: ` and the reason, and what is wrong with the edit of a document.
/// A server in development also sends a text that explains the reason. Without a response it says
/// whether the server has received the action.
///
/// The exit code is 0 if the action was processed, 1 if it was undone or is not valid, and 2 if the
/// server could not be reached, did not respond, or refused the connection.
#[derive(Args, Clone, Debug)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Action as JSON, such as '{"type":"tasks/create","id":"1","fields":{"title":"Tea"}}'
    #[arg(value_name = "ACTION")]
    action: String,
    /// Seconds to wait for the response
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

/// Sends the action and waits for the response.
pub(crate) async fn run(args: SendArgs) -> Result<ExitCode, CliError> {
    let action = Action::new(args.action)?;
    let mut connected = args.client.connect()?;
    let client = connected.client.clone();
    let result = tokio::select! {
        // An answer counts, also if the connection ends right after it.
        biased;
        result = client.sync(action) => result,
        error = connected.failed() => return Err(error.into()),
        () = tokio::time::sleep(Duration::from_secs(args.wait)) => {
            connected.print_debug_texts();
            let outcome = match client.state() {
                State::Disconnected | State::Connecting => "the action was not sent",
                State::Sending => "the action was sent, the server has not confirmed it",
                State::Synchronized => "the server has received the action and not answered it",
            };
            eprintln!("logux: no response from the server within {} s: {outcome}", args.wait);
            return Ok(ExitCode::from(NO_RESPONSE));
        }
    };
    match result {
        Ok(()) => {
            println!("processed");
            Ok(ExitCode::SUCCESS)
        }
        Err(SyncError::Undone(undo)) => {
            println!("undone: {}", undo.reason);
            print_description(&undo);
            connected.print_debug_texts();
            Ok(ExitCode::FAILURE)
        }
        Err(_) => Err(connected.failed().await.into()),
    }
}

/// Prints what a server of documents says about a refused edit: the path and the error.
fn print_description(undo: &Undo) {
    let text = |name: &str| {
        let value = undo.extra.iter().find(|(key, _)| key == name);
        value.and_then(|(_, value)| value.parse::<String>().ok())
    };
    if let Some(error) = text("error") {
        match text("path") {
            Some(path) if !path.is_empty() => eprintln!("{path}: {error}"),
            _ => eprintln!("{error}"),
        }
    }
}
