//! Checks for storages with the time of each field: what subscribers receive must equal what is
//! stored, even if writes arrive late, repeatedly, with equal times, or concurrently.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures_util::future::join_all;
use logux::{WallTime, json::JsonObject};

use crate::sync_map::{
    SyncMap, SyncMapFilter,
    data::{EditOutcome, LoadOutcome},
    suite::kit::{At, Kit, Values, at, parsed, values, wall},
};

/// A client that receives every result and keeps the later of two writes, as the official clients
/// do.
#[derive(Debug, Default)]
struct Subscriber(Mutex<BTreeMap<String, (serde_json::Value, WallTime)>>);

impl Subscriber {
    fn receive(&self, fields: &JsonObject, at: At, outcome: EditOutcome) {
        let (received, time) = match outcome {
            EditOutcome::Nothing => return,
            EditOutcome::All => (fields.clone(), wall(at.time)),
            EditOutcome::Fields { won, time } => (won, time),
        };
        let mut fields_by_key = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in received.iter() {
            let new = (parsed(value), time);
            match fields_by_key.get(key) {
                Some(old) if *old == new => {}
                Some((_, old)) => {
                    assert_ne!(
                        *old, time,
                        "two writes of {key} have equal times, so clients could differ forever"
                    );
                    if *old < time {
                        fields_by_key.insert(key.to_owned(), new);
                    }
                }
                None => drop(fields_by_key.insert(key.to_owned(), new)),
            }
        }
    }

    fn receive_deletion(&self, time: WallTime) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, (_, written)| *written > time);
    }

    fn assert_empty(&self) {
        let fields = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(fields.is_empty(), "a client keeps fields of a deleted record: {fields:?}");
    }

    /// Compares the received values and times with the stored ones.
    async fn assert_stored<S, M>(&self, kit: &Kit<S, M>, id: &str)
    where
        S: Send + Sync + 'static,
        M: SyncMap<S>,
    {
        let LoadOutcome::Record(record) = kit.load(id, None).await else {
            panic!("the record exists")
        };
        let stored: BTreeMap<_, _> = record
            .fields
            .iter()
            .filter(|(key, ..)| kit.one.get(key).is_some())
            .map(|(key, value, time)| {
                (key.to_string(), (parsed(value), time.expect("a field has its time")))
            })
            .collect();
        assert_eq!(
            *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            stored,
            "the fields of the clients and of the storage"
        );
    }
}

/// Returns the fields that subscribers receive.
fn won_fields(outcome: EditOutcome, all: &JsonObject) -> Values {
    match outcome {
        EditOutcome::Nothing => Values::new(),
        EditOutcome::All => values(all),
        EditOutcome::Fields { won, .. } => values(&won),
    }
}

pub(super) async fn a_later_write_wins_field_by_field<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(1)).await;
    let first = kit.only(&kit.other, 0);
    assert_eq!(won_fields(kit.change("1", &first, at(5)).await, &first), values(&first));
    let mut rest = values(&kit.other);
    rest.retain(|key, _| first.get(key).is_none());
    assert_eq!(
        won_fields(kit.change("1", &kit.other, at(3)).await, &kit.other),
        rest,
        "only fields without a later write"
    );
    assert_eq!(kit.fields("1").await, Some(values(&kit.other)));
    assert_eq!(kit.change("1", &kit.one, at(2)).await, EditOutcome::Nothing);
    assert_eq!(kit.fields("1").await, Some(values(&kit.other)));
}

pub(super) async fn an_older_write_sets_only_unknown_fields<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    let first = kit.only(&kit.other, 0);
    kit.create("1", &first, at(5)).await;
    let mut expected = values(&kit.one);
    expected.extend(values(&first));
    kit.create("1", &kit.one, at(1)).await;
    assert_eq!(kit.fields("1").await, Some(expected), "an earlier creation arrives later");
}

pub(super) async fn writes_from_before_a_deletion_are_refused<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(1)).await;
    assert_eq!(kit.delete("1", at(4)).await, Some(4));
    for time in [3, 4] {
        assert_eq!(kit.try_create("1", &kit.other, at(time).by("z")).await, None, "{time}");
    }
    assert_eq!(kit.delete("1", at(6)).await, None, "it is deleted already");
    assert_eq!(kit.load("1", None).await, LoadOutcome::Deleted(wall(6)));
    let first = kit.only(&kit.other, 0);
    assert!(kit.try_create("1", &first, at(7)).await.is_some());
    let again = Some(values(&first));
    assert_eq!(kit.fields("1").await, again, "it exists again, with only the later fields");
    assert_eq!(kit.try_change("1", &kit.one, at(3)).await, None, "of the deleted record");
    assert_eq!(kit.try_create("1", &kit.one, at(3)).await, None);
    assert_eq!(kit.fields("1").await, again);
}

pub(super) async fn a_deletion_is_moved_after_the_latest_write<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(1)).await;
    kit.change("1", &kit.only(&kit.other, 0), at(5)).await;
    assert_eq!(kit.delete("1", at(3)).await, Some(6), "after the change that has arrived");
    assert_eq!(kit.load("1", None).await, LoadOutcome::Deleted(wall(6)));
    assert_eq!(kit.try_create("1", &kit.one, at(6)).await, None);
    // The author of this deletion hides older writes, which may still arrive.
    assert_eq!(kit.delete("2", at(3)).await, None, "an unknown record");
    assert_eq!(kit.try_create("2", &kit.one, at(1)).await, None);
    assert_eq!(kit.delete("1", at(9)).await, None, "a deleted record");
    assert_eq!(kit.try_create("1", &kit.one, at(8)).await, None);
    assert!(kit.try_create("1", &kit.one, at(10)).await.is_some());
}

