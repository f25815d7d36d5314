//! A text and an outline that people write together over the real hub, which settles them, while
//! devices edit, undo, crash and are away: at the end, all devices show what was accepted, and each
//! anchor is at the same character on all of them.
//!
//! `LOGUX_CASES` is the number of seeds of each test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use core::fmt::Write as _;
use std::time::Duration;

use logux::{
    Action, ActionId, Entry, WallTime,
    action::{DocumentKey, logux::UNDO},
    crdt::{
        Anchor, Crdt as _, Document, DocumentOp, ElementId, Path, Shared, Text, TextError, Unit,
    },
    log::Draft,
    replay::{NamedReducer as _, Reducer as _, Timeline},
    server::{
        Config, DocumentSnapshot, FateKey, FateKeys, Recipients, SettlementRule, SnapshotBuilder,
        UndoTarget,
    },
    testing::server_simulation::{
        self as simulation, Application, Extended, World, assert_survives,
    },
};
use serde_json::{Value, json};

/// An application with one document: a text, comments at places of it, a tree, and the edits that
/// can be undone.
#[derive(Clone, Debug)]
struct Page {
    rule: SettlementRule,
}

fn shared() -> Shared<Document> {
    Shared::new("pages", "1")
}

fn path(keys: &[&str]) -> Path {
    Path::of(keys).unwrap()
}

/// Returns the operations of a user who sees a page, and does something random.
fn operations(page: &Document, id: &ActionId, number: u64) -> Option<Vec<DocumentOp>> {
    let body = path(&["body"]);
    let none = Text::default();
    let text = page.text("/body").unwrap_or(&none);
    let len = text.len(Unit::Utf16);
    let at = (number / 16) as usize % (len + 1);
    let end = (at + 1 + (number / 4_096) as usize % 12).min(len);
    let letters = ["a", "word ", "é🦀", "\n", "text"][(number / 256) as usize % 5];
    let edit = |make: &dyn Fn(&Text) -> Result<Vec<logux::crdt::TextOp>, TextError>| {
        page.text_ops(&body, id, make).ok()
    };
    let mut ops = match number % 24 {
        0..=5 => edit(&|text| Ok(vec![text.insert_op(at, letters, Unit::Utf16, id)?]))?,
        6..=7 if at < end => edit(&|text| text.replace_ops(at..end, letters, Unit::Utf16, id))?,
        8 if at < end => edit(&|text| text.replace_ops(at..end, "", Unit::Utf16, id))?,
        9 => edit(&|text| text.set_ops(&text.to_string().replace("word", "term"), id))?,
        10..=11 => {
            let anchor = match number / 8_192 % 2 {
                0 => text.anchor_after(at, Unit::Utf16),
                _ => text.anchor_before(at, Unit::Utf16),
            };
            let value = json!(anchor.unwrap()).into();
            let name = (number / 16_384 % 9).to_string();
            return Some(vec![DocumentOp::Set { path: path(&["comments", &name]), value }]);
        }
        12..=17 => outline_ops(page, id, number / 24)?,
        _ => return None,
    };
    if ops.is_empty() {
        return None;
    }
    // An item for each edit, whose author and id are known from the state.
    let edits = path(&["edits"]);
    let mut after = page.clone();
    let stamp = logux::Stamp::new(id.time(), id.clone());
    for (index, op) in (0..).zip(&ops) {
        after.apply(op, &stamp.of_operation(index));
    }
    ops.push(after.list_op(&edits, id, |list| list.push_op(json!(number % 100), id)).ok()?);
    Some(ops)
}

/// Returns the operations of a user who creates, moves or removes a node of the outline.
fn outline_ops(page: &Document, id: &ActionId, number: u64) -> Option<Vec<DocumentOp>> {
    let made = page.tree_ops(&path(&["outline"]), id, |tree| {
        let nodes: Vec<ElementId> = tree.walk().filter_map(|node| node.id()).collect();
        let pick = |number: u64| nodes.get(number as usize % nodes.len().max(1));
        // The top level, or a node.
        let parent = if (number / 8).is_multiple_of(3) { None } else { pick(number / 64) };
        match (number % 8, pick(number / 512)) {
            (0..=3, _) | (_, None) => tree.create_op(parent, 0, json!(number % 100), id),
            (4..=6, Some(node)) => tree.move_op(node, parent, 0, id),
            (_, Some(node)) => tree.remove_op(node, id),
        }
    });
    made.ok()
}

fn page_of(accepted: &[Entry]) -> Timeline<Shared<Document>> {
    let mut timeline = Timeline::new(shared());
    timeline.extend(accepted);
    timeline
}

/// Returns `true` if the character of each new comment exists.
fn has_places(page: &Document, action: &Action) -> bool {
    let none = Text::default();
    let text = page.text("/body").unwrap_or(&none);
    let ops = shared().read(action).unwrap().into_iter().flatten();
    let mut values = ops.filter_map(|op| match op {
        DocumentOp::Set { value, .. } => Some(value.parse::<Anchor>().unwrap()),
        _ => None,
    });
    values.all(|anchor| text.anchor_index(&anchor, Unit::Utf16).is_some())
}

