//! One action to many: how many deliveries a second, and how late they are at a steady rate.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use memchr::memmem::{self, Finder};

use super::{
    args::{Target, Timing, Wording, plain},
    client::{Client, Heard, Work},
    crowd::Crowd,
    message::{number, push_number},
    report::{Meter, Report, Run},
    samples::Samples,
    seen::Seen,
    ticker::Ticker,
};
use crate::talk::Failed;

/// Send actions to all subscribers of a channel: deliveries a second, at full load or at a steady rate
#[derive(Args, Clone, Debug)]
pub(super) struct FanOutArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    wording: Wording,
    /// Channel that the actions are resent to
    #[arg(long, value_name = "NAME", default_value = "bench", value_parser = plain)]
    channel: String,
    /// Clients that are subscribed to it
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: u32,
    /// Clients that send actions to it
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    publishers: u32,
    /// Actions that may be under way at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 64, conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    window: u32,
    /// Deliveries a second, evenly, in place of as many as there can be
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

/// The longest wait for something to happen, so that the end of a run is not missed.
const TURN: Duration = Duration::from_millis(20);

/// Measures.
pub(super) fn run(args: &FanOutArgs) -> Result<ExitCode, Failed> {
    let mut crowd = Crowd::new(&args.target)?;
    let mut fan_out = FanOut::new(args);
    crowd
        .gather(fan_out.subscribers + fan_out.sent.len(), &mut fan_out, |fan_out| fan_out.inside)?;
    while fan_out.subscribed < fan_out.subscribers {
        crowd.turn(TURN, &mut fan_out)?;
        crowd.must_talk()?;
    }
    let runs = fan_out.load(&mut crowd, args)?;
    let lost = fan_out.wait_for_rest(&mut crowd)?;
    let mut load =
        serde_json::json!({"subscribers": args.subscribers, "publishers": args.publishers});
    match args.rate {
        Some(rate) => load["rate"] = rate.into(),
        None => load["window"] = args.window.into(),
    }
    let report = Report::new("fan-out", &args.target.url, load, "deliveries", runs);
    Report { lost, duplicates: fan_out.duplicates, ..report }.print(args.target.json)
}

/// The subscribers come first, the publishers behind them.
struct FanOut {
    subscribers: usize,
    subscribe: String,
    inside: usize,
    subscribed: usize,
    /// How many actions each publisher has sent.
    sent: Vec<u64>,
    /// What each subscriber has got of each publisher.
    seen: Vec<Seen>,
    got: u64,
    duplicates: u64,
    latencies: Samples,
    /// An action of a publisher, up to its number, and the text at its end.
    head: String,
    text: String,
    marker: Finder<'static>,
}

impl FanOut {
    fn new(args: &FanOutArgs) -> Self {
        let (subscribers, publishers) = (args.subscribers as usize, args.publishers as usize);
        let head = format!("\"type\":\"{}\",\"by\":", args.wording.kind);
        Self {
            subscribers,
            subscribe: format!("{{\"type\":\"logux/subscribe\",\"channel\":\"{}\"}}", args.channel),
            inside: 0,
            subscribed: 0,
            sent: vec![0; publishers],
            seen: vec![Seen::default(); subscribers * publishers],
            got: 0,
            duplicates: 0,
            latencies: Samples::default(),
            marker: Finder::new(&head).into_owned(),
            head,
            text: "x".repeat(args.wording.text),
        }
    }

    fn due(&self) -> u64 {
        self.sent.iter().sum::<u64>() * self.subscribers as u64
    }

    /// The warm-up and the runs.
    fn load(&mut self, crowd: &mut Crowd, args: &FanOutArgs) -> Result<Vec<Run>, Failed> {
        let start = Instant::now();
        let interval = args.rate.map(|rate| Duration::from_secs(1) * args.subscribers / rate);
        let _ticker =
            interval.map(|interval| Ticker::start(crowd.waker()?, start, interval)).transpose()?;
        let publish = |fan_out: &mut Self, crowd: &mut Crowd| match interval {
            Some(interval) => fan_out.publish_due(crowd, start, interval),
            None => fan_out.publish_within(crowd, args.window.into()),
        };
        while start.elapsed() < args.timing.warm_up() {
            publish(self, crowd)?;
            crowd.turn(TURN, self)?;
            crowd.must_talk()?;
        }
        let mut runs = Vec::new();
        for _ in 0..args.timing.runs {
            self.latencies.take();
            let (meter, before) = (Meter::start(args.target.pid), self.got);
            while meter.elapsed() < args.timing.run() {
                publish(self, crowd)?;
                crowd.turn(TURN, self)?;
                crowd.must_talk()?;
            }
            runs.push(meter.finish(self.got - before, &mut self.latencies));
        }
        Ok(runs)
    }

