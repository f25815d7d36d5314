//! Histories of concurrent editing: recorded ones, and those of a seeded generator.

use logux::crdt::{Text, Unit};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::history::History;

/// A replaced part of a text, in Unicode scalar values.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    pub(crate) at: usize,
    pub(crate) removed: usize,
    pub(crate) inserted: String,
}

/// What an author does in one action.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) author: usize,
    /// The number of steps of each author that this author has received or made before.
    pub(crate) known: Vec<usize>,
    /// Applied one after the other.
    pub(crate) patches: Vec<Patch>,
}

/// A history that begins with the empty text. Its steps are in a causal order.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) authors: usize,
    pub(crate) steps: Vec<Step>,
    /// The text at the end, if it was recorded.
    pub(crate) text: Option<String>,
}

impl Trace {
    /// Returns the first steps.
    pub(crate) fn prefix(&self, len: usize) -> Self {
        let steps: Vec<Step> = self.steps.iter().take(len).cloned().collect();
        let is_whole = steps.len() == self.steps.len();
        Self { steps, text: self.text.clone().filter(|_| is_whole), ..*self }
    }
}

/// Returns the recorded trace `../shared/traces/NAME.json.gz`. A missing one is replaced by a
/// generated history, and a line on the standard error says so.
pub(crate) fn recorded(name: &str) -> Trace {
    let file = format!("{}/../shared/traces/{name}.json.gz", env!("CARGO_MANIFEST_DIR"));
    let Ok(bytes) = std::fs::read(&file) else {
        eprintln!("skipped: {file} is missing; a generated history takes its place");
        return generated(name.len() as u64, 3, 10_000);
    };
    // The header of gzip has 10 bytes, and a name if its flag says so.
    let has_name = bytes[3] & 8 != 0;
    let name_len = if has_name { bytes[10..].iter().position(|b| *b == 0).unwrap() + 1 } else { 0 };
    let json = miniz_oxide::inflate::decompress_to_vec(&bytes[10 + name_len..]).unwrap();
    let recording: Recording = serde_json::from_slice(&json).unwrap();
    let authors = recording.num_agents;
    let mut steps: Vec<Step> = Vec::with_capacity(recording.txns.len());
    let mut counts = vec![0; authors];
    for Transaction { parents, agent, patches } in recording.txns {
        let mut known = vec![0; authors];
        for parent in parents.into_iter().map(|parent| &steps[parent]) {
            for (author, known) in known.iter_mut().enumerate() {
                let own = usize::from(author == parent.author);
                *known = (*known).max(parent.known[author] + own);
            }
        }
        // An author knows the own steps.
        known[agent] = counts[agent];
        counts[agent] += 1;
        let patches = patches.into_iter();
        let patches = patches.map(|(at, removed, inserted)| Patch { at, removed, inserted });
        steps.push(Step { author: agent, known, patches: patches.collect() });
    }
    Trace { authors, steps, text: Some(recording.end_content) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recording {
    end_content: String,
    num_agents: usize,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    parents: Vec<usize>,
    agent: usize,
    patches: Vec<(usize, usize, String)>,
}

/// Generates a history in which authors insert at the same places at the same time, replace and
/// delete, and seldom receive what the others have done. It depends on the seed only.
pub(crate) fn generated(seed: u64, authors: usize, len: usize) -> Trace {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut history = History::<Text>::new(authors);
    let mut cursors = vec![0; authors];
    let mut steps: Vec<Step> = Vec::with_capacity(len);
    while steps.len() < len {
        let author = random.random_range(0..authors);
        if random.random_ratio(1, 25) {
            history.receive_all(author);
        }
        let end = history.replicas[author].len(Unit::Scalars);
        let cursor = &mut cursors[author];
        if random.random_ratio(1, 15) {
            // Often a place that the others choose, too.
            *cursor = if random.random_bool(0.5) { end / 2 } else { random.random_range(0..=end) };
        }
        let patch = patch(&mut random, (*cursor).min(end), end);
        // Sometimes backwards: the next letter comes before this one.
        let is_backwards = random.random_ratio(1, 4);
        *cursor = patch.at + if is_backwards { 0 } else { patch.inserted.chars().count() };
        let step = Step { author, known: history.known(author).to_vec(), patches: vec![patch] };
        history.perform(&step);
        steps.push(step);
    }
    Trace { authors, steps, text: None }
}

fn patch(random: &mut ChaCha8Rng, cursor: usize, end: usize) -> Patch {
    const INSERTED: [&str; 6] = ["a", "b", "é", "🦀", "\n", "word "];
    let inserted = INSERTED[random.random_range(0..INSERTED.len())].to_owned();
    match random.random_range(0..10) {
        0..2 if cursor > 0 => Patch { at: cursor - 1, removed: 1, inserted: String::new() },
        2 if cursor < end => {
            let removed = random.random_range(1..=(end - cursor).min(20));
            Patch { at: cursor, removed, inserted }
        }
        _ => Patch { at: cursor, removed: 0, inserted },
    }
}
