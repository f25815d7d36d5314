//! Saved states that no version has written, and snapshots that cannot be read.

use logux::{
    Action, Entry, Meta, NodeId, Stamp,
    crdt::{
        ColumnWriter, Crdt, LoadError, MAX_COUNTER, RestoreError, Shared, StateReader, StateWriter,
        Text,
    },
    replay::{Coverage, Malformed, Timeline, TimelineWarning},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{edit, entries, with_small_stack};

/// A run of a text, as it is saved.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct SavedRun {
    node: String,
    kind: u64,
    len: u64,
    counter: i64,
    depth: i64,
}

/// A saved text with any content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct AnyText {
    runs: Vec<SavedRun>,
    text: String,
    /// The length and the text of an insertion by `a` that waits for the first element of `z`.
    waiting: Option<(u64, String)>,
}

impl Crdt for AnyText {
    type Op = ();
    type Event = ();
    type Part = ();

    const NAME: &'static str = Text::NAME;
    const VERSION: u32 = Text::VERSION;

    fn check((): &()) -> Result<(), Malformed> {
        Ok(())
    }

    fn apply(&mut self, (): &(), _: &Stamp) -> Option<()> {
        None
    }

    fn to_json(&self) -> Value {
        Value::Null
    }

    fn diff(&self, _: &Self, _: &mut dyn FnMut(())) {}

    fn restore_ops(&self, _: &Self, _: &NodeId) -> Result<Vec<()>, RestoreError> {
        Ok(Vec::new())
    }

    fn settle(&mut self, _: &Coverage) {}

    fn shift_times(&mut self, _: i64) {}

    fn encode(&self, writer: &mut StateWriter) {
        // No stamp of the last insertion, and none of a write that has replaced the text.
        writer.boolean(false);
        writer.boolean(false);
        let mut columns = [(); 4].map(|()| ColumnWriter::default());
        writer.unsigned(self.runs.len() as u64);
        for run in &self.runs {
            writer.node(&NodeId::new(&*run.node).unwrap());
            columns[0].push(run.kind);
            columns[1].push(run.len);
            columns[2].push_signed(run.counter);
            columns[3].push_signed(run.depth);
        }
        columns.into_iter().for_each(|column| writer.column(column));
        writer.text(&self.text);
        writer.unsigned(self.text.len() as u64);
        // No times.
        writer.unsigned(0);
        (0..2).for_each(|_| writer.column(ColumnWriter::default()));
        writer.unsigned(u64::from(self.waiting.is_some()));
        if let Some((len, text)) = &self.waiting {
            let element = |writer: &mut StateWriter, node: &str| {
                writer.unsigned(1);
                writer.node(&NodeId::new(node).unwrap());
            };
            element(writer, "a");
            writer.unsigned(*len);
            writer.string(text);
            element(writer, "z");
            // No right origin; visible.
            writer.unsigned(0);
            writer.unsigned(0);
        }
        // No early removals and unsettled claims.
        writer.unsigned(0);
        writer.unsigned(0);
        (0..6).for_each(|_| writer.column(ColumnWriter::default()));
    }

    fn decode(_: &mut StateReader<'_>) -> Result<Self, LoadError> {
        Ok(Self::default())
    }
}

const REMOVED: u64 = 2;

/// A run of removed elements, whose depth is `depth` more than that of a child of the run before.
fn removed(node: &str, len: u32, depth: i64) -> SavedRun {
    SavedRun { node: node.into(), kind: REMOVED, len: len.into(), counter: 0, depth }
}

