//! The users after a history, and what they did as text.

use core::fmt::{Debug, Write as _};
use std::collections::{BTreeMap, VecDeque};

use proptest::sample::Index;

use crate::{
    action::{
        Action, ActionId, IdGenerator, Meta, NodeId,
        logux::{self, Undo},
    },
    replay::{Coverage, Reducer, Timeline, TimelineConfig},
    store::Entry,
    time::WallTime,
};

/// The names of the users in stories.
pub(super) const NAMES: [&str; 4] = ["Ada", "Grace", "Alan", "Edsger"];

/// What each state of a user has to fulfil.
pub(super) type Watch<'a, S> = &'a dyn Fn(&S) -> bool;

/// The users after a history, and the text of what they did.
pub(super) struct Story<'a, R: Reducer> {
    pub(super) users: Vec<User<'a, R>>,
    pub(super) text: String,
    /// The story ends at the first state that does not fulfil it.
    watch: Option<Watch<'a, R::State>>,
    /// The name of the user who has a state that does not, and the state.
    pub(super) violation: Option<(&'static str, R::State)>,
}

pub(super) struct User<'a, R: Reducer> {
    pub(super) name: &'static str,
    pub(super) node: NodeId,
    pub(super) ids: IdGenerator,
    pub(super) skew_ms: i64,
    pub(super) timeline: Timeline<&'a R>,
    /// The actions in the order in which the user added or received them.
    pub(super) known: Vec<Entry>,
}

pub(super) fn node(number: usize) -> NodeId {
    NodeId::new(format!("{}:{}:x", (number + 1) * 10, NAMES[number].to_lowercase()))
        .expect("a node id")
}

/// Few steps between saved states, so that short histories have saved states.
pub(super) fn small_steps() -> TimelineConfig {
    TimelineConfig { save_every: 2, save_gap: 4, history: None, ..TimelineConfig::default() }
}

impl<'a, R: Reducer> Story<'a, R> {
    pub(super) fn new(reducer: &'a R, skews: &[i64], watch: Option<Watch<'a, R::State>>) -> Self {
        let user = |(number, skew_ms): (usize, &i64)| User {
            name: NAMES[number],
            node: node(number),
            ids: IdGenerator::new(node(number)),
            skew_ms: *skew_ms,
            timeline: Timeline::with_config(reducer, small_steps()),
            known: Vec::new(),
        };
        Self {
            users: skews.iter().enumerate().map(user).collect(),
            text: String::new(),
            watch,
            violation: None,
        }
    }

    fn add(&mut self, user: usize, entry: Entry) {
        let user = &mut self.users[user];
        user.timeline.add(&entry);
        user.known.push(entry);
        let state = user.timeline.state();
        if self.violation.is_none() && self.watch.is_some_and(|holds| !holds(state)) {
            self.violation = Some((user.name, state.clone()));
        }
    }

    pub(super) fn act(
        &mut self,
        user: usize,
        now: i64,
        make: impl FnOnce(&R::State, &ActionId) -> Option<Action>,
    ) {
        if self.violation.is_some() {
            return;
        }
        let author = &mut self.users[user];
        let id = author.ids.next(WallTime::from_millis(now + author.skew_ms));
        let Some(action) = make(author.timeline.state(), &id) else { return };
        let _ =
            writeln!(self.text, "  {} adds {} at {} ms", author.name, action.as_json(), id.time());
        self.add(user, Entry::new(action, Meta::new(id)));
    }

    pub(super) fn undo(&mut self, user: usize, now: i64, index: Index) {
        let author = &mut self.users[user];
        if author.known.is_empty() || self.violation.is_some() {
            return;
        }
        let target = index.get(&author.known).clone();
        let id = author.ids.next(WallTime::from_millis(now + author.skew_ms));
        let _ = writeln!(
            self.text,
            "  {} undoes {} with the id {}",
            author.name,
            target.action.as_json(),
            target.meta.id
        );
        self.add(user, undo_of(&target.meta.id, &id.to_string()));
    }

    pub(super) fn receive(&mut self, user: usize, reversed: bool) {
        let mut missing: Vec<Entry> = self.all();
        missing.retain(|entry| {
            self.users[user].known.iter().all(|known| known.meta.id != entry.meta.id)
        });
        if missing.is_empty() || self.violation.is_some() {
            return;
        }
        if reversed {
            missing.reverse();
        }
        let order = if reversed && missing.len() > 1 { ", the latest first" } else { "" };
        let _ = writeln!(
            self.text,
            "  {} receives the actions of the others{order}.",
            self.users[user].name
        );
        missing.into_iter().for_each(|entry| self.add(user, entry));
    }