    /// As many as may be under way.
    fn publish_within(&mut self, crowd: &mut Crowd, window: u64) -> Result<(), Failed> {
        let room = (self.got + window * self.subscribers as u64).saturating_sub(self.due())
            / self.subscribers as u64;
        let now = crowd.now();
        for _ in 0..room {
            self.publish(crowd, now);
        }
        self.flush(crowd)
    }

    /// Those whose time has come. Each counts from when it should have left, so that a late program does not look like a fast server.
    fn publish_due(
        &mut self,
        crowd: &mut Crowd,
        start: Instant,
        interval: Duration,
    ) -> Result<(), Failed> {
        // Not in microseconds: the ticker counts in finer steps, and what is due at a tick must not have to wait for the next.
        let due = start.elapsed().as_nanos() / interval.as_nanos().max(1);
        let begun = crowd.micros(start);
        for n in u128::from(self.sent.iter().sum::<u64>())..due {
            let after = (n + 1) * interval.as_nanos() / 1_000;
            self.publish(crowd, begun + u64::try_from(after).unwrap_or(u64::MAX));
        }
        self.flush(crowd)
    }

    fn publish(&mut self, crowd: &mut Crowd, at: u64) {
        let all: u64 = self.sent.iter().sum();
        let by = all as usize % self.sent.len();
        let n = self.sent[by];
        self.sent[by] += 1;
        let now = crowd.now();
        crowd.client(self.subscribers + by).act(now, |out| {
            out.push(b'{');
            out.extend_from_slice(self.head.as_bytes());
            push_number(out, by as u64);
            out.extend_from_slice(b",\"n\":");
            push_number(out, n);
            out.extend_from_slice(b",\"at\":");
            push_number(out, at);
            out.extend_from_slice(b",\"text\":\"");
            out.extend_from_slice(self.text.as_bytes());
            out.extend_from_slice(b"\"}");
        });
    }

    fn flush(&self, crowd: &mut Crowd) -> Result<(), Failed> {
        for by in 0..self.sent.len() {
            crowd.client(self.subscribers + by).flush()?;
        }
        Ok(())
    }

    /// How many never came, after waiting for them.
    fn wait_for_rest(&mut self, crowd: &mut Crowd) -> Result<u64, Failed> {
        while self.got < self.due() && !crowd.is_silent() {
            crowd.turn(TURN, self)?;
        }
        Ok(self.due() - self.got)
    }

    fn delivered(&mut self, subscriber: usize, actions: &[u8], now: u64) -> Result<(), Failed> {
        let mut rest = actions;
        while let Some(found) = self.marker.find(rest) {
            rest = &rest[found + self.head.len()..];
            let (by, digits) = number(rest);
            let (n, after) = field(&rest[digits..], b",\"n\":");
            let (at, after) = field(after, b",\"at\":");
            rest = after;
            let Some(seen) = self.seen.get_mut(subscriber * self.sent.len() + by as usize) else {
                continue;
            };
            if seen.note(n) {
                self.got += 1;
                self.latencies.add(now.saturating_sub(at));
            } else {
                self.duplicates += 1;
            }
        }
        if rest.len() == actions.len() {
            return self.answered(actions);
        }
        Ok(())
    }

    fn answered(&mut self, actions: &[u8]) -> Result<(), Failed> {
        if memmem::find(actions, b"\"logux/processed\"").is_some() {
            self.subscribed += 1;
        }
        refused(actions)
    }
}

/// An error if something was undone.
pub(super) fn refused(actions: &[u8]) -> Result<(), Failed> {
    if memmem::find(actions, b"\"logux/undo\"").is_some() {
        return Err(format!("the server refuses: {}", String::from_utf8_lossy(actions)).into());
    }
    Ok(())
}

/// The number behind a name, and what follows it.
fn field<'a>(text: &'a [u8], name: &[u8]) -> (u64, &'a [u8]) {
    let rest = text.strip_prefix(name).unwrap_or(text);
    let (value, digits) = number(rest);
    (value, &rest[digits..])
}

impl Work for FanOut {
    fn heard(
        &mut self,
        at: usize,
        client: &mut Client,
        heard: Heard<'_>,
        now: u64,
    ) -> Result<(), Failed> {
        match heard {
            Heard::In => {
                self.inside += 1;
                if at < self.subscribers {
                    client.act(now, |out| out.extend_from_slice(self.subscribe.as_bytes()));
                }
                Ok(())
            }
            Heard::Actions(actions) if at < self.subscribers => self.delivered(at, actions, now),
            Heard::Actions(actions) => refused(actions),
            Heard::Gone(why) => Err(format!("a client was cut off: {why}").into()),
        }
    }
}
