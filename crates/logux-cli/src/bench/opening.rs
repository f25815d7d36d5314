//! The scenario `opening`: people who open documents that nobody has open.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use memchr::memmem;

use super::{
    args::{TargetArgs, TimingArgs, parse_json_literal},
    client::Client,
    client_pool::{ClientPool, run_number},
    error::BenchError,
    load::{Load, POLL_TIMEOUT, Pace},
    message::{ensure_not_undone, push_number},
    report::BenchReport,
    samples::LatencySamples,
    ticker::Ticker,
};

/// The number of edits that are not answered at a time, while the documents are made.
const MAX_UNANSWERED: u64 = 500;

/// Measure the time to open documents
///
/// Makes documents with a text at `/text`, then opens them one after the other. Needs a server with
/// a kind of documents: `logux serve --document notes`. The latency is the time from when a
/// document was to be opened to the answer of the server, which follows the state.
#[derive(Args, Clone, Debug)]
pub(super) struct OpeningArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    timing: TimingArgs,
    /// Kind of the documents
    #[arg(long, value_name = "NAME", default_value = "notes", value_parser = parse_json_literal)]
    document: String,
    /// Number of documents
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    documents: u32,
    /// Number of edits of each document
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    edits: u32,
    /// Number of letters of each edit
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    text: u32,
    /// Number of documents that are opened in a second
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Number of people who open them
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    people: u32,
    /// Seconds between the last edit and the first opening
    ///
    /// `logux serve` closes a document that nobody has edited for a minute.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    idle: u64,
}

/// Runs the scenario.
pub(super) fn run(args: &OpeningArgs) -> Result<ExitCode, BenchError> {
    let mut pool = ClientPool::new(&args.target)?;
    let mut scenario = OpeningScenario::new(args);
    pool.connect_all(scenario.opening.len(), &mut scenario, |scenario| scenario.connected)?;
    scenario.make_documents(&mut pool)?;
    let end = pool.now() + args.idle * 1_000_000;
    while pool.now() < end {
        pool.poll(POLL_TIMEOUT, &mut scenario)?;
    }
    let interval = Duration::from_secs(1) / args.rate;
    scenario.pace = Pace::start(interval);
    let _ticker = Ticker::start(pool.waker()?, scenario.pace.started(), interval)?;
    scenario.warm_up(&mut pool, args.timing)?;
    let runs = scenario.measure(&mut pool, args.timing, args.target.pid)?;
    let requested = scenario.requested;
    let lost = scenario.wait_for_deliveries(&mut pool, requested)?;
    let load = serde_json::json!({
        "documents": args.documents,
        "edits": args.edits,
        "openingsPerSecond": args.rate,
        "bytesEach": scenario.bytes / scenario.opened.max(1),
    });
    let report = BenchReport::new("opening", &args.target.url, load, "openings", runs);
    BenchReport { lost, ..report }.print(args.target.json)
}

struct OpeningScenario {
    kind: String,
    /// The documents of this run have ids of their own.
    run: u64,
    documents: u64,
    edits: u64,
    text: u64,
    connected: usize,
    /// The number of actions that were answered while the documents are made.
    answered: u64,
    /// When each person was to open the document that is not answered yet.
    opening: Vec<Option<u64>>,
    /// The number of openings that were requested.
    requested: u64,
    /// The number of openings that were answered.
    opened: u64,
    /// The size of what was received for them, in bytes.
    bytes: u64,
    latencies: LatencySamples,
    pace: Pace,
}

impl OpeningScenario {
    fn new(args: &OpeningArgs) -> Self {
        Self {
            kind: args.document.clone(),
            run: run_number(),
            documents: args.documents.into(),
            edits: args.edits.into(),
            text: args.text.into(),
            connected: 0,
            answered: 0,
            opening: vec![None; args.people as usize],
            requested: 0,
            opened: 0,
            bytes: 0,
            latencies: LatencySamples::default(),
            // Nothing is due before the load begins.
            pace: Pace::start(Duration::MAX),
        }
    }