    /// All actions, in order.
    pub(super) fn all(&self) -> Vec<Entry> {
        let mut all: Vec<Entry> =
            self.users.iter().flat_map(|user| user.known.iter().cloned()).collect();
        all.sort_by_key(|entry| entry.meta.stamp());
        all.dedup_by_key(|entry| entry.meta.stamp());
        all
    }

    pub(super) fn states<S: Debug>(&self, states: &[&S]) -> String {
        let names =
            self.users.iter().map(|user| user.name).chain(["Applying the actions in order"]);
        names.zip(states).fold(String::new(), |mut text, (name, state)| {
            let verb = if NAMES.contains(&name) { "has" } else { "gives" };
            let _ = writeln!(text, "  {name} {verb} {state:?}");
            text
        })
    }
}

/// Returns the id of a snapshot.
pub(super) fn snapshot_id() -> ActionId {
    ActionId::new(WallTime::MAX, NodeId::new("server").expect("a node id"), 0)
}

/// Returns `true` if an undo that is not part of a snapshot undoes an action that is. It has no
/// effect then.
pub(super) fn has_undo_of_settled(entries: &[Entry], coverage: &Coverage) -> bool {
    entries.iter().filter(|entry| entry.action.kind() == logux::UNDO).any(|undo| {
        let target = undo.action.str_field("id").and_then(|id| id.parse().ok());
        !coverage.is_final(&undo.meta.id) && target.is_some_and(|id| coverage.is_final(&id))
    })
}

/// Returns the entries with those of each node in the order of their ids.
pub(super) fn in_order_of_ids(entries: &[Entry]) -> Vec<Entry> {
    let mut by_node: BTreeMap<NodeId, VecDeque<&Entry>> = BTreeMap::new();
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|entry| &entry.meta.id);
    for entry in sorted {
        by_node.entry(entry.meta.id.node().clone()).or_default().push_back(entry);
    }
    let next = |entry: &Entry| by_node.get_mut(entry.meta.id.node())?.pop_front().cloned();
    entries.iter().filter_map(next).collect()
}

pub(super) fn undo_of(id: &ActionId, undo: &str) -> Entry {
    let fields =
        Undo { id: id.to_string(), reason: "error".into(), action: None, extra: Vec::new() };
    Entry::new(fields.to_action().expect("an undo"), Meta::new(undo.parse().expect("an id")))
}

/// Actions that were read once, for many states of them.
pub(super) struct Actions<'a, R: Reducer> {
    reducer: &'a R,
    read: BTreeMap<ActionId, R::Action>,
}

impl<'a, R: Reducer> Actions<'a, R> {
    /// Reads those of the application.
    pub(super) fn of(reducer: &'a R, entries: &[Entry]) -> Self {
        let own = entries.iter().filter(|entry| !logux::is_logux(entry.action.kind()));
        let read = own.filter_map(|entry| {
            Some((entry.meta.id.clone(), reducer.read(&entry.action).ok().flatten()?))
        });
        Self { reducer, read: read.collect() }
    }

    /// The state by definition: all actions in order, except undone ones and `without`.
    pub(super) fn fold(&self, sorted: &[Entry], without: Option<&ActionId>) -> R::State {
        let undos: Vec<(&ActionId, String)> = sorted
            .iter()
            .filter(|entry| entry.action.kind() == logux::UNDO)
            .map(|entry| {
                (&entry.meta.id, entry.action.str_field("id").unwrap_or_default().into_owned())
            })
            .collect();
        fn undone(undos: &[(&ActionId, String)], id: &ActionId) -> bool {
            let text = id.to_string();
            undos.iter().any(|(undo, target)| *target == text && !undone(undos, undo))
        }
        let is_in_effect =
            |id: &ActionId| without != Some(id) && (undos.is_empty() || !undone(&undos, id));
        self.apply(sorted, is_in_effect)
    }

    /// Applies all actions in this order.
    pub(super) fn apply_all(&self, entries: &[Entry]) -> R::State {
        self.apply(entries, |_| true)
    }

    fn apply(&self, entries: &[Entry], is_in_effect: impl Fn(&ActionId) -> bool) -> R::State {
        let mut state = self.reducer.initial();
        for entry in entries {
            let Some(action) = self.read.get(&entry.meta.id) else { continue };
            if is_in_effect(&entry.meta.id) {
                self.reducer.apply(&mut state, action, &entry.meta.stamp());
            } else {
                self.reducer.apply_undone(&mut state, action, &entry.meta.stamp());
            }
        }
        state
    }
}
