//! The scenario `typing`: people who type into documents, each key an edit.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use memchr::memmem;

use super::{
    args::{TargetArgs, TimingArgs, parse_json_literal},
    client::Client,
    client_pool::{ClientPool, run_number},
    error::BenchError,
    load::{Load, POLL_TIMEOUT, Pace},
    message::{NumberedActions, Numbers, ensure_not_undone, push_number},
    report::BenchReport,
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

/// Runs the scenario.
pub(super) fn run(args: &TypingArgs) -> Result<ExitCode, BenchError> {
    let mut pool = ClientPool::new(&args.target)?;
    let mut scenario = TypingScenario::new(args);
    pool.connect_all(scenario.people(), &mut scenario, |scenario| scenario.connected)?;
    scenario.create_documents(&mut pool)?;
    scenario.subscribe(&mut pool)?;
    let interval = Duration::from_secs(1) / (args.people * args.keys);
    scenario.pace = Pace::start(interval);
    let _ticker = Ticker::start(pool.waker()?, scenario.pace.started(), interval)?;
    scenario.warm_up(&mut pool, args.timing)?;
    let runs = scenario.measure(&mut pool, args.timing, args.target.pid)?;
    let expected = scenario.expected();
    let lost = scenario.wait_for_deliveries(&mut pool, expected)?;
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
    edits: NumberedActions,
    pace: Pace,
}

impl TypingScenario {
    fn new(args: &TypingArgs) -> Self {
        let people = args.people as usize;
        Self {
            kind: args.document.clone(),
            run: run_number(),
            documents: args.documents as usize,
            connected: 0,
            answered: 0,
            typed: vec![0; people],
            received: vec![SequenceTracker::default(); people * people],
            delivered: 0,
            duplicates: 0,
            latencies: LatencySamples::default(),
            edits: NumberedActions::new(&format!("{}/edit", args.document)),
            // Nothing is due before the load begins.
            pace: Pace::start(Duration::MAX),
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

    fn type_key(&mut self, pool: &mut ClientPool, due_at: u64) -> Result<(), BenchError> {
        let total: u64 = self.typed.iter().sum();
        let person = total as usize % self.people();
        let n = self.typed[person];
        self.typed[person] += 1;
        let (document, run, now) = (person % self.documents, self.run, pool.now());
        let client = pool.client(person);
        client.send_action(now, |out| {
            self.edits.push(out, Numbers { by: person as u64, n, at: due_at });
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
}

impl Load for TypingScenario {
    fn on_connected(&mut self, _: usize, _: &mut Client, _: u64) {
        self.connected += 1;
    }

    fn on_actions(&mut self, person: usize, actions: &[u8], now: u64) -> Result<(), BenchError> {
        let mut rest = actions;
        while let Some((Numbers { by, n, at }, tail)) = self.edits.next(rest) {
            rest = tail;
            let index = person * self.people() + by as usize;
            let Some(tracker) = self.received.get_mut(index) else { continue };
            if tracker.record(n) {
                self.delivered += 1;
                self.latencies.add(now.saturating_sub(at));
            } else {
                self.duplicates += 1;
            }
        }
        if rest.len() == actions.len() && memmem::find(actions, b"\"logux/processed\"").is_some() {
            self.answered += 1;
        }
        ensure_not_undone(actions)
    }

    /// Types the keys that are due, one person after the other.
    fn send_due(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        for n in self.typed.iter().sum::<u64>()..self.pace.due() {
            let due_at = self.pace.due_at(n, pool);
            self.type_key(pool, due_at)?;
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
