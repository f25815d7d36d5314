//! The scenario `typing`: people who type into documents, each key an edit.

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
    message::{ensure_not_undone, parse_field, parse_number, push_number},
    report::{BenchReport, Meter, RunReport},
    samples::LatencySamples,
    sequence_tracker::SequenceTracker,
    ticker::Ticker,
};

/// Measure the latency of typing in documents
///
/// People type into the text at `/text` of documents that they share, each key in an edit of its
/// own. Needs a server with a kind of documents: `logux serve --document notes`. The latency is the
/// time from when a key was due to its delivery to another person.
#[derive(Args, Clone, Debug)]
pub(super) struct TypingArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    timing: TimingArgs,
    /// Kind of the documents
    #[arg(long, value_name = "NAME", default_value = "notes", value_parser = parse_json_literal)]
    document: String,
    /// Number of people
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=2_000))]
    people: u32,
    /// Number of documents
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    documents: u32,
    /// Keys per second of each person
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    keys: u32,
}

/// The time-out of one poll, so that a run ends in time.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// Runs the scenario.
pub(super) fn run(args: &TypingArgs) -> Result<ExitCode, BenchError> {
    let mut pool = ClientPool::new(&args.target)?;
    let mut scenario = TypingScenario::new(args);
    pool.connect_all(scenario.people(), &mut scenario, |scenario| scenario.connected)?;
    scenario.create_documents(&mut pool)?;
    scenario.subscribe(&mut pool)?;
    let runs = scenario.run_load(&mut pool, args)?;
    let lost = scenario.wait_for_deliveries(&mut pool)?;
    let load = serde_json::json!({
        "people": args.people, "documents": args.documents, "keysPerSecond": args.keys,
    });
    let report = BenchReport::new("typing", &args.target.url, load, "deliveries", runs);
    BenchReport { lost, duplicates: scenario.duplicates, ..report }.print(args.target.json)
}

struct TypingScenario {
    kind: String,
    /// The documents of this run have ids of their own.
    run: u64,
    documents: usize,
    connected: usize,
    answered: usize,
    /// The number of keys of each person.
    typed: Vec<u64>,
    /// The keys that each person has received from each other one.
    received: Vec<SequenceTracker>,
    delivered: u64,
    duplicates: u64,
    latencies: LatencySamples,
    /// The start of an edit, up to the number of its author.
    head: String,
    /// Finds `head`.
    finder: Finder<'static>,
}