pub(super) async fn a_repeated_deletion_has_the_same_time<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(7)).await;
    for _ in 0..2 {
        assert_eq!(kit.delete("1", at(3)).await, Some(8), "after a crash");
    }
    kit.create("1", &kit.other, at(9)).await;
    assert_eq!(kit.delete("1", at(3)).await, None, "it deletes no later record");
    assert_eq!(kit.fields("1").await, Some(values(&kit.other)));
}

pub(super) async fn writes_with_equal_times_get_different_times<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    // The order of the last nodes differs in UTF-8 and UTF-16.
    for (id, nodes) in
        [("1", ["a", "b", "c"]), ("2", ["c", "b", "a"]), ("3", ["\u{e000}", "\u{1f600}", "z"])]
    {
        let subscriber = Subscriber::default();
        subscriber.receive(&kit.one, at(1), kit.create(id, &kit.one, at(1)).await);
        for (n, node) in nodes.into_iter().enumerate() {
            let fields = if n == 1 { &kit.other } else { &kit.one };
            let at = at(7).by(node);
            subscriber.receive(fields, at, kit.change(id, fields, at).await);
            subscriber.assert_stored(kit, id).await;
            // The third write may win or not; what subscribers receive equals what is stored.
            if n < 2 {
                assert_eq!(
                    kit.fields(id).await,
                    Some(values(fields)),
                    "the second write to arrive is ordered after the first"
                );
            }
        }
    }
}

pub(super) async fn a_repeated_write_with_a_changed_time_keeps_its_order<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    let subscriber = Subscriber::default();
    subscriber.receive(&kit.one, at(1), kit.create("1", &kit.one, at(1)).await);
    for (fields, at) in [
        (&kit.one, at(7).by("a")),
        (&kit.other, at(7).by("b")),
        (&kit.other, at(7).by("b")),
        (&kit.one, at(7).by("a")),
    ] {
        subscriber.receive(fields, at, kit.change("1", fields, at).await);
    }
    subscriber.assert_stored(kit, "1").await;
    let LoadOutcome::Record(record) = kit.load("1", None).await else {
        panic!("the record exists")
    };
    let times: Vec<_> = record.fields.iter().filter_map(|(_, _, time)| *time).collect();
    assert!(
        times.iter().all(|time| time.since(wall(7)) < 3),
        "a repetition does not change the time again: {times:?}"
    );
}

pub(super) async fn subscribers_agree_in_every_order_of_arrival<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    let mut random = Random(1);
    for round in 0..30 {
        let id = format!("r{round}");
        let mut times: Vec<i64> = (1..=12).collect();
        random.shuffle(&mut times);
        // Values and times of writing, while the record exists, and the time of its deletion.
        let mut model: Option<BTreeMap<String, (serde_json::Value, i64)>> = None;
        let mut deleted = 0;
        let subscriber = Subscriber::default();
        for time in times {
            if time % 4 == 3 {
                let latest = model
                    .as_ref()
                    .map(|fields| fields.values().map(|(_, time)| *time).max().expect("a field"));
                let expected = latest.map(|latest| time.max(latest + 1));
                assert_eq!(kit.delete(&id, at(time)).await, expected);
                (model, deleted) = (None, expected.unwrap_or(deleted.max(time)));
                if let Some(time) = expected {
                    subscriber.receive_deletion(wall(time));
                }
                continue;
            }
            let all = if time % 2 == 0 { &kit.one } else { &kit.other };
            let fields = if time % 4 == 0 { all.clone() } else { kit.only(all, random.below(2)) };
            let outcome = match time % 4 {
                0 => kit.try_create(&id, &fields, at(time)).await,
                _ => kit.try_change(&id, &fields, at(time)).await,
            };
            let is_accepted = time > deleted && (model.is_some() || time % 4 == 0);
            assert_eq!(outcome.is_some(), is_accepted, "{time} after {deleted}");
            let Some(outcome) = outcome else { continue };
            subscriber.receive(&fields, at(time), outcome);
            let record = model.get_or_insert_default();
            for (key, value) in values(&fields) {
                let entry = record.entry(key).or_insert((value.clone(), time));
                if entry.1 < time {
                    *entry = (value, time);
                }
            }
        }
        let expected = model.map(|fields| {
            fields.into_iter().map(|(key, (value, _))| (key, value)).collect::<Values>()
        });
        assert_eq!(kit.fields(&id).await, expected);
        if expected.is_some() {
            subscriber.assert_stored(kit, &id).await;
        } else {
            subscriber.assert_empty();
        }
    }
}

pub(super) async fn concurrent_writes_are_consistent<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    const NODES: [&str; 6] = ["a", "b", "c", "d", "\u{e000}", "\u{1f600}"];
    let subscriber = Subscriber::default();
    subscriber.receive(&kit.one, at(0), kit.create("1", &kit.one, at(0)).await);
    let writer = async |n: usize, node: &'static str| {
        for turn in 0..8_usize {
            let fields = kit
                .only(if (turn + n).is_multiple_of(2) { &kit.one } else { &kit.other }, turn % 2);
            // Most writes have the time of another write.
            let at = At { time: 1 + (turn / 2) as i64, node, arrived: 100 };
            let at = At { time: at.time + 10 * (turn % 2) as i64, ..at };
            subscriber.receive(&fields, at, kit.change("1", &fields, at).await);
        }
    };
    join_all(NODES.into_iter().enumerate().map(|(n, node)| writer(n, node))).await;
    subscriber.assert_stored(kit, "1").await;
}

/// A linear congruential generator with the same sequence in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}
