//! The `logux` program: `serve` runs a server, `backup` copies its database, `tail` prints the
//! actions of a channel, `send` sends an action, `token` prints a token for a client, `bench`
//! measures a server, `documents` looks after the documents of a server.
//!
//! A module imports only modules that come before it in this list: `jwt`, `config`, `otlp`,
//! `logger`, `systemd`, `open_files`, `bench`, `banner`, `client_tls`, `documents`, `client_args`,
//! `explain`, `error`, and the subcommands `serve`, `backup`, `tail`, `send`, `token`.

#![forbid(unsafe_code)]

mod backup;
mod banner;
mod bench;
mod client_args;
mod client_tls;
mod config;
mod demo;
mod documents;
mod error;
mod explain;
mod jwt;
mod logger;
mod open_files;
mod otlp;
mod send;
mod serve;
mod systemd;
mod tail;
mod token;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};

use crate::{
    backup::BackupArgs,
    bench::BenchArgs,
    client_args::NO_RESPONSE,
    config::ServeArgs,
    documents::{DocumentsArgs, client::DocumentsError},
    error::CliError,
    send::SendArgs,
    tail::TailArgs,
    token::TokenArgs,
};

/// Run, inspect and measure Logux servers
#[derive(Parser)]
#[command(
    name = "logux",
    version,
    arg_required_else_help = true,
    after_help = "Run `logux <COMMAND> --help` for the options of a command."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<ServeArgs>),
    Backup(BackupArgs),
    Documents(DocumentsArgs),
    Tail(TailArgs),
    Send(SendArgs),
    Token(TokenArgs),
    Bench(Box<BenchArgs>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error)
            if error.use_stderr()
                && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            let help = help_command(std::env::args_os().skip(1));
            eprintln!("logux: {}; see `{help} --help`", config::error::one_line(&error));
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    let result = match cli.command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Backup(args) => backup::run(args).await,
        Command::Documents(args) => documents::run(args).await.map_err(Into::into),
        Command::Tail(args) => tail::run(args).await,
        Command::Send(args) => send::run(args).await,
        Command::Token(args) => token::run(&args),
        Command::Bench(args) => bench::run(&args).map_err(Into::into),
    };
    result.unwrap_or_else(|error| {
        eprintln!("logux: {error}");
        match error {
            CliError::Connect(_) | CliError::Documents(DocumentsError::Unreachable { .. }) => {
                ExitCode::from(NO_RESPONSE)
            }
            _ => ExitCode::FAILURE,
        }
    })
}

/// Returns the command whose help page explains these arguments: `logux`, or one of its commands.
fn help_command(arguments: impl Iterator<Item = OsString>) -> String {
    let (mut command, mut name) = (Cli::command(), "logux".to_owned());
    for argument in arguments {
        if let Some(subcommand) = command.find_subcommand(&argument).cloned() {
            name = format!("{name} {}", subcommand.get_name());
            command = subcommand;
        }
    }
    name
}
