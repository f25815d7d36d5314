//! A day of typing by five people: how much the log, the state and the memory grow.
//!
//! Keys have the times of people: a lognormal pause around 150 ms, and every fiftieth one to think.
//! Each person has a device with a log; a hub sends actions on, and settles the text from time to
//! time by snapshots. One person is offline for a part of the day.
//!
//! `./check` types for some minutes, and has bounds. The whole day, whose numbers are in
//! `benches/README.md`:
//! `cargo nextest run --release --test growth --run-ignored all --no-capture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/heap.rs"]
mod heap;

use core::{convert::Infallible, time::Duration};

use logux::{
    Entry, Log, MemoryStore, NodeId, Store as _, WallTime,
    crdt::{Anchor, Crdt as _, Shared, Text, Unit},
    log::Draft,
    replay::Timeline,
    store::Query,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;

const PEOPLE: usize = 5;
const MORNING: i64 = 1_700_000_000_000;
const HORIZON: Duration = Duration::from_hours(90 * 24);
const MINUTE: i64 = 60_000;
/// The time between two exchanges of a device with the hub, in milliseconds.
const EXCHANGE: i64 = 2_000;
/// A longer pause ends a burst of typing, in milliseconds.
const BURST_PAUSE: i64 = 1_000;
/// The largest number of letters in a burst.
const BURST_LETTERS: usize = 100;

/// What is simulated.
#[derive(Clone, Copy)]
struct Day {
    len: i64,
    /// The time between two snapshots.
    fold_every: i64,
    /// How long one person is offline, in the middle of the day.
    offline: i64,
    /// Whether a burst of typing is one action, in place of each key.
    has_bursts: bool,
}

struct Replica {
    log: Log<MemoryStore, Timeline<Shared<Text>>>,
    /// The `added` numbers up to which it has sent to the hub and received from it.
    sent: u64,
    received: u64,
}

impl Replica {
    fn new(node: &str) -> Self {
        let shared = Shared::new("notes", "1").settled_by(NodeId::new("hub:x:x").unwrap());
        let node = NodeId::new(node).unwrap();
        let log = Log::with_observer(node, MemoryStore::new(), Timeline::new(shared)).unwrap();
        Self { log, sent: 0, received: 0 }
    }

    fn text(&self) -> &Text {
        self.log.state()
    }

    fn receive(&mut self, entry: Entry) {
        let draft = Draft::of(entry.meta.id, entry.meta.time);
        self.log.add(WallTime::default(), entry.action, draft).unwrap();
    }

    fn entries_after(&self, added: u64) -> Vec<Entry> {
        let query = Query::added().oldest_first().after_added(added);
        self.log.store().page(&query, usize::MAX).unwrap().entries
    }
}

struct Person {
    device: Replica,
    random: ChaCha8Rng,
    cursor: Anchor,
    /// The letters of a burst that is no action yet.
    burst: String,
    next_key: i64,
    /// The number of own actions, and the bytes of their JSON.
    actions: usize,
    action_bytes: usize,
}

impl Person {
    fn new(number: usize) -> Self {
        Self {
            device: Replica::new(&format!("{}:R7BNGAP5:px3-J3oc", 380 + number)),
            random: ChaCha8Rng::seed_from_u64(number as u64),
            cursor: Anchor::After(None),
            burst: String::new(),
            next_key: MORNING,
            actions: 0,
            action_bytes: 0,
        }
    }

    /// Presses a key, and returns the pause before the next one.
    fn press_key(&mut self, now: i64, has_bursts: bool) -> i64 {
        match self.random.random_range(0..100) {
            0..2 => {
                self.end_burst(now);
                let len = self.device.text().len(Unit::Utf16);
                let at = self.random.random_range(0..=len);
                self.cursor = self.device.text().anchor_after(at, Unit::Utf16).unwrap();
            }
            2..12 if self.burst.pop().is_none() => {
                let cursor = self.index();
                self.edit(now, cursor.saturating_sub(1)..cursor, "");
            }
            2..12 => {}
            key => {
                let letters = "etaoin shrdlu\ncmfwyp gbvk";
                let letter =
                    if key < 14 { '\n' } else { letters.as_bytes()[key as usize % 24].into() };
                self.burst.push(letter);
            }
        }
        let pause = pause(&mut self.random);
        if !has_bursts || pause > BURST_PAUSE || self.burst.len() == BURST_LETTERS {
            self.end_burst(now);
        }
        pause
    }

    fn index(&self) -> usize {
        self.device.text().anchor_index(&self.cursor, Unit::Utf16).unwrap()
    }

    fn end_burst(&mut self, now: i64) {
        let burst = core::mem::take(&mut self.burst);
        let cursor = self.index();
        self.edit(now, cursor..cursor, &burst);
    }

    fn edit(&mut self, now: i64, range: core::ops::Range<usize>, inserted: &str) {
        if range.is_empty() && inserted.is_empty() {
            return;
        }
        let end = range.start + inserted.len();
        let log = &mut self.device.log;
        let added = log.edit_together(WallTime::from_millis(now), |edit| {
            let author = edit.author().clone();
            let ops = edit.state().replace_ops(range, inserted, Unit::Utf16, author).unwrap();
            ops.into_iter().for_each(|op| edit.push(op));
            Ok::<_, Infallible>(())
        });
        self.actions += 1;
        self.action_bytes += added.unwrap().action.as_json().len();
        self.cursor = self.device.text().anchor_after(end, Unit::Utf16).unwrap();
    }

    /// Sends own actions to the hub, and receives those of others.
    fn exchange(&mut self, hub: &mut Replica) {
        let own = self.device.log.node_id().clone();
        for entry in self.device.entries_after(self.device.sent) {
            if *entry.meta.id.node() == own {
                hub.receive(entry);
            }
        }
        for entry in hub.entries_after(self.device.received) {
            if *entry.meta.id.node() != own {
                self.device.receive(entry);
            }
        }
        self.device.sent = self.device.log.last_added().unwrap();
        self.device.received = hub.log.last_added().unwrap();
    }
}

/// A pause between keys, in milliseconds: lognormal, and sometimes one to think.
fn pause(random: &mut ChaCha8Rng) -> i64 {
    if random.random_ratio(1, 50) {
        return random.random_range(2_000..60_000);
    }
    // A sum of uniform numbers is close to a normal one.
    let normal: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    (150.0 * (0.6 * normal).exp()) as i64
}

/// What a day leaves, in bytes.
#[derive(Debug)]
struct Growth {
    keys: usize,
    actions: usize,
    /// The JSON of all actions that people have added.
    action_bytes: usize,
    /// The visible text.
    text: usize,
    /// The largest number of entries in the log of the hub and of a device that is online.
    max_log: usize,
    /// The JSON of the entries in the log of the hub at the end, after a snapshot.
    log_bytes: usize,
    saved: usize,
    deflated: usize,
    /// The memory of a device with its log.
    memory: usize,
    /// The memory of a text that was loaded.
    loaded: usize,
}

fn json_bytes(replica: &Replica) -> usize {
    replica.entries_after(0).iter().map(|entry| entry.action.as_json().len()).sum()
}

fn live_through(day: Day) -> Growth {
    let mut people: Vec<Person> = (0..PEOPLE).map(Person::new).collect();
    let mut hub = Replica::new("hub:x:x");
    let (mut keys, mut max_log) = (0, 0);
    let offline = MORNING + day.len / 2..MORNING + day.len / 2 + day.offline;
    let (mut next_exchange, mut next_fold) = (MORNING + EXCHANGE, MORNING + day.fold_every);
    loop {
        let next = people.iter_mut().min_by_key(|person| person.next_key).unwrap();
        let now = next.next_key;
        if now >= MORNING + day.len {
            break;
        }
        if now >= next_exchange {
            next_exchange = now + EXCHANGE;
            for (number, person) in people.iter_mut().enumerate() {
                if number > 0 || !offline.contains(&now) {
                    person.exchange(&mut hub);
                    let log = person.device.log.store().len();
                    max_log = max_log.max(log).max(hub.log.store().len());
                }
            }
            if now >= next_fold {
                next_fold = now + day.fold_every;
                hub.log.fold(WallTime::from_millis(now), HORIZON).unwrap();
            }
            continue;
        }
        next.next_key += next.press_key(now, day.has_bursts).max(1);
        keys += 1;
    }
    people.iter_mut().for_each(|person| person.end_burst(MORNING + day.len));
    people.iter_mut().for_each(|person| person.exchange(&mut hub));
    hub.log.fold(WallTime::from_millis(MORNING + day.len), HORIZON).unwrap();
    people.iter_mut().for_each(|person| person.exchange(&mut hub));
    for person in &people {
        assert!(person.device.text() == hub.text(), "all have the same text");
        assert_eq!(person.device.log.store().len(), 1, "all is in one snapshot");
        person.device.text().assert_invariants();
    }
    let actions = people.iter().map(|person| person.actions).sum();
    let action_bytes = people.iter().map(|person| person.action_bytes).sum();
    let saved = hub.text().save();
    let log_bytes = json_bytes(&hub);
    let (text, deflated) = (hub.text().len(Unit::Bytes), hub.text().save_deflated().len());
    let before = heap::live();
    let loaded = Text::load(&saved).unwrap();
    let loaded_bytes = heap::live() - before;
    assert!(loaded == *hub.text());
    drop(loaded);
    // The entries that devices share are counted once, with the last one.
    let last = people.pop();
    drop(people);
    drop(hub);
    let before = heap::live();
    drop(last);
    let memory = before - heap::live();
    Growth {
        keys,
        actions,
        action_bytes,
        text,
        max_log,
        log_bytes,
        saved: saved.len(),
        deflated,
        memory: usize::try_from(memory).unwrap(),
        loaded: usize::try_from(loaded_bytes).unwrap(),
    }
}

/// Bounds for each key or byte of text.
struct Bounds {
    action_bytes_of_key: usize,
    saved_of_text: f64,
    deflated_of_text: f64,
    loaded_of_text: f64,
}

impl Growth {
    fn print(&self, name: &str) {
        let Self { keys, actions, action_bytes, text, max_log, .. } = self;
        let Self { log_bytes, saved, deflated, loaded, memory, .. } = self;
        println!(
            "{name}: {keys} keys, {actions} actions of {action_bytes} bytes; a text of {text} bytes, \
             saved {saved}, deflated {deflated}; at most {max_log} entries in a log, at the end \
             one of {log_bytes} bytes; memory of the text {loaded}, of a device {memory}"
        );
    }

    fn assert_within(&self, bounds: &Bounds) {
        let of_text = |bytes: usize| bytes as f64 / self.text as f64;
        assert!(self.text > self.keys / 2, "there is a text: {self:?}");
        assert!(self.action_bytes < self.keys * bounds.action_bytes_of_key, "{self:?}");
        assert!(self.max_log < self.actions / 4, "snapshots keep logs short: {self:?}");
        assert!(self.log_bytes < self.deflated * 3 / 2 + 500, "{self:?}");
        assert!(of_text(self.saved) < bounds.saved_of_text, "{self:?}");
        assert!(of_text(self.deflated) < bounds.deflated_of_text, "{self:?}");
        assert!(of_text(self.loaded) < bounds.loaded_of_text, "{self:?}");
        // A log keeps the memory of its largest number of entries.
        assert!(self.memory < 2 * self.loaded + 2_000 * self.max_log, "{self:?}");
    }
}

/// The actions are single keys, and bursts of typing.
const KEYS: Bounds = Bounds {
    action_bytes_of_key: 120,
    saved_of_text: 2.7,
    deflated_of_text: 1.7,
    loaded_of_text: 32.0,
};
const BURSTS: Bounds = Bounds {
    action_bytes_of_key: 10,
    saved_of_text: 1.9,
    deflated_of_text: 1.2,
    loaded_of_text: 14.0,
};

#[test]
fn minutes_of_typing_stay_small() {
    for (name, has_bursts, bounds) in [("keys", false, KEYS), ("bursts", true, BURSTS)] {
        let day = Day { len: 10 * MINUTE, fold_every: MINUTE, offline: 2 * MINUTE, has_bursts };
        let growth = live_through(day);
        growth.print(name);
        growth.assert_within(&bounds);
    }
}

#[test]
#[ignore = "takes minutes; its numbers are in benches/README.md"]
fn a_day_of_typing() {
    for (name, has_bursts, bounds) in [("keys", false, KEYS), ("bursts", true, BURSTS)] {
        let hour = 60 * MINUTE;
        let day = Day { len: 8 * hour, fold_every: 10 * MINUTE, offline: hour, has_bursts };
        let growth = live_through(day);
        growth.print(name);
        growth.assert_within(&bounds);
    }
}
