//! The rules of the log: which actions are kept, the calls of observers, and changes of meta.

use std::sync::{Arc, Mutex};

use logux::{
    Action, ActionId, Json, Log, MemoryStore, Meta, NodeId, Stamp, WallTime,
    log::{Draft, LogError, Observer},
    store::{Criteria, Entry, MetaChange, Query, Store, Synced},
};

/// Records the calls, and adds `reason` if there is one.
#[derive(Clone, Default)]
struct Recorder {
    name: &'static str,
    lines: Arc<Mutex<Vec<String>>>,
    reason: Option<&'static str>,
}

impl Recorder {
    fn record(&self, event: &str, action: &Action, meta: &Meta) {
        let reasons: Vec<&str> = meta.reasons.iter().map(|reason| &**reason).collect();
        let line = format!("{}{event} {} {:?} {:?}", self.name, action.kind(), meta.added, reasons);
        self.lines.lock().expect("no panic").push(line);
    }

    fn take(&self) -> Vec<String> {
        core::mem::take(&mut *self.lines.lock().expect("no panic"))
    }
}

impl Observer for Recorder {
    fn preadd(&mut self, action: &Action, meta: &mut Meta) {
        self.record("preadd", action, meta);
        meta.reasons.extend(self.reason.map(Arc::from));
    }

    fn added(&mut self, entry: &Entry) {
        self.record("added", &entry.action, &entry.meta);
    }

    fn cleaned(&mut self, entry: &Entry) {
        self.record("cleaned", &entry.action, &entry.meta);
    }
}

const fn at(ms: i64) -> WallTime {
    WallTime::from_millis(ms)
}

