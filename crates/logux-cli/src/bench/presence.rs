//! The scenario `presence`: people in one channel who move their cursors.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use memchr::memmem::{self, Finder};

use super::{
    args::{TargetArgs, TimingArgs, parse_json_literal},
    client::{Client, ClientEvent, EventHandler},
    client_pool::ClientPool,
    error::BenchError,
    message::{ensure_not_undone, parse_number, push_number},
    report::{BenchReport, Meter, RunReport},
    samples::LatencySamples,
    ticker::Ticker,
};

/// Measure the presence of many people in one channel
///
/// Each person moves a cursor at a steady rate, and receives the cursors of the others as often as
/// the server sends them. Needs a server whose channel has presence: `logux serve --document
/// notes`. A delivery is one action with the states of several people. The latency is the time from
/// when a move was due to its delivery, for the first person of each delivery.
#[derive(Args, Clone, Debug)]
pub(super) struct PresenceArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    timing: TimingArgs,
    /// Channel with presence
    #[arg(long, value_name = "NAME", default_value = "notes/bench", value_parser = parse_json_literal)]
    channel: String,
    /// Number of people
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    people: u32,
    /// Moves per second of each person
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    moves: u32,
}

/// The time-out of one poll, so that a run ends in time.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// Runs the scenario.
pub(super) fn run(args: &PresenceArgs) -> Result<ExitCode, BenchError> {
    let mut pool = ClientPool::new(&args.target)?;
    let people = args.people as usize;
    let subscribe = format!(r#"{{"type":"logux/subscribe","channel":"{}"}}"#, args.channel);
    let mut scenario = PresenceScenario {
        subscribe,
        channel: args.channel.clone(),
        connected: 0,
        subscribed: 0,
        moved: 0,
        delivered: 0,
        bytes: 0,
        latencies: LatencySamples::default(),
        finder: Finder::new(b"\"at\":").into_owned(),
    };
    pool.connect_all(people, &mut scenario, |scenario| scenario.connected)?;
    while scenario.subscribed < people {
        pool.poll(POLL_TIMEOUT, &mut scenario)?;
        pool.ensure_responsive()?;
    }
    let runs = scenario.run_load(&mut pool, args)?;
    let seconds: f64 = runs.iter().map(|run| run.seconds).sum();
    let each = |count: u64| count as f64 / seconds / people as f64;
    let load = serde_json::json!({
        "people": args.people,
        "movesPerSecond": args.moves,
        "deliveriesToEachPerSecond": each(runs.iter().map(|run| run.count).sum()),
        "bytesToEachPerSecond": each(scenario.bytes),
    });
    BenchReport::new("presence", &args.target.url, load, "deliveries", runs).print(args.target.json)
}

struct PresenceScenario {
    subscribe: String,
    channel: String,
    connected: usize,
    subscribed: usize,
    moved: u64,
    delivered: u64,
    /// The bytes of the deliveries in the measured runs.
    bytes: u64,
    latencies: LatencySamples,
    finder: Finder<'static>,
}

impl PresenceScenario {
    /// Runs the warm-up and the measured runs.
    fn run_load(
        &mut self,
        pool: &mut ClientPool,
        args: &PresenceArgs,
    ) -> Result<Vec<RunReport>, BenchError> {
        let start = Instant::now();
        let interval = Duration::from_secs(1) / (args.people * args.moves);
        let _ticker = Ticker::start(pool.waker()?, start, interval.max(Duration::from_millis(1)))?;
        while start.elapsed() < args.timing.warm_up() {
            self.move_due(pool, args.people, start, interval)?;
            pool.poll(POLL_TIMEOUT, self)?;
            pool.ensure_responsive()?;
        }
        let mut runs = Vec::new();
        self.bytes = 0;
        for _ in 0..args.timing.runs {
            self.latencies.take();
            let (meter, before) = (Meter::start(args.target.pid), self.delivered);
            while meter.elapsed() < args.timing.run() {
                self.move_due(pool, args.people, start, interval)?;
                pool.poll(POLL_TIMEOUT, self)?;
                pool.ensure_responsive()?;
            }
            runs.push(meter.finish(self.delivered - before, &mut self.latencies));
        }
        Ok(runs)
    }

    /// Moves the cursors that are due, one person after the other.
    fn move_due(
        &mut self,
        pool: &mut ClientPool,
        people: u32,
        start: Instant,
        interval: Duration,
    ) -> Result<(), BenchError> {
        let due = start.elapsed().as_nanos() / interval.as_nanos().max(1);
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        let started_at = pool.micros(start);
        while self.moved < due {
            let after = u128::from(self.moved + 1) * interval.as_nanos() / 1_000;
            let at = started_at + u64::try_from(after).unwrap_or(u64::MAX);
            let (person, now) = ((self.moved % u64::from(people)) as usize, pool.now());
            let (channel, moved) = (&self.channel, self.moved);
            let client = pool.client(person);
            client.send_action(now, |out| {
                let head =
                    format!(r#"{{"type":"presence/set","channel":"{channel}","state":{{"at":"#);
                out.extend_from_slice(head.as_bytes());
                push_number(out, at);
                out.extend_from_slice(
                    br##","name":"Person","color":"#4466aa","cursors":[{"anchor":"@10:ada:tab "##,
                );
                push_number(out, moved);
                out.extend_from_slice(br#""}]}}"#);
            });
            client.flush()?;
            self.moved += 1;
        }
        Ok(())
    }
}

impl EventHandler for PresenceScenario {
    fn on_event(
        &mut self,
        _: usize,
        client: &mut Client,
        event: ClientEvent<'_>,
        now: u64,
    ) -> Result<(), BenchError> {
        match event {
            ClientEvent::Connected => {
                self.connected += 1;
                client.send_action(now, |out| out.extend_from_slice(self.subscribe.as_bytes()));
                Ok(())
            }
            ClientEvent::Actions(actions) => {
                if memmem::find(actions, b"\"presence/changed\"").is_some() {
                    self.delivered += 1;
                    self.bytes += actions.len() as u64;
                    if let Some(at) = self.finder.find(actions) {
                        let (at, _) = parse_number(&actions[at + b"\"at\":".len()..]);
                        self.latencies.add(now.saturating_sub(at));
                    }
                    return Ok(());
                }
                // Answers to presence are `processed` too, but follow the one of the subscription.
                if self.moved == 0 && memmem::find(actions, b"\"logux/processed\"").is_some() {
                    self.subscribed += 1;
                }
                ensure_not_undone(actions)
            }
            ClientEvent::Closed(reason) => Err(BenchError::Disconnected(reason)),
        }
    }
}
