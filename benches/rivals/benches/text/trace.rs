//! Recorded editing of text, from <https://github.com/josephg/editing-traces>.
//!
//! The recordings are not part of the repository. They are read from `../shared/traces` beside it;
//! a trace that is missing is generated.

use std::{fs::File, io::Read, path::PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::generate;

/// The traces, with the number of their authors.
pub const TRACES: [(&str, usize); 4] =
    [("automerge-paper", 1), ("rustcode", 1), ("friendsforever", 2), ("clownschool", 3)];

/// A change of a part of the text.
#[derive(Clone)]
pub struct Patch {
    /// The index in Unicode scalar values, which are UTF-16 units in all traces.
    pub at: usize,
    /// The number of removed scalar values.
    pub removed: usize,
    /// The text that replaces them.
    pub inserted: String,
}

impl Patch {
    /// The number of letters that are removed and inserted.
    pub fn letters(&self) -> usize {
        self.removed + self.inserted.chars().count()
    }
}

/// What an author does in one action.
#[derive(Clone)]
pub struct Step {
    /// The index of the author.
    pub author: usize,
    /// The steps of others that the author receives before this one, as indexes in causal order.
    pub receives: Vec<usize>,
    /// The time of the action in milliseconds since 1970. It is later than the author's step before
    /// and the received steps.
    pub time: i64,
    /// Applied one after the other.
    pub patches: Vec<Patch>,
}

/// A history of editing, which begins with the empty text.
pub struct Trace {
    /// The name of the recording.
    pub name: &'static str,
    /// Whether it was read, not generated.
    pub recorded: bool,
    /// The number of authors.
    pub authors: usize,
    /// The steps in causal order.
    pub steps: Vec<Step>,
    /// The text at the end.
    pub text: String,
}

impl Trace {
    /// Reads the trace, or generates one with as many authors.
    pub fn open(name: &str) -> Option<Self> {
        let (name, authors) = TRACES.into_iter().find(|(known, _)| *known == name)?;
        let Ok(file) = File::open(folder().join(format!("{name}.json.gz"))) else {
            return Some(generate::trace(name, authors));
        };
        let mut json = String::new();
        GzDecoder::new(file).read_to_string(&mut json).expect("a trace is gzip of JSON");
        let recording: Recording = serde_json::from_str(&json).expect("a trace has known fields");
        assert!(recording.start_content.is_empty(), "a trace begins with the empty text");
        let steps = steps(recording.txns, authors);
        Some(Self { name, recorded: true, authors, steps, text: recording.end_content })
    }

    /// The number of letters at the end.
    pub fn letters(&self) -> usize {
        self.text.encode_utf16().count()
    }

    /// The number of patches.
    pub fn patches(&self) -> usize {
        self.steps.iter().map(|step| step.patches.len()).sum()
    }
}

/// The folder of the recordings.
fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/traces"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recording {
    #[serde(default)]
    start_content: String,
    end_content: String,
    txns: Vec<Transaction>,
}

/// The transactions of a sequential trace name neither parents nor an agent.
#[derive(Deserialize)]
struct Transaction {
    parents: Option<Vec<usize>>,
    #[serde(default)]
    agent: usize,
    patches: Vec<(usize, usize, String)>,
}

/// Replaces the parents of transactions by what each author receives.
fn steps(transactions: Vec<Transaction>, authors: usize) -> Vec<Step> {
    // The number of known transactions of each author: after each transaction, and to each author.
    let mut seen: Vec<Vec<usize>> = Vec::with_capacity(transactions.len());
    let mut received = vec![vec![0; authors]; authors];
    let mut written: Vec<Vec<usize>> = vec![Vec::new(); authors];
    let mut steps = Vec::with_capacity(transactions.len());
    for (index, transaction) in transactions.into_iter().enumerate() {
        let author = transaction.agent;
        let mut known = vec![0; authors];
        for parent in
            transaction.parents.unwrap_or_else(|| index.checked_sub(1).into_iter().collect())
        {
            for (known, seen) in known.iter_mut().zip(&seen[parent]) {
                *known = (*known).max(*seen);
            }
        }
        assert_eq!(known[author], written[author].len(), "an author knows the own transactions");
        let mut receives = Vec::new();
        for other in (0..authors).filter(|other| *other != author) {
            receives.extend(&written[other][received[author][other]..known[other]]);
        }
        receives.sort_unstable();
        written[author].push(index);
        known[author] += 1;
        received[author].clone_from(&known);
        seen.push(known);
        let patches = transaction.patches.into_iter();
        let patches = patches.map(|(at, removed, inserted)| Patch { at, removed, inserted });
        steps.push(Step { author, receives, time: 0, patches: patches.collect() });
    }
    steps
}