    /// Makes the documents, one after the other.
    fn make_documents(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        let text = "x".repeat(usize::try_from(self.text).unwrap_or(0));
        let mut sent = 0;
        for document in 0..self.documents {
            for edit in 0..=self.edits {
                let (kind, run, now) = (&self.kind, self.run, pool.now());
                let client = pool.client(0);
                client.send_action(now, |out| match edit.checked_sub(1) {
                    None => out.extend_from_slice(
                        format!(r#"{{"type":"{kind}/create","id":"{run}-{document}","ops":[]}}"#)
                            .as_bytes(),
                    ),
                    Some(edit) => push_edit(out, kind, &format!("{run}-{document}"), edit, &text),
                });
                client.flush()?;
                sent += 1;
                while sent - self.answered >= MAX_UNANSWERED {
                    pool.poll(POLL_TIMEOUT, self)?;
                    pool.ensure_responsive()?;
                }
            }
        }
        while self.answered < sent {
            pool.poll(POLL_TIMEOUT, self)?;
            pool.ensure_responsive()?;
        }
        Ok(())
    }
}

/// Writes an edit that inserts a text after the one of the edit before.
fn push_edit(out: &mut Vec<u8>, kind: &str, id: &str, edit: u64, text: &str) {
    let length = text.len() as u64;
    let op = r#""ops":[{"op":"insertText","path":"/text","text":""#;
    out.extend_from_slice(
        format!(r#"{{"type":"{kind}/edit","id":"{id}",{op}{text}","first":"#).as_bytes(),
    );
    push_number(out, edit * length);
    if let Some(last) = (edit * length).checked_sub(1) {
        out.extend_from_slice(b",\"after\":");
        push_number(out, last);
    }
    out.extend_from_slice(b"}]}");
}

impl Load for OpeningScenario {
    fn on_connected(&mut self, _: usize, _: &mut Client, _: u64) {
        self.connected += 1;
    }

    fn on_actions(&mut self, person: usize, actions: &[u8], now: u64) -> Result<(), BenchError> {
        let processed = memmem::find_iter(actions, b"\"logux/processed\"").count() as u64;
        if self.requested == 0 {
            self.answered += processed;
        } else {
            self.bytes += actions.len() as u64;
            if processed > 0
                && let Some(due_at) = self.opening[person].take()
            {
                self.opened += 1;
                self.latencies.add(now.saturating_sub(due_at));
            }
        }
        ensure_not_undone(actions)
    }

    /// Opens the documents that are due, each by the next person who waits for nothing.
    fn send_due(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        while self.requested < self.pace.due() {
            let Some(person) = self.opening.iter().position(Option::is_none) else { break };
            let due_at = self.pace.due_at(self.requested, pool);
            let document = self.requested % self.documents;
            self.requested += 1;
            self.opening[person] = Some(due_at);
            let channel = format!("{}/{}-{document}", self.kind, self.run);
            let now = pool.now();
            let client = pool.client(person);
            client.send_action(now, |out| {
                let subscribe = format!(r#"{{"type":"logux/subscribe","channel":"{channel}"}}"#);
                out.extend_from_slice(subscribe.as_bytes());
            });
            client.flush()?;
        }
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.opened
    }

    fn latencies(&mut self) -> &mut LatencySamples {
        &mut self.latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_edit_follows_the_one_before() {
        let edit = |edit| {
            let mut out = Vec::new();
            push_edit(&mut out, "notes", "1", edit, "abc");
            serde_json::from_slice::<serde_json::Value>(&out).expect("JSON")
        };
        assert_eq!(edit(0)["ops"][0]["first"], 0);
        assert_eq!(edit(0)["ops"][0]["after"], serde_json::Value::Null);
        let second = edit(1);
        let op = &second["ops"][0];
        assert_eq!(
            (&op["first"], &op["after"], &op["text"]),
            (&3.into(), &2.into(), &"abc".into())
        );
    }
}
