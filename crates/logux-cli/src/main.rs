//! The `logux` program.
//!
//! `serve` runs a server that needs no code, `tail` shows what happens in a channel, `send` does one action, `bench` measures a server.

mod bench;
mod jwt;
mod logger;
mod options;
mod otlp;
mod send;
mod serve;
mod systemd;
mod tail;
mod talk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Logux: a log of actions that stays the same on every node
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Box<options::ServeArgs>),
    Tail(tail::TailArgs),
    Send(send::SendArgs),
    Bench(Box<bench::BenchArgs>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error)
            if error.use_stderr()
                && error.kind()
                    != clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            // One line says it; the whole usage is one --help away.
            eprintln!("logux: {}; see `logux --help`", options::one_line(&error));
            return ExitCode::from(2);
        }
        Err(error) => error.exit(),
    };
    let ended = match program.command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Tail(args) => tail::run(args).await,
        Command::Send(args) => send::run(args).await,
        Command::Bench(args) => bench::run(&args),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("logux: {error}");
        ExitCode::FAILURE
    })
}
