//! What must hold for your reducer, tried on random histories of a few users, and told as a short story when it does not.

use core::fmt::{Debug, Write as _};

use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestError, TestRunner},
};

use crate::{
    action::{
        Action, ActionId, IdGenerator, Meta, NodeId,
        logux::{self, Undo},
    },
    log::{Draft, Log},
    replay::{Reducer, Timeline, TimelineConfig},
    store::{Entry, MemoryStore, Query, Store},
    time::WallTime,
};

/// One thing that happens in a history. `I` is what a user wants to do.
#[derive(Clone, Debug)]
pub struct Turn<I> {
    /// Which of the users.
    pub who: usize,
    /// How much later than the turn before, in milliseconds.
    pub wait_ms: i64,
    /// What happens.
    pub what: What<I>,
}

/// What a user does in a [`Turn`].
#[derive(Clone, Debug)]
pub enum What<I> {
    /// Does an action.
    Do(I),
    /// Hears of everything that the others have done and heard of; in reverse order of their clocks, if `true`.
    Hear(bool),
    /// Takes back one of the actions known to them.
    Undo(Index),
}

/// The laws of one reducer: what is tried, and how often.
///
/// The actions come from a strategy, or are made by a closure from the state that the user sees, for reducers whose actions depend on it: where in
/// a list to insert, what to remove.
#[expect(missing_debug_implementations, reason = "closures and strategies have nothing to show")]
pub struct Laws<R, I, M> {
    reducer: R,
    intents: I,
    make: M,
    cases: u32,
    users: usize,
    turns: usize,
}

/// The names of the users.
const NAMES: [&str; 4] = ["Ada", "Grace", "Alan", "Edsger"];

/// A strategy of these actions.
///
/// # Panics
/// When a text is no action.
pub fn action_of(actions: &[&str]) -> impl Strategy<Value = Action> + use<> {
    select(actions.iter().map(|json| Action::new(*json).expect("an action")).collect::<Vec<_>>())
}

/// Asserts that replicas of a reducer, each of which gets the actions in another order and some of them taken back, end in the same state, and in
/// the one that the order of the actions gives.
///
/// # Panics
/// With a short story when they do not.
pub fn assert_converges<R: Reducer<State: PartialEq + Debug>>(
    reducer: R,
    actions: impl Strategy<Value = Action>,
) {
    laws(reducer, actions).converges();
}

/// Asserts that a reducer gives the same state in whatever order it gets the actions, without time travel: what [`Reducer::commutes`] claims.
///
/// # Panics
/// With a short story when it does not.
pub fn assert_commutes<R: Reducer<State: PartialEq + Debug>>(
    reducer: R,
    actions: impl Strategy<Value = Action>,
) {
    laws(reducer, actions).commutes();
}

/// Asserts that an undone action is as if it never was, and that undoing the undo brings it back.
///
/// # Panics
/// With a short story when it is not.
pub fn assert_undo_is_inverse<R: Reducer<State: PartialEq + Debug>>(
    reducer: R,
    actions: impl Strategy<Value = Action>,
) {
    laws(reducer, actions).undo_is_inverse();
}

/// Asserts that what a log may forget makes no difference: the state of what is left is the state of everything, also for a replica
/// that was away meanwhile.
///
/// # Panics
/// With a short story when it does.
pub fn assert_compaction_is_invisible<R: Reducer<State: PartialEq + Debug>>(
    reducer: R,
    actions: impl Strategy<Value = Action>,
) {
    laws(reducer, actions).compaction_is_invisible(|a, b| a == b);
}

/// The laws of a reducer whose actions come from a strategy.
#[expect(clippy::type_complexity, reason = "the closure has no name")]
pub fn laws<R: Reducer<State: PartialEq + Debug>, I: Strategy<Value = Action>>(
    reducer: R,
    actions: I,
) -> Laws<R, I, impl Fn(&R::State, &Action, &ActionId) -> Option<Action>> {
    Laws::with(reducer, actions, |_: &R::State, action: &Action, _: &ActionId| Some(action.clone()))
}

