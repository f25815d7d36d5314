//! Clients that are in and say nothing: what each costs the server in memory.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use super::{
    args::Target,
    client::{Client, Heard, Work},
    crowd::Crowd,
    process::Process,
    report::thousands,
};
use crate::talk::Failed;

/// Hold connections that say nothing: memory of the server for each, by its process (--pid), on Linux
///
/// Begin with a fresh server: memory that others have used and left would not be counted.
#[derive(Args, Clone, Debug)]
pub(super) struct IdleArgs {
    #[command(flatten)]
    target: Target,
    /// Clients that come in and stay
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// Clients that come in before it counts, so that what a server allocates once is not counted for each
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    before: u32,
    /// Seconds to wait, after all are in, before memory is read
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    settle: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    scenario: &'static str,
    url: &'a str,
    clients: u32,
    bytes_before: u64,
    bytes_after: u64,
    bytes_each: f64,
    lost: u64,
    duplicates: u64,
}

/// Measures.
pub(super) fn run(args: &IdleArgs) -> Result<ExitCode, Failed> {
    let pid = args
        .target
        .pid
        .ok_or("expected --pid, the process of the server whose memory is to be read")?;
    let server = Process::Other(pid);
    server.resident()?;
    let mut crowd = Crowd::new(&args.target)?;
    let mut crew = Crew::default();
    crowd.gather(args.before as usize, &mut crew, |crew| crew.inside)?;
    crew.settle(&mut crowd, args.settle)?;
    let bytes_before = server.resident()?;
    crowd.gather(args.clients as usize, &mut crew, |crew| crew.inside)?;
    crew.settle(&mut crowd, args.settle)?;
    let bytes_after = server.resident()?;
    let found = Found {
        scenario: "idle",
        url: &args.target.url,
        clients: args.clients,
        bytes_before,
        bytes_after,
        bytes_each: bytes_after.saturating_sub(bytes_before) as f64 / f64::from(args.clients),
        lost: crew.lost,
        duplicates: (crew.inside as u64)
            .saturating_sub(u64::from(args.before) + u64::from(args.clients)),
    };
    found.print(args.target.json)?;
    Ok(if found.lost == 0 && found.duplicates == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Found<'_> {
    fn print(&self, json: bool) -> Result<(), Failed> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let kib = |bytes: u64| thousands(bytes as f64 / 1024.0);
        println!("{} idle connections to {}\n", self.clients, self.url);
        println!("{:>12} KiB before", kib(self.bytes_before));
        println!("{:>12} KiB with them", kib(self.bytes_after));
        println!("{:>12.2} KiB each", self.bytes_each / 1024.0);
        println!("\n{} lost", self.lost);
        Ok(())
    }
}

#[derive(Default)]
struct Crew {
    inside: usize,
    lost: u64,
}

impl Crew {
    /// Answers pings for a while.
    fn settle(&mut self, crowd: &mut Crowd, seconds: u64) -> Result<(), Failed> {
        let until = Instant::now() + Duration::from_secs(seconds);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            crowd.turn(left, self)?;
        }
        Ok(())
    }
}

impl Work for Crew {
    fn heard(&mut self, _: usize, _: &mut Client, heard: Heard<'_>, _: u64) -> Result<(), Failed> {
        match heard {
            Heard::In => self.inside += 1,
            Heard::Actions(_) => {}
            Heard::Gone(_) => self.lost += 1,
        }
        Ok(())
    }
}
