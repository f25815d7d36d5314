//! A writing process is killed 1,000 times: each acknowledged action exists afterwards, exactly
//! once and in order, and the records and documents match the log.
//!
//! All rounds use the same file. The processes write with `Durability::Full` and
//! `Durability::Normal` in turn, because both survive the end of a process. `Full` also survives a
//! loss of power, which a test cannot simulate.

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use logux::{
    Action, ActionId, Entry, Meta, NodeId, Stamp, Store, WallTime,
    action::DocumentKey,
    json::JsonObject,
    server::{ArchivedEntry, DocumentCreation, DocumentStats},
    store::{Insertion, Query},
};
use logux_sqlite::{Database, Durability};

use common::TempDir;

const FILE: &str = "LOGUX_TEST_KILL_FILE";
const ROUND: &str = "LOGUX_TEST_KILL_ROUND";
const ROUNDS: u64 = 1_000;

/// The entry with the number `number`: its order by creation is unrelated to its order by arrival.
fn numbered(number: u64) -> Entry {
    let node =
        NodeId::new(["10:a:b", "\u{e000}", "\u{1f600}"][number as usize % 3]).expect("a node id");
    let time = WallTime::from_millis((number * 7_919 % 100_003).cast_signed());
    let id = ActionId::new(time.shifted((number % 5).cast_signed()), node, number as u32);
    let action = Action::new(format!(r#"{{"type":"a","number":{number}}}"#)).expect("an action");
    Entry::new(
        action,
        Meta::new(id).with_time(time).with_reason(["a", "b"][number as usize % 2]).with_index("i"),
    )
}

/// The stamp of a write to the record, increasing with the number.
fn write_stamp(number: u64) -> Stamp {
    let time = WallTime::from_millis(number.cast_signed());
    Stamp::new(time, ActionId::new(time, NodeId::new("w").expect("a node id"), 0))
}

#[test]
fn acknowledged_actions_survive_a_kill() {
    let directory = TempDir::new("kill");
    let file = directory.file("a.db");
    let mut random = Random(0x5EED);
    let mut safe = 0;
    let mut acknowledging = 0;
    for round in 1..=ROUNDS {
        let acknowledged = write_until_killed(&file, round, &mut random);
        acknowledging += u64::from(acknowledged.is_some());
        let expected = safe.max(acknowledged.unwrap_or_default());
        let database =
            Database::open(&file).unwrap_or_else(|error| panic!("after kill {round}: {error}"));
        safe = check_new(&database, safe, round);
        assert!(safe >= expected, "kill {round}: {expected} were acknowledged, {safe} exist");
        if round % 250 == 0 {
            check_all(&database, safe);
        }
    }
    println!("{ROUNDS} kills, {acknowledging} of them after an acknowledgement, {safe} actions");
    assert!(
        acknowledging > ROUNDS / 2 && safe > ROUNDS,
        "most processes should acknowledge a write: {acknowledging}, {safe}"
    );
}

/// Runs a writing process for a moment. Returns the last number that it acknowledged.
fn write_until_killed(file: &Path, round: u64, random: &mut Random) -> Option<u64> {
    let mut writer = Command::new(std::env::current_exe().expect("the path of this program"))
        .args(["--exact", "write_and_acknowledge", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(writer.stdout.take().expect("its output")).lines();
    let mut last = None;
    // One in eight is killed while it opens the file, the others while they write.
    if !round.is_multiple_of(8) {
        last = lines.by_ref().find_map(number_in);
    }
    sleep(Duration::from_micros(random.below(8_000)));
    writer.kill().expect("kill");
    writer.wait().expect("the end of the process");
    lines.filter_map(number_in).last().or(last)
}

fn number_in(line: std::io::Result<String>) -> Option<u64> {
    line.ok()?.strip_prefix("safe ")?.strip_suffix('.')?.parse().ok()
}

/// Checks the entries after `from`: consecutive numbers, each with its action. Returns the last
/// number.
fn check_new(database: &Database, from: u64, round: u64) -> u64 {
    let store = database.store();
    let mut next = from + 1;
    store
        .walk(&Query::added().oldest_first().after_added(from), &mut |entry| {
            let mut expected = numbered(next);
            expected.meta.added = Some(next);
            assert_eq!(*entry, expected, "after kill {round}");
            next += 1;
            ControlFlow::Continue(())
        })
        .expect("walk");
    let last = next - 1;
    assert_eq!(store.last_added().expect("last_added"), last);
    // The document and the record were written in the same transaction.
    let (documents, key) = (database.documents(), DocumentKey::new("counters", "1"));
    let document = documents.find(&key).expect("find");
    assert_eq!(document.map_or(0, |document| document.actions), last, "after kill {round}");
    let archived = documents.position_at(&key, WallTime::MAX).expect("position_at");
    assert_eq!(
        archived.unwrap_or_default(),
        last,
        "the archive matches the log after kill {round}"
    );
    let record = database.records().load("counters", "1", None).expect("load");
    let count = record.map_or(0, |record| record.fields[0].value.parse().expect("a number"));
    assert_eq!(count, last, "the record matches the log after kill {round}");
    last
}

/// Checks all orders and look-ups by id.
fn check_all(database: &Database, last: u64) {
    let store = database.store();
    let mut expected: Vec<Entry> = (1..=last).map(numbered).collect();
    for (at, entry) in expected.iter_mut().enumerate() {
        entry.meta.added = Some(at as u64 + 1);
    }
    expected.sort_by_cached_key(|entry| entry.meta.stamp());
    for query in [Query::created().oldest_first(), Query::created().oldest_first().index("i")] {
        let mut rest = expected.iter();
        let visit = &mut |entry: &Entry| {
            assert_eq!(Some(entry), rest.next());
            ControlFlow::Continue(())
        };
        store.walk(&query, visit).expect("walk");
        assert_eq!(rest.next(), None, "{query:?}");
    }
    for entry in expected.iter().step_by(97) {
        assert_eq!(store.by_id(&entry.meta.id).expect("by_id").as_ref(), Some(entry));
    }
    let newest = |reason: &str| {
        expected.iter().rfind(|entry| &*entry.meta.reasons[0] == reason).map(|e| e.meta.stamp())
    };
    for reason in ["a", "b"] {
        assert_eq!(store.newest_with_reason(reason).expect("newest"), newest(reason));
    }
}

/// The body of the killed process, not a test. Like a server it adds actions, changes a record,
/// commits, and then acknowledges.
#[test]
fn write_and_acknowledge() {
    let Some(file) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let round: u64 =
        std::env::var(ROUND).ok().and_then(|round| round.parse().ok()).expect("a round");
    let durability = if round.is_multiple_of(2) { Durability::Full } else { Durability::Normal };
    let database = Database::open_with(file, durability).expect("the database");
    let (mut store, records) = (database.store(), database.records());
    let (documents, key) = (database.documents(), DocumentKey::new("counters", "1"));
    let mut number = store.last_added().expect("last_added");
    let mut output = std::io::stdout().lock();
    writeln!(output).expect("the parent process reads");
    for batch in 0_u64.. {
        for _ in 0..=(batch + round) % 4 {
            number += 1;
            assert_eq!(store.add(&mut numbered(number)).expect("add"), Insertion::Added);
        }
        let fields = JsonObject::from_json(&format!(r#"{{"count":{number}}}"#)).expect("an object");
        records.create("counters", "1", &fields, &write_stamp(number)).expect("change");
        let (stamp, at) = (write_stamp(number), WallTime::from_millis(number.cast_signed()));
        documents.create(&key, &DocumentCreation { stamp, creator: None, at }).expect("create");
        let archived = ArchivedEntry::new(number, at, numbered(number));
        assert!(documents.archive(&key, &[archived]).expect("archive"));
        let id = key.id().clone();
        let stats = DocumentStats { id, changed_at: at, bytes: 1, actions: number };
        documents.touch("counters", &[stats]).expect("touch");
        store.commit().expect("commit");
        writeln!(output, "safe {number}.").expect("the parent process reads");
    }
}

/// A small random number generator with a fixed seed.
struct Random(u64);

impl Random {
    const fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