impl<R, I, M> Laws<R, I, M>
where
    R: Reducer<State: PartialEq + Debug>,
    I: Strategy<Value: Clone>,
    M: Fn(&R::State, &I::Value, &ActionId) -> Option<Action>,
{
    /// The laws of a reducer. `make` makes an action of what the user wants, the state they see, and the id that the action will have; `None` when
    /// it makes no sense there.
    pub fn with(reducer: R, intents: I, make: M) -> Self {
        Self { reducer, intents, make, cases: Config::default().cases, users: 2, turns: 12 }
    }

    /// How many random histories to try. 256 unless told otherwise here or by `PROPTEST_CASES`.
    #[must_use]
    pub const fn cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// How many users there are, from 2 to 4. 2 unless told otherwise.
    #[must_use]
    pub const fn users(mut self, users: usize) -> Self {
        self.users = if users < 2 {
            2
        } else if users > NAMES.len() {
            NAMES.len()
        } else {
            users
        };
        self
    }

    /// How many turns a history has at most. 12 unless told otherwise.
    #[must_use]
    pub const fn turns(mut self, turns: usize) -> Self {
        self.turns = turns;
        self
    }

    /// See [`assert_converges`].
    ///
    /// # Panics
    /// With a short story when they do not.
    pub fn converges(&self) {
        self.check("The users end in different states.", true, |story| {
            let expected = fold(&self.reducer, &story.all(), None);
            let mut states: Vec<&R::State> =
                story.users.iter().map(|user| user.timeline.state()).collect();
            if states.iter().all(|state| **state == expected) {
                return Ok(());
            }
            states.push(&expected);
            Err(story.states(&states))
        });
    }

    /// See [`assert_commutes`].
    ///
    /// # Panics
    /// With a short story when it does not.
    pub fn commutes(&self) {
        self.check("The order in which the actions come makes a difference.", false, |story| {
            let states: Vec<R::State> =
                story.users.iter().map(|user| apply_all(&self.reducer, &user.heard)).collect();
            let twice = apply_all(
                &self.reducer,
                &[&story.users[0].heard[..], &story.users[0].heard[..]].concat(),
            );
            if self.reducer.commutes() && twice != states[0] {
                return Err(format!(
                    "  {} has {:?}\n  and after hearing all of it twice {twice:?}\n",
                    NAMES[0], states[0]
                ));
            }
            if states.windows(2).all(|pair| pair[0] == pair[1]) {
                return Ok(());
            }
            Err(story.states(&states.iter().collect::<Vec<_>>()))
        });
    }

    /// See [`assert_undo_is_inverse`].
    ///
    /// # Panics
    /// With a short story when it is not.
    pub fn undo_is_inverse(&self) {
        self.check("Undo is not the inverse of an action.", false, |story| {
            let all = story.all();
            for entry in &all {
                let without = fold(&self.reducer, &all, Some(&entry.meta.id));
                let mut timeline = Timeline::with_config(&self.reducer, small_steps());
                timeline.extend(&all);
                let before = fold(&self.reducer, &all, None);
                let undo = undo_of(&entry.meta.id, "999 30:x:y 0");
                timeline.add(&undo);
                if *timeline.state() != without {
                    let (json, state) = (entry.action.as_json(), timeline.state());
                    return Err(format!(
                        "  Without {json} the state is {without:?}\n  When it is undone, it is {state:?}\n"
                    ));
                }
                timeline.add(&undo_of(&undo.meta.id, "999 30:x:y 1"));
                if *timeline.state() != before {
                    let (json, state) = (entry.action.as_json(), timeline.state());
                    return Err(format!(
                        "  With {json} the state is {before:?}\n  When its undo is undone, it is {state:?}\n"
                    ));
                }
            }
            Ok(())
        });
    }

    /// See [`assert_compaction_is_invisible`]. `alike` judges whether two states look the same, where a state also remembers what has no effect.
    ///
    /// # Panics
    /// With a short story when it does.
    pub fn compaction_is_invisible(&self, alike: impl Fn(&R::State, &R::State) -> bool) {
        self.check("What was forgotten makes a difference.", false, |story| {
            // Everything is settled at once, so everything that is obsolete goes.
            let config = TimelineConfig { history: Some(0), clean_every: 1, ..small_steps() };
            for user in &story.users {
                let full = fold(&self.reducer, &story.all(), None);
                let mut log = Log::with_observer(node(0), MemoryStore::new(), Timeline::with_config(&self.reducer, config.clone()))
                    .expect("memory does not fail");
                for entry in &user.heard {
                    let draft = Draft::of(entry.meta.id.clone(), entry.meta.time).and_reason("on its way");
                    log.add(WallTime::default(), entry.action.clone(), draft).expect("memory does not fail");
                    // A replica that was away gets what is left, and what it had itself.
                    log.remove_reason("on its way", &crate::store::Criteria::default()).expect("memory does not fail");
                }
                let left = log.store().page(&Query::created().oldest_first(), usize::MAX).expect("memory does not fail");
                let kept = Timeline::read(&self.reducer, small_steps(), log.store()).expect("memory does not fail");
                let mut away = Timeline::with_config(&self.reducer, small_steps());
                let own = &story.users[story.users.len() - 1];
                let own_actions = own.heard.iter().filter(|entry| *entry.meta.id.node() == own.node);
                away.extend(own_actions.clone());
                away.extend(&left.entries);
                for (whose, state) in [("the log over time", log.state()), ("what is left", kept.state()), ("who was away", away.state())] {
                    if !alike(state, &full) {
                        let left: Vec<&str> = left.entries.iter().map(|entry| entry.action.as_json()).collect();
                        return Err(format!(
                            "  All actions give {full:?}\n  {whose} gives {state:?}\n  The log of {} has kept {left:#?}\n",
                            user.name
                        ));
                    }
                }
            }
            Ok(())
        });
    }

    /// Asserts a law of your own about the end: `holds` gets the actions that are in effect, in order, and the state that they make. It is asked
    /// for every user, when all have heard of everything. `law` is how the story begins.
    ///
    /// # Panics
    /// With a short story when it does not hold.
    pub fn ends_well(&self, law: &str, holds: impl Fn(&[Entry], &R::State) -> bool) {
        self.check(law, true, |story| {
            let all = story.all();
            for user in &story.users {
                let in_effect: Vec<Entry> = all
                    .iter()
                    .filter(|entry| {
                        !logux::is_logux(entry.action.kind())
                            && !user.timeline.is_undone(&entry.meta.id)
                    })
                    .cloned()
                    .collect();
                if !holds(&in_effect, user.timeline.state()) {
                    return Err(format!("  {} has {:?}\n", user.name, user.timeline.state()));
                }
            }
            Ok(())
        });
    }

    /// Tries random histories, and panics with the smallest one that breaks the law.
    fn check(
        &self,
        law: &str,
        with_undo: bool,
        holds: impl Fn(&Story<'_, R>) -> Result<(), String>,
    ) {
        let config = Config {
            cases: self.cases,
            failure_persistence: None,
            max_shrink_iters: 4_096,
            ..Config::default()
        };
        let undo_weight = u32::from(with_undo);
        let what = prop_oneof![
            6 => (&self.intents).prop_map(What::Do),
            2 => any::<bool>().prop_map(What::Hear),
            undo_weight => any::<Index>().prop_map(What::Undo),
        ];
        let turn = (0..self.users, 0..3_i64, what).prop_map(|(who, wait_ms, what)| Turn {
            who,
            wait_ms,
            what,
        });
        let skews = proptest::collection::vec(-5..5_i64, self.users);
        let histories = (skews, proptest::collection::vec(turn, 1..=self.turns));
        let broken = |skews: &[i64], history: &[Turn<I::Value>]| {
            let story = self.play(skews, history);
            holds(&story).err().map(|end| format!("{law}\n\n{}\n{end}", story.text))
        };
        let ran = TestRunner::new(config).run(&histories, |(skews, history)| {
            match broken(&skews, &history) {
                Some(story) => Err(TestCaseError::fail(story)),
                None => Ok(()),
            }
        });
        match ran {
            Ok(()) => {}
            Err(TestError::Fail(_, (skews, history))) => {
                let least = smallest(history, |history| broken(&skews, history).is_some());
                panic!(
                    "{}",
                    broken(&skews, &least)
                        .unwrap_or_else(|| format!("{law}\n\nBut not the second time."))
                )
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn play(&self, skews: &[i64], history: &[Turn<I::Value>]) -> Story<'_, R> {
        let mut story = Story::new(&self.reducer, skews);
        let mut now = 1;
        for turn in history {
            now += turn.wait_ms;
            match &turn.what {
                What::Do(intent) => {
                    story.act(turn.who, now, |state, id| (self.make)(state, intent, id))
                }
                What::Hear(reversed) => story.hear(turn.who, *reversed),
                What::Undo(index) => story.undo(turn.who, now, *index),
            }
        }
        (0..self.users).for_each(|who| story.hear(who, who.is_multiple_of(2)));
        story
    }
}

/// Takes out one thing after the other as long as it stays broken: what proptest has shrunk, it leaves out each only once.
pub(super) fn smallest<T: Clone>(mut events: Vec<T>, is_broken: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut at = 0;
    while at < events.len() {
        let mut fewer = events.clone();
        fewer.remove(at);
        if is_broken(&fewer) {
            events = fewer;
            at = 0;
        } else {
            at += 1;
        }
    }
    events
}

/// What happened to a few users, and where it has led.
struct Story<'a, R: Reducer> {
    users: Vec<User<'a, R>>,
    text: String,
}

struct User<'a, R: Reducer> {
    name: &'static str,
    node: NodeId,
    ids: IdGenerator,
    skew_ms: i64,
    timeline: Timeline<&'a R>,
    heard: Vec<Entry>,
}

fn node(number: usize) -> NodeId {
    NodeId::new(format!("{}:{}:x", (number + 1) * 10, NAMES[number].to_lowercase()))
        .expect("a node id")
}

/// Few steps between saved states, so that short histories have some.
fn small_steps() -> TimelineConfig {
    TimelineConfig { save_every: 2, save_gap: 4, history: None, ..TimelineConfig::default() }
}

impl<'a, R: Reducer> Story<'a, R> {
    fn new(reducer: &'a R, skews: &[i64]) -> Self {
        let user = |(number, skew_ms): (usize, &i64)| User {
            name: NAMES[number],
            node: node(number),
            ids: IdGenerator::new(node(number)),
            skew_ms: *skew_ms,
            timeline: Timeline::with_config(reducer, small_steps()),
            heard: Vec::new(),
        };
        Self { users: skews.iter().enumerate().map(user).collect(), text: String::new() }
    }

    fn act(
        &mut self,
        who: usize,
        now: i64,
        make: impl FnOnce(&R::State, &ActionId) -> Option<Action>,
    ) {
        let user = &mut self.users[who];
        let id = user.ids.next(WallTime::from_millis(now + user.skew_ms));
        let Some(action) = make(user.timeline.state(), &id) else { return };
        let _ =
            writeln!(self.text, "  {} does {} at {} ms", user.name, action.as_json(), id.time());
        user.keep(Entry::new(action, Meta::new(id)));
    }

    fn undo(&mut self, who: usize, now: i64, index: Index) {
        let user = &mut self.users[who];
        if user.heard.is_empty() {
            return;
        }
        let of = index.get(&user.heard).clone();
        let id = user.ids.next(WallTime::from_millis(now + user.skew_ms));
        let _ = writeln!(
            self.text,
            "  {} takes back {} of {}",
            user.name,
            of.action.as_json(),
            of.meta.id
        );
        user.keep(undo_of(&of.meta.id, &id.to_string()));
    }

    fn hear(&mut self, who: usize, reversed: bool) {
        let mut news: Vec<Entry> = self.all();
        news.retain(|entry| {
            self.users[who].heard.iter().all(|heard| heard.meta.id != entry.meta.id)
        });
        if news.is_empty() {
            return;
        }
        if reversed {
            news.reverse();
        }
        let order = if reversed && news.len() > 1 { ", the latest first" } else { "" };
        let _ = writeln!(self.text, "  {} hears what the others did{order}.", self.users[who].name);
        news.into_iter().for_each(|entry| self.users[who].keep(entry));
    }

    /// Everything that was done, in order.
    fn all(&self) -> Vec<Entry> {
        let mut all: Vec<Entry> =
            self.users.iter().flat_map(|user| user.heard.iter().cloned()).collect();
        all.sort_by_key(|entry| entry.meta.stamp());
        all.dedup_by_key(|entry| entry.meta.stamp());
        all
    }

    fn states<S: Debug>(&self, states: &[&S]) -> String {
        let names = self.users.iter().map(|user| user.name).chain(["The order of the actions"]);
        names.zip(states).fold(String::new(), |mut text, (name, state)| {
            let verb = if name.contains(' ') { "gives" } else { "has" };
            let _ = writeln!(text, "  {name} {verb} {state:?}");
            text
        })
    }
}

impl<R: Reducer> User<'_, R> {
    fn keep(&mut self, entry: Entry) {
        self.timeline.add(&entry);
        self.heard.push(entry);
    }
}

fn undo_of(id: &ActionId, undo: &str) -> Entry {
    let fields =
        Undo { id: id.to_string(), reason: "error".into(), action: None, extra: Vec::new() };
    Entry::new(fields.to_action().expect("an undo"), Meta::new(undo.parse().expect("an id")))
}

/// The state by the definition: all actions in order, but those taken back and `without`.
fn fold<R: Reducer>(reducer: &R, sorted: &[Entry], without: Option<&ActionId>) -> R::State {
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
    let in_effect = sorted
        .iter()
        .filter(|entry| without != Some(&entry.meta.id) && !undone(&undos, &entry.meta.id));
    apply_each(reducer, in_effect)
}

fn apply_all<R: Reducer>(reducer: &R, entries: &[Entry]) -> R::State {
    apply_each(reducer, entries.iter())
}

fn apply_each<'e, R: Reducer>(reducer: &R, entries: impl Iterator<Item = &'e Entry>) -> R::State {
    let mut state = reducer.initial();
    for entry in entries.filter(|entry| !logux::is_logux(entry.action.kind())) {
        if let Ok(Some(action)) = reducer.read(&entry.action) {
            reducer.apply(&mut state, &action, &entry.meta.stamp());
        }
    }
    state
}
