//! Clients that come in and leave again, all the time.

use std::{mem, process::ExitCode, time::Duration};

use clap::Args;

use super::{
    args::{Target, Timing},
    client::{Client, Heard, Work},
    crowd::Crowd,
    report::{Meter, Report},
    samples::Samples,
};
use crate::talk::Failed;

/// Connect, log in and leave again: connects a second, and how long each takes from the first packet to `connected`
#[derive(Args, Clone, Debug)]
pub(super) struct ConnectsArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    /// Clients that do so side by side
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
}

/// The longest wait for something to happen, so that the end of a run is not missed.
const TURN: Duration = Duration::from_millis(20);

/// Measures.
pub(super) fn run(args: &ConnectsArgs) -> Result<ExitCode, Failed> {
    let mut crowd = Crowd::new(&args.target)?;
    let mut visits = Visits::default();
    for _ in 0..args.clients {
        crowd.enter()?;
        visits.inside.push(false);
    }
    let warm_up = Meter::start(None);
    while warm_up.elapsed() < args.timing.warm_up() {
        visits.turn(&mut crowd)?;
    }
    let mut runs = Vec::new();
    for _ in 0..args.timing.runs {
        visits.latencies.take();
        let meter = Meter::start(args.target.pid);
        while meter.elapsed() < args.timing.run() {
            visits.turn(&mut crowd)?;
        }
        runs.push(meter.finish(visits.latencies.len() as u64, &mut visits.latencies));
    }
    let load = serde_json::json!({"clients": args.clients});
    let report = Report::new("connects", &args.target.url, load, "connects", runs);
    Report { lost: visits.lost, duplicates: visits.duplicates, ..report }.print(args.target.json)
}

#[derive(Default)]
struct Visits {
    /// Who was let in and is leaving.
    inside: Vec<bool>,
    /// Whose place is free.
    gone: Vec<usize>,
    latencies: Samples,
    /// Connections that ended before the client was in.
    lost: u64,
    duplicates: u64,
}

impl Visits {
    fn turn(&mut self, crowd: &mut Crowd) -> Result<(), Failed> {
        crowd.turn(TURN, self)?;
        crowd.must_talk()?;
        for at in mem::take(&mut self.gone) {
            crowd.enter_again(at)?;
        }
        Ok(())
    }
}

impl Work for Visits {
    fn heard(
        &mut self,
        at: usize,
        client: &mut Client,
        heard: Heard<'_>,
        now: u64,
    ) -> Result<(), Failed> {
        match heard {
            Heard::In if mem::replace(&mut self.inside[at], true) => self.duplicates += 1,
            Heard::In => {
                self.latencies.add(now - client.began);
                client.leave();
            }
            Heard::Actions(_) => {}
            Heard::Gone(_) => {
                if !mem::take(&mut self.inside[at]) {
                    self.lost += 1;
                }
                self.gone.push(at);
            }
        }
        Ok(())
    }
}