fn action(kind: &str) -> Action {
    Action::new(format!(r#"{{"type":"{kind}"}}"#)).expect("an action")
}

fn node() -> NodeId {
    NodeId::new("10:client:tab").expect("a node id")
}

fn observed() -> (Log<MemoryStore, Recorder>, Recorder) {
    let recorder = Recorder::default();
    (Log::with_observer(node(), MemoryStore::new(), recorder.clone()).expect("a log"), recorder)
}

fn kept_kinds<O: Observer>(log: &Log<MemoryStore, O>) -> Vec<String> {
    log.store().assert_invariants();
    let page = log.store().page(&Query::created().oldest_first(), 100).expect("a page");
    page.entries.iter().map(|entry| entry.action.kind().to_owned()).collect()
}

fn reasons<O: Observer>(log: &Log<MemoryStore, O>, entry: &Entry) -> Vec<String> {
    let found = log.by_id(&entry.meta.id).expect("by_id").expect("the entry");
    found.meta.reasons.iter().map(|reason| reason.to_string()).collect()
}

#[test]
fn an_action_without_reasons_is_not_kept() {
    let (mut log, recorder) = observed();
    let entry = log.add(at(5), action("a"), Draft::default()).unwrap().expect("a new id");
    assert_eq!((entry.meta.id.to_string().as_str(), entry.meta.added), ("5 10:client:tab 0", None));
    assert_eq!(recorder.take(), ["preadd a None []", "added a None []", "cleaned a None []"]);
    assert_eq!((kept_kinds(&log), log.last_added().unwrap()), (vec![], 0));
    // The log does not remember its id.
    let again = Draft::of(entry.meta.id, at(5));
    assert!(log.add(at(6), action("a"), again).unwrap().is_some());
    assert_eq!(recorder.take().len(), 3);
}

#[test]
fn an_action_with_a_reason_is_kept_and_numbered() {
    let (mut log, recorder) = observed();
    log.add(at(5), action("a"), Draft::reason("r")).unwrap();
    assert_eq!(recorder.take(), [r#"preadd a None ["r"]"#, r#"added a Some(1) ["r"]"#]);
    assert_eq!((kept_kinds(&log), log.last_added().unwrap()), (vec!["a".to_owned()], 1));
}

#[test]
fn an_observer_can_add_a_reason() {
    let recorder = Recorder { reason: Some("seen"), ..Recorder::default() };
    let mut log = Log::with_observer(node(), MemoryStore::new(), recorder).unwrap();
    let entry = log.add(at(5), action("a"), Draft::default()).unwrap().unwrap();
    assert_eq!((reasons(&log, &entry), entry.meta.added), (vec!["seen".to_owned()], Some(1)));
}

#[test]
fn an_observer_cannot_change_the_id() {
    struct Forger;
    impl Observer for Forger {
        fn preadd(&mut self, _: &Action, meta: &mut Meta) {
            meta.id = "9 other 9".parse().expect("an id");
            meta.extra.set("seen", Json::new("true").expect("JSON"));
        }
    }
    let mut log = Log::with_observer(node(), MemoryStore::new(), Forger).unwrap();
    let entry = log.add(at(5), action("a"), Draft::reason("r")).unwrap().unwrap();
    assert_eq!(entry.meta.id.to_string(), "5 10:client:tab 0");
    assert_eq!(entry.meta.extra.to_json(), r#"{"seen":true}"#);
}

#[test]
fn the_first_observer_is_called_first() {
    let lines = Arc::default();
    let first = Recorder { name: "1 ", lines: Arc::clone(&lines), reason: None };
    let second = Recorder { name: "2 ", lines, reason: None };
    let mut log = Log::with_observer(node(), MemoryStore::new(), (first.clone(), second)).unwrap();
    log.add(at(1), action("x"), Draft::default()).unwrap();
    let calls: Vec<String> =
        first.take().iter().filter_map(|line| Some(line.split_once(" x ")?.0.to_owned())).collect();
    assert_eq!(calls, ["1 preadd", "2 preadd", "1 added", "2 added", "1 cleaned", "2 cleaned"]);
}

#[test]
fn a_duplicate_changes_nothing_and_calls_no_observer() {
    let (mut log, recorder) = observed();
    let entry = log.add(at(5), action("a"), Draft::reason("r")).unwrap().unwrap();
    recorder.take();
    let again = Draft::of(entry.meta.id.clone(), at(7)).and_reason("other").keep_last("r");
    assert_eq!(log.add(at(8), action("b"), again).unwrap(), None);
    assert!(recorder.take().is_empty());
    assert_eq!(log.by_id(&entry.meta.id).unwrap(), Some(entry));
}

#[test]
fn generated_ids_are_later_than_those_in_the_store() {
    let mut log = Log::new(node(), MemoryStore::new()).unwrap();
    let first = log.add(at(1_000), action("a"), Draft::reason("r")).unwrap().unwrap();
    let mut log = Log::new(node(), log.into_store()).unwrap();
    let second = log.add(at(3), action("b"), Draft::reason("r")).unwrap().unwrap();
    assert!(
        second.meta.stamp() > first.meta.stamp(),
        "{second:?} must be later than {first:?}, although the clock went backwards"
    );
    assert_eq!(kept_kinds(&log), ["a", "b"]);
}

#[test]
fn only_the_last_action_keeps_its_reason() {
    let (mut log, recorder) = observed();
    let first =
        log.add(at(1), action("a"), Draft::reason("other").keep_last("name")).unwrap().unwrap();
    log.add(at(2), action("b"), Draft::default().keep_last("name")).unwrap();
    assert_eq!(reasons(&log, &first), ["other"], "the older action keeps its other reason");
    recorder.take();
    log.add(at(3), action("c"), Draft::default().keep_last("name")).unwrap();
    assert_eq!(
        recorder.take(),
        ["preadd c None []", "cleaned b Some(2) []", r#"added c Some(3) ["name"]"#]
    );
    assert_eq!(kept_kinds(&log), ["a", "c"]);
}

#[test]
fn a_late_older_action_does_not_become_the_last() {
    let (mut log, recorder) = observed();
    log.add(at(10), action("new"), Draft::default().keep_last("name")).unwrap();
    recorder.take();
    let late = Draft::of("3 other 0".parse().unwrap(), at(3)).keep_last("name");
    let entry = log.add(at(11), action("late"), late).unwrap().unwrap();
    assert_eq!((entry.meta.reasons.len(), entry.meta.added), (0, None));
    assert_eq!(
        recorder.take(),
        ["preadd late None []", "added late None []", "cleaned late None []"]
    );
    assert_eq!(kept_kinds(&log), ["new"]);
    let late = Draft::of("4 other 0".parse().unwrap(), at(4)).and_reason("other").keep_last("name");
    let entry = log.add(at(12), action("late"), late).unwrap().unwrap();
    assert_eq!(reasons(&log, &entry), ["other"]);
    assert_eq!(kept_kinds(&log), ["late", "new"]);
}

#[test]
fn the_last_action_is_last_by_corrected_time() {
    let mut log = Log::new(node(), MemoryStore::new()).unwrap();
    // The first clock is far ahead, but the corrected time of the action is early.
    let ahead = Draft::of("9000 ahead 0".parse().unwrap(), at(1)).keep_last("name");
    log.add(at(5), action("early"), ahead).unwrap();
    log.add(at(5), action("late"), Draft::default().keep_last("name")).unwrap();
    assert_eq!(kept_kinds(&log), ["late"]);
}

#[test]
fn meta_can_be_changed_except_read_only_keys() {
    let (mut log, recorder) = observed();
    let entry = log.add(at(5), action("a"), Draft::reason("r").index("i")).unwrap().unwrap();
    recorder.take();
    let set = |key: &str| MetaChange {
        reasons: None,
        extra: vec![(key.into(), Some(Json::new("1").unwrap()))],
    };
    for key in ["id", "added", "time", "subprotocol", "indexes"] {
        let error = log.change_meta(&entry.meta.id, &set(key)).unwrap_err();
        assert_eq!(error, LogError::ReadOnly(key.into()));
        assert!(error.to_string().contains(key), "{error}");
    }
    assert_eq!(log.by_id(&entry.meta.id).unwrap(), Some(entry.clone()));
    assert!(log.change_meta(&entry.meta.id, &set("color")).unwrap());
    assert_eq!(log.by_id(&entry.meta.id).unwrap().unwrap().meta.extra.to_json(), r#"{"color":1}"#);
    assert!(!log.change_meta(&"1 unknown 0".parse().unwrap(), &set("color")).unwrap());
    assert!(recorder.take().is_empty());
}

#[test]
fn empty_reasons_clean_the_action() {
    let (mut log, recorder) = observed();
    let entry = log.add(at(5), action("a"), Draft::reason("r")).unwrap().unwrap();
    recorder.take();
    let none = MetaChange { reasons: Some([].into_iter().collect()), extra: vec![] };
    assert!(log.change_meta(&entry.meta.id, &none).unwrap());
    assert_eq!(recorder.take(), ["cleaned a Some(1) []"]);
    assert!(kept_kinds(&log).is_empty());
    assert!(!log.change_meta(&entry.meta.id, &none).unwrap());
    assert!(recorder.take().is_empty());
}

#[test]
fn removing_a_reason_reports_removed_actions() {
    let (mut log, recorder) = observed();
    log.add(at(2), action("b"), Draft::reason("r")).unwrap();
    log.add(at(3), action("c"), Draft::reason("r").and_reason("s")).unwrap();
    let early = Draft { time: Some(at(1)), ..Draft::reason("r") };
    log.add(at(4), action("a"), early).unwrap();
    recorder.take();
    log.remove_reason("r", &Criteria::default()).unwrap();
    assert_eq!(recorder.take(), ["cleaned a Some(3) []", "cleaned b Some(1) []"]);
    assert_eq!(kept_kinds(&log), ["c"]);
}

#[test]
fn keeps_the_synced_numbers() {
    let mut log = Log::new(node(), MemoryStore::new()).unwrap();
    let synced = Synced { sent: 3, received: 4 };
    log.set_synced(synced).unwrap();
    log.commit().unwrap();
    assert_eq!(log.synced().unwrap(), synced);
}

#[test]
fn an_own_action_is_ordered_after_what_the_log_has_seen() {
    let node = NodeId::new("10:a:b").expect("a node id");
    let hour_ahead: ActionId = "3600000 20:c:d 0".parse().unwrap();
    let late = Action::new(r#"{"type":"note"}"#).unwrap();
    let stamp_of = |log: &mut Log<MemoryStore>, ms| -> Stamp {
        let now = WallTime::from_millis(ms);
        let entry = log.add(now, late.clone(), Draft::reason("r")).expect("added").expect("new");
        assert_eq!(entry.meta.id.time(), now, "the id has the time of the own clock");
        entry.meta.stamp()
    };
    let mut log = Log::new(node.clone(), MemoryStore::new()).unwrap();
    let draft = Draft::of(hour_ahead.clone(), hour_ahead.time()).and_reason("r");
    let seen = log
        .add(WallTime::default(), late.clone(), draft)
        .expect("added")
        .expect("new")
        .meta
        .stamp();
    let first = stamp_of(&mut log, 1_000);
    assert!(first > seen && first.time().as_millis() <= 3_600_001);
    // After a restart too, and later the own clock counts.
    let mut log = Log::new(node, log.into_store()).unwrap();
    assert!(stamp_of(&mut log, 1_001) > first);
    assert_eq!(stamp_of(&mut log, 4_000_000).time().as_millis(), 4_000_000);
    // A server's clock is the reference.
    let mut server = Log::new(NodeId::new("server:x").unwrap(), MemoryStore::new())
        .unwrap()
        .with_physical_clock();
    let draft = Draft::of(hour_ahead, seen.time());
    server.add(WallTime::default(), late.clone(), draft).unwrap();
    assert_eq!(stamp_of(&mut server, 1_000).time().as_millis(), 1_000);
}
