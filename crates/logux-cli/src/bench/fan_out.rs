//! The scenario `fan-out`: actions that are delivered to all subscribers of a channel.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use memchr::memmem;

use super::{
    args::{ActionArgs, TargetArgs, TimingArgs, parse_json_literal},
    client::Client,
    client_pool::ClientPool,
    error::BenchError,
    load::{Load, POLL_TIMEOUT, Pace},
    message::{NumberedActions, Numbers, ensure_not_undone},
    report::{BenchReport, RunReport},
    samples::LatencySamples,
    sequence_tracker::SequenceTracker,
    ticker::Ticker,
};

/// Measure deliveries per second to the subscribers of a channel
///
/// Publishers send actions to a channel, at full load or at a steady rate (--rate). The latency is
/// the time from sending an action, or with --rate from when it was due, to its delivery to a
/// subscriber.
#[derive(Args, Clone, Debug)]
pub(super) struct FanOutArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    timing: TimingArgs,
    #[command(flatten)]
    action: ActionArgs,
    /// Channel to which the server resends the actions
    #[arg(long, value_name = "NAME", default_value = "bench", value_parser = parse_json_literal)]
    channel: String,
    /// Number of subscribers
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: u32,
    /// Number of publishers
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    publishers: u32,
    /// Maximum number of actions that are not delivered to all subscribers yet
    #[arg(long, value_name = "NUMBER", default_value_t = 64, conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Deliveries per second, at a steady rate [default: full load]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

/// Runs the scenario.
pub(super) fn run(args: &FanOutArgs) -> Result<ExitCode, BenchError> {
    let mut pool = ClientPool::new(&args.target)?;
    let mut scenario = FanOutScenario::new(args);
    pool.connect_all(scenario.subscribers + scenario.sent.len(), &mut scenario, |scenario| {
        scenario.connected
    })?;
    while scenario.subscribed < scenario.subscribers {
        pool.poll(POLL_TIMEOUT, &mut scenario)?;
        pool.ensure_responsive()?;
    }
    let runs = scenario.run_load(&mut pool, args)?;
    let expected = scenario.expected();
    let lost = scenario.wait_for_deliveries(&mut pool, expected)?;
    let mut load =
        serde_json::json!({"subscribers": args.subscribers, "publishers": args.publishers});
    match args.rate {
        Some(rate) => load["rate"] = rate.into(),
        None => load["window"] = args.window.into(),
    }
    let report = BenchReport::new("fan-out", &args.target.url, load, "deliveries", runs);
    BenchReport { lost, duplicates: scenario.duplicates, ..report }.print(args.target.json)
}

/// The subscribers are the first clients of the pool, followed by the publishers.
struct FanOutScenario {
    subscribers: usize,
    subscribe: String,
    connected: usize,
    subscribed: usize,
    /// The number of actions that each publisher has sent.
    sent: Vec<u64>,
    /// The actions that each subscriber has received from each publisher.
    received: Vec<SequenceTracker>,
    delivered: u64,
    duplicates: u64,
    latencies: LatencySamples,
    actions: NumberedActions,
    /// The text of an action.
    text: String,
    pace: PublishingPace,
}

/// When actions are published.
#[derive(Clone, Copy)]
enum PublishingPace {
    Steady(Pace),
    /// When fewer actions than this are not delivered to all subscribers yet.
    Window(u64),
}

impl FanOutScenario {
    fn new(args: &FanOutArgs) -> Self {
        let (subscribers, publishers) = (args.subscribers as usize, args.publishers as usize);
        Self {
            subscribers,
            subscribe: format!("{{\"type\":\"logux/subscribe\",\"channel\":\"{}\"}}", args.channel),
            connected: 0,
            subscribed: 0,
            sent: vec![0; publishers],
            received: vec![SequenceTracker::default(); subscribers * publishers],
            delivered: 0,
            duplicates: 0,
            latencies: LatencySamples::default(),
            actions: NumberedActions::new(&args.action.kind),
            pace: PublishingPace::Window(args.window.into()),
            text: "x".repeat(args.action.text),
        }
    }

