//! `logux bench`: load for any Logux server that speaks protocol 5 over WebSocket, and what it makes of it.
//!
//! The clients must not be what is measured, so they are one thread with one loop: `crowd` holds all connections, `client` is one of them,
//! `frame` and `message` look at bytes in place. `seen` finds losses and duplicates, `samples` and `report` make numbers of what
//! came. Each scenario is a file of its own.

mod args;
mod client;
mod connects;
mod cores;
mod crowd;
mod fan_out;
mod frame;
mod idle;
mod message;
mod process;
mod report;
mod round_trip;
mod samples;
mod seen;
mod ticker;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::talk::Failed;

/// Put load on a Logux server and measure it
///
/// The server needs an application that lets the clients in: `fan-out` and `round-trip` want a channel and an action type that is resent to
/// it, `bench` and `bench/note` unless you say otherwise. Run the clients on another machine, or on other cores, if you can.
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
}

/// Measures, and prints what was found. The exit code tells whether everything came, once.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failed> {
    match &args.scenario {
        Scenario::FanOut(args) => fan_out::run(args),
        Scenario::RoundTrip(args) => round_trip::run(args),
        Scenario::Connects(args) => connects::run(args),
        Scenario::Idle(args) => idle::run(args),
    }
}