impl TypingScenario {
    fn new(args: &TypingArgs) -> Self {
        let people = args.people as usize;
        let head = format!("\"type\":\"{}/edit\",\"by\":", args.document);
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let run = since_epoch.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0));
        Self {
            kind: args.document.clone(),
            run,
            documents: args.documents as usize,
            connected: 0,
            answered: 0,
            typed: vec![0; people],
            received: vec![SequenceTracker::default(); people * people],
            delivered: 0,
            duplicates: 0,
            latencies: LatencySamples::default(),
            finder: Finder::new(&head).into_owned(),
            head,
        }
    }

    fn people(&self) -> usize {
        self.typed.len()
    }

    /// Returns the number of the others in the document of a person.
    fn others(&self, person: usize) -> u64 {
        let document = person % self.documents;
        let people = (self.people() - document).div_ceil(self.documents);
        people as u64 - 1
    }

    /// Returns the number of deliveries of all keys so far.
    fn expected(&self) -> u64 {
        self.typed.iter().enumerate().map(|(person, typed)| typed * self.others(person)).sum()
    }

    fn create_documents(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        let count = self.documents.min(self.people());
        for person in 0..count {
            let create = format!(
                r#"{{"type":"{}/create","id":"{}-{person}","ops":[]}}"#,
                self.kind, self.run
            );
            self.send(pool, person, &create)?;
        }
        self.wait_for_answers(pool, count)
    }

    fn subscribe(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        for person in 0..self.people() {
            let document = person % self.documents;
            let channel = format!("{}/{}-{document}", self.kind, self.run);
            let subscribe = format!(r#"{{"type":"logux/subscribe","channel":"{channel}"}}"#);
            self.send(pool, person, &subscribe)?;
        }
        self.wait_for_answers(pool, self.people())
    }

    fn send(&self, pool: &mut ClientPool, person: usize, json: &str) -> Result<(), BenchError> {
        let now = pool.now();
        let client = pool.client(person);
        client.send_action(now, |out| out.extend_from_slice(json.as_bytes()));
        Ok(client.flush()?)
    }

    fn wait_for_answers(&mut self, pool: &mut ClientPool, count: usize) -> Result<(), BenchError> {
        self.answered = 0;
        while self.answered < count {
            pool.poll(POLL_TIMEOUT, self)?;
            pool.ensure_responsive()?;
        }
        Ok(())
    }

    /// Runs the warm-up and the measured runs.
    fn run_load(
        &mut self,
        pool: &mut ClientPool,
        args: &TypingArgs,
    ) -> Result<Vec<RunReport>, BenchError> {
        let start = Instant::now();
        let interval = Duration::from_secs(1) / (args.people * args.keys);
        let _ticker = Ticker::start(pool.waker()?, start, interval)?;
        while start.elapsed() < args.timing.warm_up() {
            self.type_due(pool, start, interval)?;
            pool.poll(POLL_TIMEOUT, self)?;
            pool.ensure_responsive()?;
        }
        let mut runs = Vec::new();
        for _ in 0..args.timing.runs {
            self.latencies.take();
            let (meter, before) = (Meter::start(args.target.pid), self.delivered);
            while meter.elapsed() < args.timing.run() {
                self.type_due(pool, start, interval)?;
                pool.poll(POLL_TIMEOUT, self)?;
                pool.ensure_responsive()?;
            }
            runs.push(meter.finish(self.delivered - before, &mut self.latencies));
        }
        Ok(runs)
    }

    /// Types the keys that are due, one person after the other.
    fn type_due(
        &mut self,
        pool: &mut ClientPool,
        start: Instant,
        interval: Duration,
    ) -> Result<(), BenchError> {
        let due = start.elapsed().as_nanos() / interval.as_nanos().max(1);
        let started_at = pool.micros(start);
        for n in u128::from(self.typed.iter().sum::<u64>())..due {
            let after = (n + 1) * interval.as_nanos() / 1_000;
            self.type_key(pool, started_at + u64::try_from(after).unwrap_or(u64::MAX))?;
        }
        Ok(())
    }

    fn type_key(&mut self, pool: &mut ClientPool, due_at: u64) -> Result<(), BenchError> {
        let total: u64 = self.typed.iter().sum();
        let person = total as usize % self.people();
        let n = self.typed[person];
        self.typed[person] += 1;
        let (document, run, now) = (person % self.documents, self.run, pool.now());
        let client = pool.client(person);
        client.send_action(now, |out| {
            out.push(b'{');
            out.extend_from_slice(self.head.as_bytes());
            push_number(out, person as u64);
            out.extend_from_slice(b",\"n\":");
            push_number(out, n);
            out.extend_from_slice(b",\"at\":");
            push_number(out, due_at);
            let op = r#""ops":[{"op":"insertText","path":"/text","text":"x","first":"#;
            out.extend_from_slice(format!(",\"id\":\"{run}-{document}\",{op}").as_bytes());
            push_number(out, n);
            // Each person types after the own last letter.
            if let Some(last) = n.checked_sub(1) {
                out.extend_from_slice(b",\"after\":");
                push_number(out, last);
            }
            out.extend_from_slice(b"}]}");
        });
        Ok(client.flush()?)
    }

    /// Waits for outstanding deliveries. Returns the number of lost ones.
    fn wait_for_deliveries(&mut self, pool: &mut ClientPool) -> Result<u64, BenchError> {
        while self.delivered < self.expected() && !pool.is_unresponsive() {
            pool.poll(POLL_TIMEOUT, self)?;
        }
        Ok(self.expected() - self.delivered)
    }

    fn on_actions(&mut self, person: usize, actions: &[u8], now: u64) -> Result<(), BenchError> {
        let mut rest = actions;
        while let Some(start) = self.finder.find(rest) {
            rest = &rest[start + self.head.len()..];
            let (author, digits) = parse_number(rest);
            let (n, tail) = parse_field(&rest[digits..], b",\"n\":");
            let (due_at, tail) = parse_field(tail, b",\"at\":");
            rest = tail;
            let index = person * self.people() + author as usize;
            let Some(tracker) = self.received.get_mut(index) else { continue };
            if tracker.record(n) {
                self.delivered += 1;
                self.latencies.add(now.saturating_sub(due_at));
            } else {
                self.duplicates += 1;
            }
        }
        if rest.len() == actions.len() && memmem::find(actions, b"\"logux/processed\"").is_some() {
            self.answered += 1;
        }
        ensure_not_undone(actions)
    }
}

impl EventHandler for TypingScenario {
    fn on_event(
        &mut self,
        index: usize,
        _: &mut Client,
        event: ClientEvent<'_>,
        now: u64,
    ) -> Result<(), BenchError> {
        match event {
            ClientEvent::Connected => {
                self.connected += 1;
                Ok(())
            }
            ClientEvent::Actions(actions) => self.on_actions(index, actions, now),
            ClientEvent::Closed(reason) => Err(BenchError::Disconnected(reason)),
        }
    }
}