    /// Returns the number of deliveries of all actions sent so far.
    fn expected(&self) -> u64 {
        self.sent.iter().sum::<u64>() * self.subscribers as u64
    }

    /// Runs the warm-up and the measured runs.
    fn run_load(
        &mut self,
        pool: &mut ClientPool,
        args: &FanOutArgs,
    ) -> Result<Vec<RunReport>, BenchError> {
        let interval = args.rate.map(|rate| Duration::from_secs(1) * args.subscribers / rate);
        let mut ticker = None;
        if let Some(interval) = interval {
            let pace = Pace::start(interval);
            ticker = Some(Ticker::start(pool.waker()?, pace.started(), interval)?);
            self.pace = PublishingPace::Steady(pace);
        }
        self.warm_up(pool, args.timing)?;
        let runs = self.measure(pool, args.timing, args.target.pid);
        drop(ticker);
        runs
    }

    /// Publishes actions until `window` of them are in flight.
    fn publish_within(&mut self, pool: &mut ClientPool, window: u64) {
        let free = (self.delivered + window * self.subscribers as u64)
            .saturating_sub(self.expected())
            / self.subscribers as u64;
        let now = pool.now();
        for _ in 0..free {
            self.publish(pool, now);
        }
    }

    /// Publishes the actions that are due.
    fn publish_due(&mut self, pool: &mut ClientPool, pace: Pace) {
        for n in self.sent.iter().sum::<u64>()..pace.due() {
            let due_at = pace.due_at(n, pool);
            self.publish(pool, due_at);
        }
    }

    /// Sends an action from the next publisher. `sent_at` is the time from which its latency
    /// counts.
    fn publish(&mut self, pool: &mut ClientPool, sent_at: u64) {
        let total: u64 = self.sent.iter().sum();
        let publisher = total as usize % self.sent.len();
        let n = self.sent[publisher];
        self.sent[publisher] += 1;
        let now = pool.now();
        pool.client(self.subscribers + publisher).send_action(now, |out| {
            self.actions.push(out, Numbers { by: publisher as u64, n, at: sent_at });
            out.extend_from_slice(b",\"text\":\"");
            out.extend_from_slice(self.text.as_bytes());
            out.extend_from_slice(b"\"}");
        });
    }

    fn flush(&self, pool: &mut ClientPool) -> Result<(), BenchError> {
        for publisher in 0..self.sent.len() {
            pool.client(self.subscribers + publisher).flush()?;
        }
        Ok(())
    }

    fn on_answer(&mut self, actions: &[u8]) -> Result<(), BenchError> {
        if memmem::find(actions, b"\"logux/processed\"").is_some() {
            self.subscribed += 1;
        }
        ensure_not_undone(actions)
    }
}

impl Load for FanOutScenario {
    fn on_connected(&mut self, index: usize, client: &mut Client, now: u64) {
        self.connected += 1;
        if index < self.subscribers {
            client.send_action(now, |out| out.extend_from_slice(self.subscribe.as_bytes()));
        }
    }

    fn on_actions(&mut self, index: usize, actions: &[u8], now: u64) -> Result<(), BenchError> {
        if index >= self.subscribers {
            return ensure_not_undone(actions);
        }
        let mut rest = actions;
        while let Some((Numbers { by, n, at }, tail)) = self.actions.next(rest) {
            rest = tail;
            let Some(tracker) = self.received.get_mut(index * self.sent.len() + by as usize) else {
                continue;
            };
            if tracker.record(n) {
                self.delivered += 1;
                self.latencies.add(now.saturating_sub(at));
            } else {
                self.duplicates += 1;
            }
        }
        if rest.len() == actions.len() {
            return self.on_answer(actions);
        }
        Ok(())
    }

    fn send_due(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        match self.pace {
            PublishingPace::Steady(pace) => self.publish_due(pool, pace),
            PublishingPace::Window(window) => self.publish_within(pool, window),
        }
        self.flush(pool)
    }

    fn delivered(&self) -> u64 {
        self.delivered
    }

    fn latencies(&mut self) -> &mut LatencySamples {
        &mut self.latencies
    }
}
