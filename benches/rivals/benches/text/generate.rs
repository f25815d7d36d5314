//! What is not recorded: the times of keys, and traces in place of those that are missing. All of
//! it depends on a seed only.

use fastrand::Rng;

use crate::trace::{Patch, Step, Trace};

const SEED: u64 = 17;
/// The time of the first key: 2023-11-14.
const START: i64 = 1_700_000_000_000;
/// The longest pause within a burst, in milliseconds.
const BURST_PAUSE: i64 = 1_000;
/// The largest number of letters in a burst.
const BURST_LETTERS: usize = 100;

/// Gives each step of a trace the time at which a human types it.
///
/// A pause between keys has a lognormal distribution (sigma 0.6) around 150 ms. On average
/// every fiftieth is a pause to think, of 2 to 60 s.
pub fn times(trace: &mut Trace) {
    let mut rng = Rng::with_seed(SEED);
    let mut clocks = vec![START; trace.authors];
    for index in 0..trace.steps.len() {
        let step = &trace.steps[index];
        let (author, received) = (step.author, step.receives.last());
        let now = received.map_or(0, |step| trace.steps[*step].time).max(clocks[author]);
        let pause = if rng.u32(..50) == 0 {
            rng.i64(2_000..60_000)
        } else {
            (150.0 * (0.6 * normal(&mut rng)).exp()) as i64
        };
        clocks[author] = now + pause;
        trace.steps[index].time = now + pause;
    }
}

/// A number with the standard normal distribution, by the Box–Muller transform.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// Joins the steps of an author that a burst of typing contains.
///
/// A burst ends with a pause of 1 s, before it exceeds 100 letters, and when others take part: its
/// author receives something, or another author has received what it contains so far.
pub fn bursts(trace: &mut Trace) {
    let mut last_received = vec![false; trace.steps.len()];
    for step in &trace.steps {
        let mut authors = vec![false; trace.authors];
        for received in step.receives.iter().rev() {
            let author = trace.steps[*received].author;
            last_received[*received] |= !authors[author];
            authors[author] = true;
        }
    }
    let mut open: Vec<Option<Burst>> = vec![None; trace.authors];
    let mut steps: Vec<Step> = Vec::new();
    // The index of the burst of each step.
    let mut places: Vec<usize> = Vec::with_capacity(trace.steps.len());
    for mut step in std::mem::take(&mut trace.steps) {
        for received in &mut step.receives {
            *received = places[*received];
        }
        step.receives.sort_unstable();
        step.receives.dedup();
        let (author, time) = (step.author, step.time);
        let mut letters = step.patches.iter().map(Patch::letters).sum();
        let place = match open[author] {
            Some(burst)
                if step.receives.is_empty()
                    && time - burst.time < BURST_PAUSE
                    && burst.letters + letters <= BURST_LETTERS =>
            {
                letters += burst.letters;
                steps[burst.place].patches.extend(step.patches);
                burst.place
            }
            _ => {
                steps.push(step);
                steps.len() - 1
            }
        };
        let ends = last_received[places.len()];
        open[author] = (!ends).then_some(Burst { place, time, letters });
        places.push(place);
    }
    trace.steps = steps;
}

/// A burst that may continue.
#[derive(Clone, Copy)]
struct Burst {
    /// Its index.
    place: usize,
    /// The time of its last key.
    time: i64,
    /// The number of letters in it.
    letters: usize,
}

/// Generates a trace. Each author types into a line of their own, so that the text does not depend
/// on the order of concurrent insertions. Now and then, all of them have received everything.
pub fn trace(name: &'static str, authors: usize) -> Trace {
    const STEPS: usize = 20_000;
    let mut rng = Rng::with_seed(SEED);
    let first = Patch { at: 0, removed: 0, inserted: "\n".repeat(authors - 1) };
    let first = Step { author: 0, receives: Vec::new(), time: 0, patches: vec![first] };
    let mut steps = if authors > 1 { vec![first] } else { Vec::new() };
    let mut lines: Vec<String> = vec![String::new(); authors];
    let mut cursors = vec![0; authors];
    // What each author knows: the number of steps, and the lengths of all lines.
    let mut known = vec![(0, vec![0; authors]); authors];
    // The authors who receive everything next.
    let mut meeting: Vec<usize> = (0..authors).collect();
    while steps.len() < STEPS {
        if meeting.is_empty() && rng.u32(..100) == 0 {
            meeting = (0..authors).collect();
        }
        let meets = meeting.pop();
        let author = meets.unwrap_or_else(|| rng.usize(..authors));
        let (seen, lengths) = &mut known[author];
        let mut receives = Vec::new();
        if meets.is_some() || rng.u32(..20) == 0 {
            receives = of_others(&steps, *seen, author);
            *seen = steps.len();
            *lengths = lines.iter().map(String::len).collect();
        }
        let start = lengths[..author].iter().sum::<usize>() + author;
        let mut patch = type_key(&mut lines[author], &mut cursors[author], &mut rng);
        patch.at += start;
        steps.push(Step { author, receives, time: 0, patches: vec![patch] });
    }
    // The first author receives everything that is left, and types a last letter.
    let receives = of_others(&steps, known[0].0, 0);
    lines[0].insert(0, '.');
    let last = Patch { at: 0, removed: 0, inserted: ".".to_owned() };
    steps.push(Step { author: 0, receives, time: 0, patches: vec![last] });
    Trace { name, recorded: false, authors, steps, text: lines.join("\n") }
}

/// The steps of other authors from an index on.
fn of_others(steps: &[Step], from: usize, author: usize) -> Vec<usize> {
    (from..steps.len()).filter(|step| steps[*step].author != author).collect()
}

/// Types a letter at the cursor, or deletes the one before it.
fn type_key(line: &mut String, cursor: &mut usize, rng: &mut Rng) -> Patch {
    if rng.u32(..40) == 0 {
        *cursor = rng.usize(..=line.len());
    }
    if *cursor > 0 && rng.u32(..8) == 0 {
        *cursor -= 1;
        line.remove(*cursor);
        return Patch { at: *cursor, removed: 1, inserted: String::new() };
    }
    let letter = if rng.u32(..6) == 0 { ' ' } else { rng.lowercase() };
    line.insert(*cursor, letter);
    *cursor += 1;
    Patch { at: *cursor - 1, removed: 0, inserted: letter.to_string() }
}
