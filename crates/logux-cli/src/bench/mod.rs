//! `logux bench`: puts load on any Logux server that supports protocol 5 over WebSocket, and
//! measures it.
//!
//! The clients must cost as little as possible next to the server, so all of them run in one event
//! loop on one thread: `client_pool` holds the connections, `client` is one of them, `message`
//! parses messages in place. `load` sends and measures, `sequence_tracker` detects duplicate
//! actions, `samples` and `report` summarize the results. Each scenario has its own file.

mod args;
mod client;
mod client_pool;
mod connects;
mod cores;
pub(crate) mod error;
mod fan_out;
mod idle;
mod load;
mod message;
mod opening;
mod presence;
mod process;
mod report;
mod round_trip;
mod samples;
mod sequence_tracker;
mod ticker;
mod typing;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use error::BenchError;

/// Put load on a Logux server and measure it
///
/// `fan-out` and `round-trip` need a server with a channel and an action type that is resent to it:
/// `bench` and `bench/note` by default. All scenarios need a server that accepts their clients. Run
/// the clients on another machine or on other cores than the server if possible.
///
/// The exit code is 0 if no delivery was lost or duplicated, and 1 otherwise.
#[derive(Args, Clone, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand, Clone, Debug)]
enum Scenario {
    FanOut(fan_out::FanOutArgs),
    RoundTrip(round_trip::RoundTripArgs),
    Connects(connects::ConnectsArgs),
    Idle(idle::IdleArgs),
    Typing(typing::TypingArgs),
    Opening(opening::OpeningArgs),
    Presence(presence::PresenceArgs),
}

/// Runs a scenario and prints its report. The exit code tells whether everything was delivered
/// exactly once.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, BenchError> {
    match &args.scenario {
        Scenario::FanOut(args) => fan_out::run(args),
        Scenario::RoundTrip(args) => round_trip::run(args),
        Scenario::Connects(args) => connects::run(args),
        Scenario::Idle(args) => idle::run(args),
        Scenario::Typing(args) => typing::run(args),
        Scenario::Opening(args) => opening::run(args),
        Scenario::Presence(args) => presence::run(args),
    }
}
