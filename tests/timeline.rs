//! The state of a timeline depends only on the set of actions, not on their order of arrival, and
//! does not contain undone actions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashSet;

use logux::{
    Action, ActionId, Entry, Log, MemoryStore, Meta, NodeId, Stamp, Store, WallTime,
    log::Draft,
    replay::{
        Diff, Malformed, Reducer, Saved, Snapshot, SnapshotError, Timeline, TimelineConfig,
        TimelineWarning, untyped_reducer,
    },
    store::{Criteria, Query},
};
use proptest::{collection::vec, prelude::*};

/// A reducer whose state is the numbers in the order of application, or their sum, which commutes.
#[derive(Clone)]
struct Letters {
    commutes: bool,
}

impl Reducer for Letters {
    type Action = u64;
    type State = Vec<u64>;

    fn read(&self, action: &Action) -> Result<Option<u64>, Malformed> {
        match (action.kind(), action.field("n").and_then(|n| n.parse().ok())) {
            ("n", Some(n)) => Ok(Some(n)),
            ("n", None) => Err(Malformed::new("expected a number in \"n\"")),
            _ => Ok(None),
        }
    }

    fn initial(&self) -> Vec<u64> {
        Vec::new()
    }

    fn apply(&self, state: &mut Vec<u64>, action: &u64, _: &Stamp) {
        if self.commutes {
            state.resize(1, 0);
            state[0] = state[0].wrapping_add(*action);
        } else {
            state.push(*action);
        }
    }

    fn commutes(&self) -> bool {
        self.commutes
    }
}

impl Diff for Letters {
    type Part = usize;

    fn diff(&self, before: &Vec<u64>, after: &Vec<u64>, part: &mut dyn FnMut(usize)) {
        (0..before.len().max(after.len()))
            .filter(|at| before.get(*at) != after.get(*at))
            .for_each(part);
    }
}

impl Saved for Letters {
    const NAME: &'static str = "letters";
    const VERSION: u32 = 1;
}

fn id(time: i64) -> ActionId {
    ActionId::new(WallTime::from_millis(time), NodeId::new("10:a:b").unwrap(), 0)
}