/// Returns everything that a user sees, with the text after the place of each comment.
fn view(page: &Document) -> String {
    let mut view = page.to_json().to_string();
    let Some(Value::Object(comments)) = page.get(&path(&["comments"])) else { return view };
    for (name, anchor) in comments {
        let anchor: Anchor = serde_json::from_value(anchor).unwrap();
        let text = page.text("/body");
        let index = text.and_then(|text| text.anchor_index(&anchor, Unit::Utf16));
        let beside = index.zip(text).map(|(at, text)| text.slice(at..at + 3, Unit::Utf16));
        write!(view, "\n{name} at {index:?}: {beside:?}").unwrap();
    }
    view
}

impl Application for Page {
    /// The edits and undos that were accepted.
    type Data = Vec<Entry>;
    type Reducer = Shared<Document>;

    fn reducer(&self) -> Shared<Document> {
        shared()
    }

    fn channels(&self) -> Vec<String> {
        vec!["pages/1".into()]
    }

    fn act(&self, page: &Document, id: &ActionId, number: u64) -> Option<Action> {
        if let Some(operations) = operations(page, id, number) {
            return Some(shared().action(&operations).unwrap());
        }
        // Undoes the user's last edit.
        let edits = page.list("/edits")?;
        let own = edits.iter().filter_map(|(_, item)| item.inserted());
        let last = own.map(|stamp| stamp.id()).filter(|edit| edit.node() == id.node()).max()?;
        Some(Action::new(json!({"type": UNDO, "id": last, "reason": "undo"}).to_string()).unwrap())
    }

    fn access(&self, data: &Vec<Entry>, entry: &Entry) -> bool {
        if entry.action.kind() != "pages/edit" {
            return true;
        }
        // One edit in about ten is refused, and what refers to it.
        let page = page_of(data);
        entry.meta.id.time().as_millis() % 10 != 0
            && shared().admit(page.state(), &entry.action, &entry.meta.stamp()).is_ok()
            && has_places(page.state(), &entry.action)
    }

    fn bursts(&self) -> Option<Extended<Shared<Document>>> {
        Some(Shared::extended)
    }

    fn may_undo(&self, target: &UndoTarget, undo: &Entry) -> bool {
        target.is_by(undo.meta.id.node())
    }

    fn resend(&self, _: &Entry) -> Recipients {
        Recipients::channel("pages/1")
    }

    fn is_processed_by_log(&self, _: &Action) -> bool {
        true
    }

    fn process(&self, data: &mut Vec<Entry>, entry: &Entry) -> Result<(), String> {
        data.push(entry.clone());
        Ok(())
    }

    fn load(&self, _: &Vec<Entry>, _: &str) -> Vec<(Action, Draft)> {
        Vec::new()
    }

    fn replays(&self, _: &str) -> bool {
        true
    }

    fn configure(&self, config: &mut Config) {
        assert!(config.documents.insert("pages", self.rule));
        config.fate_keys = FateKeys::by(|_| FateKey::none());
    }

    fn snapshot(
        &self,
        key: &DocumentKey,
        entries: &[Entry],
        now: WallTime,
    ) -> Option<DocumentSnapshot> {
        let mut builder = SnapshotBuilder::<Document>::new(key.clone(), self.rule);
        entries.iter().for_each(|entry| builder.add(entry));
        builder.build(now).unwrap()
    }

    fn stored(&self, data: &Vec<Entry>) -> String {
        view(page_of(data).state())
    }

    fn shown(&self, page: &Document) -> String {
        page.assert_invariants();
        view(page)
    }
}

fn seeds(default: u64) -> core::ops::Range<u64> {
    0..std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

fn page(open_actions: u64, horizon: Duration) -> Page {
    Page { rule: SettlementRule { open_actions, horizon } }
}

#[test]
fn a_settled_text_is_the_same_everywhere() {
    for open_actions in [1, 6] {
        let page = page(open_actions, Duration::from_hours(24));
        assert_survives(&page, &simulation::Config::default(), seeds(30), 60);
    }
}

#[test]
fn writers_are_away_for_longer_than_the_horizon() {
    let config = simulation::Config {
        reconnect_delay: Duration::from_millis(1)..=Duration::from_secs(200),
        clock_error: Duration::from_secs(5),
        ..simulation::Config::default()
    };
    assert_survives(&page(2, Duration::from_secs(60)), &config, seeds(40), 60);
}

/// The tests above would prove little if no device wrote, commented and undid, or nothing was
/// settled.
#[test]
fn pages_of_the_simulation_are_written() {
    const TRACES: [&str; 9] = [
        "insertText",
        "removeText",
        "/comments/",
        "createNode",
        "moveNode",
        "removeNode",
        " extends ",
        "a snapshot is made",
        " undoes ",
    ];
    let mut counts = TRACES.map(|trace| (trace, 0));
    for seed in 0..20 {
        let config = simulation::Config { seed, trace: true, ..simulation::Config::default() };
        let mut world = World::new(config, page(2, Duration::from_hours(24)));
        world.run_random(60);
        world.settle().unwrap();
        let trace = world.trace().join("\n");
        counts.iter_mut().for_each(|(name, count)| *count += trace.matches(*name).count());
    }
    assert!(counts.iter().all(|(_, count)| *count > 10), "{counts:?}");
}
