//! The scenario `fan-out`: actions that are delivered to all subscribers of a channel.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use memchr::memmem::{self, Finder};

use super::{
    args::{ActionArgs, TargetArgs, TimingArgs, parse_json_literal},
    client::{Client, ClientEvent, EventHandler},
    client_pool::ClientPool,
    error::BenchError,
    message::{ensure_not_undone, parse_field, parse_number, push_number},
    report::{BenchReport, Meter, RunReport},
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

/// The time-out of one poll, so that a run ends in time.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

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
    let lost = scenario.wait_for_deliveries(&mut pool)?;
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
    /// The start of an action, up to the number of its publisher.
    head: String,
    /// The text of an action.
    text: String,
    /// Finds `head`.
    finder: Finder<'static>,
}

impl FanOutScenario {
    fn new(args: &FanOutArgs) -> Self {
        let (subscribers, publishers) = (args.subscribers as usize, args.publishers as usize);
        let head = format!("\"type\":\"{}\",\"by\":", args.action.kind);
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
            finder: Finder::new(&head).into_owned(),
            head,
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
        let start = Instant::now();
        let interval = args.rate.map(|rate| Duration::from_secs(1) * args.subscribers / rate);
        let _ticker =
            interval.map(|interval| Ticker::start(pool.waker()?, start, interval)).transpose()?;
        let publish = |scenario: &mut Self, pool: &mut ClientPool| match interval {
            Some(interval) => scenario.publish_due(pool, start, interval),
            None => scenario.publish_within(pool, args.window.into()),
        };
        while start.elapsed() < args.timing.warm_up() {
            publish(self, pool)?;
            pool.poll(POLL_TIMEOUT, self)?;
            pool.ensure_responsive()?;
        }
        let mut runs = Vec::new();
        for _ in 0..args.timing.runs {
            self.latencies.take();
            let (meter, before) = (Meter::start(args.target.pid), self.delivered);
            while meter.elapsed() < args.timing.run() {
                publish(self, pool)?;
                pool.poll(POLL_TIMEOUT, self)?;
                pool.ensure_responsive()?;
            }
            runs.push(meter.finish(self.delivered - before, &mut self.latencies));
        }
        Ok(runs)
    }

    /// Publishes actions until `window` of them are in flight.
    fn publish_within(&mut self, pool: &mut ClientPool, window: u64) -> Result<(), BenchError> {
        let free = (self.delivered + window * self.subscribers as u64)
            .saturating_sub(self.expected())
            / self.subscribers as u64;
        let now = pool.now();
        for _ in 0..free {
            self.publish(pool, now);
        }
        self.flush(pool)
    }

    /// Publishes the actions that are due. Latencies are measured from the time when an action was
    /// due, so that a delay of the clients is not hidden.
    fn publish_due(
        &mut self,
        pool: &mut ClientPool,
        start: Instant,
        interval: Duration,
    ) -> Result<(), BenchError> {
        // In nanoseconds, like the ticker: in microseconds, an action that is due at a tick could
        // have to wait for the next tick.
        let due = start.elapsed().as_nanos() / interval.as_nanos().max(1);
        let started_at = pool.micros(start);
        for n in u128::from(self.sent.iter().sum::<u64>())..due {
            let after = (n + 1) * interval.as_nanos() / 1_000;
            self.publish(pool, started_at + u64::try_from(after).unwrap_or(u64::MAX));
        }
        self.flush(pool)
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
            out.push(b'{');
            out.extend_from_slice(self.head.as_bytes());
            push_number(out, publisher as u64);
            out.extend_from_slice(b",\"n\":");
            push_number(out, n);
            out.extend_from_slice(b",\"at\":");
            push_number(out, sent_at);
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

    /// Waits for outstanding deliveries. Returns the number of lost ones.
    fn wait_for_deliveries(&mut self, pool: &mut ClientPool) -> Result<u64, BenchError> {
        while self.delivered < self.expected() && !pool.is_unresponsive() {
            pool.poll(POLL_TIMEOUT, self)?;
        }
        Ok(self.expected() - self.delivered)
    }

    fn on_actions(
        &mut self,
        subscriber: usize,
        actions: &[u8],
        now: u64,
    ) -> Result<(), BenchError> {
        let mut rest = actions;
        while let Some(start) = self.finder.find(rest) {
            rest = &rest[start + self.head.len()..];
            let (publisher, digits) = parse_number(rest);
            let (n, tail) = parse_field(&rest[digits..], b",\"n\":");
            let (sent_at, tail) = parse_field(tail, b",\"at\":");
            rest = tail;
            let Some(tracker) =
                self.received.get_mut(subscriber * self.sent.len() + publisher as usize)
            else {
                continue;
            };
            if tracker.record(n) {
                self.delivered += 1;
                self.latencies.add(now.saturating_sub(sent_at));
            } else {
                self.duplicates += 1;
            }
        }
        if rest.len() == actions.len() {
            return self.on_answer(actions);
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

impl EventHandler for FanOutScenario {
    fn on_event(
        &mut self,
        index: usize,
        client: &mut Client,
        event: ClientEvent<'_>,
        now: u64,
    ) -> Result<(), BenchError> {
        match event {
            ClientEvent::Connected => {
                self.connected += 1;
                if index < self.subscribers {
                    client.send_action(now, |out| out.extend_from_slice(self.subscribe.as_bytes()));
                }
                Ok(())
            }
            ClientEvent::Actions(actions) if index < self.subscribers => {
                self.on_actions(index, actions, now)
            }
            ClientEvent::Actions(actions) => ensure_not_undone(actions),
            ClientEvent::Closed(reason) => Err(BenchError::Disconnected(reason)),
        }
    }
}