fn number(time: i64, n: u64) -> Entry {
    Entry::new(Action::new(format!(r#"{{"type":"n","n":{n}}}"#)).unwrap(), Meta::new(id(time)))
}

fn undo(time: i64, of: i64) -> Entry {
    let json = format!(r#"{{"type":"logux/undo","id":"{}","reason":"error"}}"#, id(of));
    Entry::new(Action::new(json).unwrap(), Meta::new(id(time)))
}

/// The state by definition: the actions in order, without undone ones.
fn expected(entries: &[Entry], reducer: &Letters) -> Vec<u64> {
    let target =
        |entry: &Entry| entry.action.str_field("id").map(|id| id.parse::<ActionId>().unwrap());
    let undos = |id: &ActionId| {
        let of_id = |entry: &&Entry| {
            entry.action.kind() == "logux/undo" && target(entry).as_ref() == Some(id)
        };
        entries.iter().filter(of_id).map(|entry| entry.meta.id.clone()).collect::<Vec<_>>()
    };
    // In these tests, an undo refers only to an earlier id, so there are no cycles.
    fn undone(id: &ActionId, undos: &dyn Fn(&ActionId) -> Vec<ActionId>) -> bool {
        undos(id).iter().any(|undo| !undone(undo, undos))
    }
    let mut sorted: Vec<&Entry> =
        entries.iter().filter(|entry| !undone(&entry.meta.id, &undos)).collect();
    sorted.sort_by_key(|entry| entry.meta.stamp());
    sorted.dedup_by_key(|entry| entry.meta.stamp());
    let mut state = reducer.initial();
    for entry in sorted {
        if let Ok(Some(n)) = reducer.read(&entry.action) {
            reducer.apply(&mut state, &n, &entry.meta.stamp());
        }
    }
    state
}

fn small() -> TimelineConfig {
    TimelineConfig {
        save_every: 2,
        save_gap: 6,
        history: Some(10_000),
        ..TimelineConfig::default()
    }
}

/// Actions and undos of earlier ids, each id once.
fn history() -> impl Strategy<Value = Vec<Entry>> {
    vec(
        (0..200_i64, any::<u64>(), prop::option::weighted(0.3, any::<prop::sample::Index>())),
        1..80,
    )
    .prop_map(|drafts| {
        let mut times = HashSet::new();
        let mut entries = Vec::new();
        for (time, n, undone) in drafts {
            if times.insert(time) {
                entries.push(match undone {
                    Some(index) if time > 0 => {
                        undo(time, index.index(usize::try_from(time).unwrap()).try_into().unwrap())
                    }
                    _ => number(time, n),
                });
            }
        }
        entries
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_of_arrival_gives_the_state_of_the_set(
        entries in history(), batch in 1..10_usize, commutes: bool, twice: bool
    ) {
        let reducer = Letters { commutes };
        let mut timeline = Timeline::with_config(reducer.clone(), small());
        for (chunk, so_far) in entries.chunks(batch).zip(1..) {
            timeline.extend(chunk);
            if twice {
                chunk.iter().for_each(|entry| timeline.add(entry));
            }
            timeline.assert_invariants();
            let arrived = &entries[..(so_far * batch).min(entries.len())];
            prop_assert_eq!(timeline.state(), &expected(arrived, &reducer));
        }
        for time in [0, 50, 100, 199] {
            let past: Vec<Entry> = entries
                .iter()
                .filter(|entry| entry.action.kind() == "logux/undo" || entry.meta.time.as_millis() <= time)
                .cloned()
                .collect();
            prop_assert_eq!(timeline.state_at(&Stamp::new(WallTime::from_millis(time), id(time))), expected(&past, &reducer));
        }
    }

    #[test]
    fn removed_actions_stay_in_the_state(
        entries in history(), removed in vec(any::<prop::sample::Index>(), 0..40), commutes: bool
    ) {
        let reducer = Letters { commutes };
        let timeline = Timeline::with_config(reducer.clone(), TimelineConfig { max_cleaned: 5, ..small() });
        let mut log = Log::with_observer(NodeId::new("10:a:b").unwrap(), MemoryStore::new(), timeline).unwrap();
        for entry in &entries {
            let draft = Draft::of(entry.meta.id.clone(), entry.meta.time);
            log.add(WallTime::default(), entry.action.clone(), draft).unwrap();
        }
        for index in removed {
            let id = entries[index.index(entries.len())].meta.id.clone();
            log.remove_reason("timeTravel", &Criteria::id(id)).unwrap();
            log.timeline().assert_invariants();
            prop_assert_eq!(log.state(), &expected(&entries, &reducer));
        }
    }

    #[test]
    fn a_snapshot_and_later_actions_give_the_state(
        entries in history(), snapshot_at in any::<prop::sample::Index>(), commutes: bool
    ) {
        let reducer = Letters { commutes };
        let node = NodeId::new("10:a:b").unwrap();
        let timeline = Timeline::with_config(reducer.clone(), small());
        let mut log = Log::with_observer(node, MemoryStore::new(), timeline).unwrap();
        let snapshot_at = snapshot_at.index(entries.len());
        let mut snapshot = None;
        for (at, entry) in entries.iter().enumerate() {
            let draft = Draft::of(entry.meta.id.clone(), entry.meta.time);
            log.add(WallTime::default(), entry.action.clone(), draft).unwrap();
            if at == snapshot_at {
                snapshot = Some(Snapshot::of(&mut log).unwrap().to_string());
            }
        }
        let snapshot: Snapshot = snapshot.unwrap().parse().unwrap();
        match snapshot.open(reducer, small(), log.store()) {
            Ok(timeline) => {
                timeline.assert_invariants();
                prop_assert_eq!(timeline.state(), log.state());
            }
            Err(SnapshotError::LateActions(_)) => prop_assert!(!commutes),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn a_long_history_stays_close_to_its_saved_states() {
    for commutes in [false, true] {
        let mut timeline = Timeline::with_config(sum(commutes), TimelineConfig::default());
        for time in (0..30_000).rev() {
            if commutes {
                timeline.add(&number(time, 1));
            }
        }
        timeline.extend(&(0..30_000).map(|time| number(time, 1)).collect::<Vec<_>>());
        assert_eq!(timeline.state()[0], 30_000);
        assert!(timeline.stats().longest_gap <= TimelineConfig::MAX_GAP, "{:?}", timeline.stats());
        assert!(timeline.stats().checkpoints < 64, "{:?}", timeline.stats());
        timeline.assert_invariants();
    }
}

fn sum(commutes: bool) -> Sum {
    Sum { commutes }
}

struct Sum {
    commutes: bool,
}

impl Reducer for Sum {
    type Action = u64;
    type State = [u64; 1];

    fn read(&self, action: &Action) -> Result<Option<u64>, Malformed> {
        Letters { commutes: true }.read(action)
    }

    fn initial(&self) -> [u64; 1] {
        [0]
    }

    fn apply(&self, state: &mut [u64; 1], action: &u64, _: &Stamp) {
        state[0] += action;
    }

    fn commutes(&self) -> bool {
        self.commutes
    }
}

#[test]
fn changes_name_the_changed_parts() {
    let mut timeline = Timeline::new(Letters { commutes: false });
    assert_eq!(timeline.take_changes(), None);
    timeline.extend(&[number(1, 1), number(2, 2), number(4, 4)]);
    timeline.take_changes();
    timeline.add(&number(3, 3));
    let changes = timeline.take_changes().unwrap();
    assert_eq!((changes.since, changes.parts), (number(3, 3).meta.stamp(), vec![2, 3]));
    timeline.add(&undo(5, 4));
    let changes = timeline.take_changes().unwrap();
    assert_eq!((changes.since, changes.parts), (number(4, 4).meta.stamp(), vec![3]));
}

#[test]
fn malformed_actions_are_ignored_and_reported() {
    let mut timeline = Timeline::new(Letters { commutes: false });
    let bad = Entry::new(Action::new(r#"{"type":"n","n":"many"}"#).unwrap(), Meta::new(id(1)));
    let bad_undo = Entry::new(Action::new(r#"{"type":"logux/undo"}"#).unwrap(), Meta::new(id(2)));
    timeline.extend([&bad, &bad_undo]);
    assert!(timeline.state().is_empty());
    assert_eq!(
        timeline.take_warning().unwrap().to_string(),
        r#"action 1 10:a:b 0 was ignored: expected a number in "n""#
    );
    assert!(matches!(timeline.take_warning(), Some(TimelineWarning::Malformed(..))));
    for _ in 0..200 {
        timeline.add(&bad);
    }
    assert_eq!(timeline.dropped_warnings(), 100);
}

#[test]
fn history_is_limited_and_earlier_actions_are_reported() {
    let config = TimelineConfig {
        history: Some(10),
        clean_every: 1,
        max_cleaned: 5,
        ..TimelineConfig::default()
    };
    let timeline = Timeline::with_config(Letters { commutes: false }, config);
    let mut log =
        Log::with_observer(NodeId::new("10:a:b").unwrap(), MemoryStore::new(), timeline).unwrap();
    for time in 10..40 {
        log.add(
            WallTime::from_millis(time),
            number(time, time.unsigned_abs()).action,
            Draft::default(),
        )
        .unwrap();
    }
    assert_eq!(log.store().len(), 10, "`history` actions are kept for time travel");
    assert_eq!(log.timeline().stats().steps, 10);
    assert_eq!(log.state().len(), 30, "the state contains all actions");
    log.add(WallTime::default(), number(5, 5).action, Draft::of(id(5), WallTime::from_millis(5)))
        .unwrap();
    assert_eq!(log.state()[20], 5, "the action is applied to the earliest saved state");
    assert_eq!(log.observer_mut().take_warning(), Some(TimelineWarning::MissedHistory(id(5))));
    log.undo(WallTime::from_millis(50), &id(39), "error").unwrap().unwrap();
    assert_eq!(log.state().len(), 30);
}

#[test]
fn an_undo_is_kept_as_long_as_its_action() {
    let config = TimelineConfig { history: Some(2), clean_every: 1, ..TimelineConfig::default() };
    let timeline = Timeline::with_config(Letters { commutes: false }, config);
    let mut log =
        Log::with_observer(NodeId::new("10:a:b").unwrap(), MemoryStore::new(), timeline).unwrap();
    let action = log
        .add(WallTime::from_millis(1), number(1, 1).action, Draft::reason("mine"))
        .unwrap()
        .unwrap()
        .meta
        .id;
    let undo = log.undo(WallTime::from_millis(2), &action, "error").unwrap().unwrap().meta.id;
    for time in 3..20 {
        log.add(WallTime::from_millis(time), number(time, 9).action, Draft::default()).unwrap();
    }
    assert!(log.by_id(&undo).unwrap().is_some(), "the undo has the reason of its action");
    log.remove_reason("mine", &Criteria::default()).unwrap();
    assert!(log.by_id(&action).unwrap().is_none() && log.by_id(&undo).unwrap().is_none());
    assert!(!log.state().contains(&1));
}

#[test]
fn actions_of_another_tab_are_ignored() {
    let config = TimelineConfig { tab: Some("tab1".into()), ..TimelineConfig::default() };
    let timeline = Timeline::with_config(Letters { commutes: false }, config);
    let mut log =
        Log::with_observer(NodeId::new("10:a:b").unwrap(), MemoryStore::new(), timeline).unwrap();
    for (tab, n) in [("tab1", 1), ("tab2", 2)] {
        let draft = Draft::default().extra("tab", logux::Json::from_value(tab).unwrap());
        log.add(WallTime::from_millis(1), number(1, n).action, draft).unwrap();
    }
    assert_eq!(log.state(), &[1]);
    let page = log.store().page(&Query::created(), 10).unwrap().entries;
    assert_eq!(&*page[0].meta.reasons[0], "timeTravelTabtab1");
}

#[test]
fn snapshots_of_another_log_or_reducer_are_refused() {
    let node = NodeId::new("10:a:b").unwrap();
    let log = || {
        Log::with_observer(
            node.clone(),
            MemoryStore::new(),
            Timeline::new(Letters { commutes: false }),
        )
        .unwrap()
    };
    let (mut ours, mut theirs) = (log(), log());
    for (log, time) in [(&mut ours, 1), (&mut theirs, 2)] {
        log.add(WallTime::from_millis(time), number(time, 1).action, Draft::default()).unwrap();
    }
    let text = Snapshot::of(&mut ours).unwrap().to_string();
    let open = |text: &str, log: &Log<MemoryStore, Timeline<Letters>>| {
        let letters = Letters { commutes: false };
        let opened = text
            .parse::<Snapshot>()
            .and_then(|saved| saved.open(letters, TimelineConfig::default(), log.store()));
        opened.map(|timeline| timeline.state().clone()).map_err(|error| error.to_string())
    };
    assert_eq!(open(&text, &ours), Ok(vec![1]));
    assert!(open(&text, &theirs).unwrap_err().contains("another log"));
    assert!(
        open(&text.replace("\"version\":3", "\"version\":2"), &ours)
            .unwrap_err()
            .contains("got version 2; read the whole log")
    );
    assert!(
        open(&text.replace("letters", "words"), &ours).unwrap_err().contains("letters version 1")
    );
    assert!(open("[]", &ours).unwrap_err().contains("expected the JSON of a snapshot"));
    assert!(
        open(&text.replace("\"state\":[]", "\"state\":{}"), &ours)
            .unwrap_err()
            .contains("does not fit the reducer")
    );
}

#[test]
fn an_action_is_applied_once_even_with_another_time() {
    let mut timeline = Timeline::new(Letters { commutes: false });
    for time in [5, 7, 3, 5] {
        let mut entry = number(5, 1);
        entry.meta.time = WallTime::from_millis(time);
        timeline.add(&entry);
    }
    assert_eq!(timeline.state(), &[1]);
}

#[test]
fn a_closure_is_a_reducer() {
    let mut timeline = Timeline::new(untyped_reducer(0, |count: &mut u32, _: &Action| *count += 1));
    timeline.extend([&number(1, 1), &undo(2, 1), &undo(3, 2)]);
    assert_eq!(*timeline.state(), 1, "the undo is undone");
}