#[test]
fn a_saved_text_has_runs_of_any_length() {
    with_small_stack(|| {
        let load = |runs: &[SavedRun]| {
            Text::load(&AnyText { runs: runs.to_vec(), ..AnyText::default() }.save())
        };
        let text = load(&[removed("a", 7, 0), removed("b", 1, -7)]).unwrap();
        text.assert_invariants();
        assert!(text.is_empty());
        let long = load(&[removed("a", MAX_COUNTER, 0)]);
        if let Ok(long) = &long {
            long.assert_invariants();
        }
        // All elements together exceed the numbers of elements.
        let all = load(&[
            removed("a", MAX_COUNTER, 0),
            removed("b", MAX_COUNTER, -i64::from(MAX_COUNTER)),
        ]);
        assert!(matches!(all, Err(LoadError::Damaged { .. })), "{all:?}");
        for wrong in [
            removed("a", 0, 0),
            removed("a", u32::MAX, 0),
            removed("a", 1, -1),
            removed("a", 1, i64::MAX),
            removed("a", 1, 1),
            SavedRun { counter: -1, ..removed("a", 1, 0) },
            SavedRun { counter: i64::from(u32::MAX), ..removed("a", 1, 0) },
            SavedRun { kind: 6, ..removed("a", 1, 0) },
        ] {
            assert!(load(core::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
        }
    });
}

#[test]
fn a_saved_text_has_another_number_of_characters_than_elements() {
    let visible = SavedRun { kind: 0, ..removed("b", 3, 0) };
    for (text, is_right) in
        [("abc", true), ("äé🦀", true), ("", false), ("ab", false), ("abcd", false)]
    {
        let saved = AnyText { runs: vec![visible.clone()], text: text.into(), waiting: None };
        let loaded = Text::load(&saved.save());
        assert_eq!(loaded.is_ok(), is_right, "{text:?}: {loaded:?}");
        let waiting = Some((3, text.to_owned()));
        let loaded = Text::load(&AnyText { waiting, ..AnyText::default() }.save());
        assert_eq!(loaded.is_ok(), is_right, "{text:?} waits: {loaded:?}");
        if let Ok(mut loaded) = loaded {
            let op = json!({"op": "insert", "first": 0, "text": "z"});
            let (op, stamp) = edit::<Text>(1, "z", op);
            loaded.apply(&op, &stamp);
            loaded.assert_invariants();
            assert_eq!(loaded.to_string(), format!("z{text}"));
        }
    }
}

/// A snapshot that cannot be read is reported, and changes nothing on any replica.
#[test]
fn snapshots_are_damaged() {
    let shared = || Shared::<Text>::new("it", "1");
    let op = json!({"op": "insert", "first": 0, "text": "text"});
    let [edit] = entries::<Text>(&[edit::<Text>(1, "10:a:x", op)]).try_into().unwrap();
    let mut settling = Timeline::new(shared());
    settling.add(&edit);
    let good = shared().snapshot_action(&Shared::settlement(&settling, None)).unwrap();
    let good: Value = serde_json::from_str(good.as_json()).unwrap();
    let state = good["state"].as_str().unwrap();
    let snapshot = |ms: i64, change: &dyn Fn(&mut Value)| {
        let mut json = good.clone();
        change(&mut json);
        let id = format!("{ms} server:x 0").parse().unwrap();
        Entry::new(Action::new(json.to_string()).unwrap(), Meta::new(id))
    };
    let flip = |at: usize| {
        let mut state = state.to_owned().into_bytes();
        state[at] = if state[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(state).unwrap()
    };
    let mut damaged: Vec<Entry> = (0..state.trim_end_matches('=').len() - 1)
        .filter(|at| flip(*at) != *state)
        .map(|at| snapshot(2, &|json| json["state"] = flip(at).into()))
        .collect();
    damaged
        .extend((0..state.len()).map(|at| snapshot(2, &|json| json["state"] = state[..at].into())));
    for wrong in [json!(null), json!(7), json!({}), json!(["text"]), json!("text"), json!("é")] {
        damaged.push(snapshot(2, &|json| json["state"] = wrong.clone()));
    }
    damaged.push(snapshot(2, &|json| json["version"] = json!(99)));
    damaged.push(snapshot(2, &|json| json["stateType"] = json!("map")));
    damaged.push(snapshot(2, &|json| json["coverage"] = json!([])));
    for damaged in damaged {
        let json = damaged.action.as_json();
        for order in [[&edit, &damaged], [&damaged, &edit]] {
            let mut timeline = Timeline::new(shared());
            order.into_iter().for_each(|entry| timeline.add(entry));
            let warning = timeline.take_warning();
            assert!(matches!(warning, Some(TimelineWarning::Malformed(..))), "{json}: {warning:?}");
            assert!(timeline.is_incomplete(), "{json}");
            assert_eq!(timeline.state().to_string(), "text", "{json}");
            timeline.add(&snapshot(3, &|_| {}));
            assert_eq!(timeline.state().to_string(), "text", "a later snapshot can be read");
        }
    }
}
