//! The works that are measured, for any library.

use std::{hint::black_box, io::Write, time::Duration};

use cpu_time::ProcessTime;
use flate2::{Compression, write::ZlibEncoder};

use crate::{
    library::{Form, Library},
    memory,
    trace::{Patch, Step, Trace},
};

/// The names of the works, as in the table, with all measured values. Times are in seconds.
pub type Results = Vec<(&'static str, Vec<f64>)>;

/// The longest work that is waited for.
pub const LIMIT: Duration = Duration::from_secs(30);
/// The replica that only receives.
const READER: usize = 100;

/// Measures how long each work takes.
pub fn times<L: Library>(trace: &Trace, rounds: usize) -> Results {
    let mut results = Results::new();
    if trace.authors == 1 {
        results.push(("type", repeat(rounds, || time(|| type_alone::<L>(trace)).0)));
    }
    results.push(("type and send", repeat(rounds, || time(|| type_and_send::<L>(trace)).0)));
    let (mut replica, updates) = complete::<L>(trace);
    let receive = |updates: &Updates| {
        repeat(rounds, || {
            let (seconds, reader) = time(|| receive_in_turn::<L>(updates, 1));
            let Some(reader) = reader else { return f64::INFINITY };
            assert_eq!(reader.text(), trace.text, "{} receives the text", L::NAME);
            seconds
        })
    };
    results.push(("receive updates", receive(&updates)));
    if let Some(history) = replica.history() {
        results.push(("receive history", receive(&Updates::one(history))));
    }
    let saved = replica.save(L::LOADED).expect("the default form exists");
    let save = || {
        replica.act(&letter(trace.letters()));
        time(|| replica.save(L::LOADED)).0
    };
    results.push(("save", repeat(rounds, save)));
    drop((replica, updates));
    results.push(("load text", repeat(rounds, || time(|| L::load_text(&saved, READER)).0)));
    results.push(("load and edit", repeat(rounds, || time(|| load_and_edit::<L>(&saved)).0)));
    results
}

/// Measures the sizes of what is sent and saved, and memory, in bytes.
pub fn sizes<L: Library>(trace: &Trace) -> Results {
    let mut results = Results::new();
    let (mut replica, updates) = complete::<L>(trace);
    results.push(("update", vec![updates.bytes.len() as f64 / updates.ends.len() as f64]));
    let mut saves = Vec::new();
    for (name, form) in [("saved, plain", Form::Plain), ("saved, compact", Form::Compact)] {
        if let Some(saved) = replica.save(form) {
            results.push((name, vec![saved.len() as f64]));
            saves.push(saved);
        }
    }
    let smallest = saves.iter().map(|saved| deflated(saved)).min();
    results.push(("saved, deflated", smallest.map(|size| size as f64).into_iter().collect()));
    let saved = replica.save(L::LOADED).expect("the default form exists");
    drop((replica, saves));
    let (heap, replica) = memory::measure(|| match trace.authors {
        1 => type_alone::<L>(trace),
        _ => receive_together(&updates),
    });
    assert_eq!(replica.text(), trace.text, "{} has the text", L::NAME);
    drop(replica);
    results.push(("memory", vec![heap.live]));
    results.push(("peak memory", vec![heap.peak]));
    let (heap, replica) = memory::measure(|| load_and_edit::<L>(&saved));
    drop(replica);
    results.push(("memory, loaded", vec![heap.live]));
    results
}

/// Updates in one allocation: as allocations of their own they would lie between those of the
/// libraries, and make walks through memory several times slower.
#[derive(Default)]
struct Updates {
    bytes: Vec<u8>,
    /// The end of each update.
    ends: Vec<usize>,
}

impl Updates {
    fn one(update: Vec<u8>) -> Self {
        Self { ends: vec![update.len()], bytes: update }
    }

    fn push(&mut self, update: &[u8]) {
        self.bytes.extend_from_slice(update);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

/// One author does all steps.
fn type_alone<L: Library>(trace: &Trace) -> L {
    let mut replica = L::new(0);
    for step in &trace.steps {
        replica.act(step);
    }
    replica
}

/// Each author does the own steps, and receives those of others when the author of the recording
/// did. Returns the replica of the last step, and all updates.
fn type_and_send<L: Library>(trace: &Trace) -> (L, Updates) {
    let mut replicas: Vec<L> = (0..trace.authors).map(L::new).collect();
    let mut updates = Updates::default();
    for step in &trace.steps {
        let replica = &mut replicas[step.author];
        if !step.receives.is_empty() {
            let received: Vec<_> = step.receives.iter().map(|step| updates.get(*step)).collect();
            replica.receive(&received);
        }
        updates.push(&replica.act_and_send(step));
    }
    let last = trace.steps.last().map_or(0, |step| step.author);
    (replicas.swap_remove(last), updates)
}

/// Returns a replica with the complete history in the recorded order, and all updates.
fn complete<L: Library>(trace: &Trace) -> (L, Updates) {
    let (writer, updates) = type_and_send::<L>(trace);
    let replica = if trace.authors == 1 { writer } else { receive_together(&updates) };
    assert_eq!(replica.text(), trace.text, "{} has the text", L::NAME);
    (replica, updates)
}

/// A new replica receives all updates, of which 100 arrive at a time.
fn receive_together<L: Library>(updates: &Updates) -> L {
    receive_in_turn(updates, 100).expect("updates that arrive together are received in time")
}

/// A new replica receives all updates. `together` of them arrive at a time. Returns nothing if it
/// takes longer than [`LIMIT`].
fn receive_in_turn<L: Library>(updates: &Updates, together: usize) -> Option<L> {
    let start = ProcessTime::now();
    let mut replica = L::new(READER);
    let mut arrived = Vec::with_capacity(together);
    let count = updates.ends.len();
    for first in (0..count).step_by(together) {
        if first.is_multiple_of(256) && start.elapsed() > LIMIT {
            return None;
        }
        arrived.clear();
        arrived.extend((first..count.min(first + together)).map(|index| updates.get(index)));
        replica.receive(&arrived);
    }
    Some(replica)
}

/// Loads a document, reads its text, and types a letter at the end.
fn load_and_edit<L: Library>(saved: &[u8]) -> L {
    let mut replica = L::load(saved, READER);
    let end = black_box(replica.text()).encode_utf16().count();
    replica.act(&letter(end));
    replica
}

/// A step after those of all traces that types a letter.
fn letter(at: usize) -> Step {
    let patches = vec![Patch { at, removed: 0, inserted: "a".to_owned() }];
    Step { author: READER, receives: Vec::new(), time: 2_000_000_000_000, patches }
}

/// The size after deflate, with the usual level.
fn deflated(bytes: &[u8]) -> usize {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector has no limit");
    encoder.finish().expect("a vector has no limit").len()
}

/// Returns the processor time of the work in seconds. It includes nothing that other processes do,
/// and not the time that it takes to free the result.
fn time<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = ProcessTime::now();
    let result = black_box(work());
    (start.elapsed().as_secs_f64(), result)
}

/// Measures an odd number of rounds: more of short works, three of those that take over 2 s, and
/// one of those that take over 20 s. The first round of shorter works is not counted.
fn repeat(rounds: usize, mut round: impl FnMut() -> f64) -> Vec<f64> {
    let first = round();
    let (mut results, rounds) = match first {
        20.0.. => (vec![first], 1),
        2.0.. => (vec![first], rounds.min(3)),
        0.02.. => (Vec::new(), rounds),
        _ => (Vec::new(), 4 * rounds + 1),
    };
    results.extend((results.len()..rounds | 1).map(|_| round()));
    results
}
