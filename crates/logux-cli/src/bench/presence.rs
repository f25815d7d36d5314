//! The scenario `presence`: people in one channel who move their cursors.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use memchr::memmem::{self, Finder};

use super::{
    args::{TargetArgs, TimingArgs, parse_json_literal},
    client::Client,
    client_pool::ClientPool,
    error::BenchError,
    load::{Load, POLL_TIMEOUT, Pace},
    message::{ensure_not_undone, parse_number, push_number},
    report::BenchReport,
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
    #[arg(
        long,
        value_name = "NAME",
        default_value = "notes/bench",
        value_parser = parse_json_literal
    )]
    channel: String,
    /// Number of people
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    people: u32,
    /// Moves per second of each person
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    moves: u32,
}

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
        people: u64::from(args.people),
        // Nothing is due before the load begins.
        pace: Pace::start(Duration::MAX),
    };
    pool.connect_all(people, &mut scenario, |scenario| scenario.connected)?;
    while scenario.subscribed < people {
        pool.poll(POLL_TIMEOUT, &mut scenario)?;
        pool.ensure_responsive()?;
    }
    let interval = Duration::from_secs(1) / (args.people * args.moves);
    scenario.pace = Pace::start(interval);
    let tick = interval.max(Duration::from_millis(1));
    let _ticker = Ticker::start(pool.waker()?, scenario.pace.started(), tick)?;
    scenario.warm_up(&mut pool, args.timing)?;
    scenario.bytes = 0;
    let runs = scenario.measure(&mut pool, args.timing, args.target.pid)?;
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
    people: u64,
    pace: Pace,
}

impl Load for PresenceScenario {
    fn on_connected(&mut self, _: usize, client: &mut Client, now: u64) {
        self.connected += 1;
        client.send_action(now, |out| out.extend_from_slice(self.subscribe.as_bytes()));
    }

    fn on_actions(&mut self, _: usize, actions: &[u8], now: u64) -> Result<(), BenchError> {
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

    /// Moves the cursors that are due, one person after the other.
    fn send_due(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        for n in self.moved..self.pace.due() {
            let at = self.pace.due_at(n, pool);
            let (person, now) = ((n % self.people) as usize, pool.now());
            let channel = &self.channel;
            let client = pool.client(person);
            client.send_action(now, |out| {
                let head =
                    format!(r#"{{"type":"presence/set","channel":"{channel}","state":{{"at":"#);
                out.extend_from_slice(head.as_bytes());
                push_number(out, at);
                out.extend_from_slice(
                    br##","name":"Person","color":"#4466aa","cursors":[{"anchor":"@10:ada:tab "##,
                );
                push_number(out, n);
                out.extend_from_slice(br#""}]}}"#);
            });
            client.flush()?;
            self.moved = n + 1;
        }
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }

    fn latencies(&mut self) -> &mut LatencySamples {
        &mut self.latencies
    }
}
