//! Laws of reducers, tested on random [histories](super::histories) of a few users. The smallest
//! history that breaks a law is printed as a story.

use core::fmt::{self, Debug};

use proptest::{prelude::*, sample::select};

use crate::{
    action::{Action, ActionId, Stamp, logux},
    log::{Draft, Log},
    replay::{Coverage, Reducer, Settlement, Timeline, TimelineConfig},
    store::{Entry, MemoryStore, Query, Store},
    testing::{
        histories::Histories,
        story::{
            Actions, NAMES, Story, Watch, has_undo_of_settled, in_order_of_ids, node, small_steps,
            snapshot_id, undo_of,
        },
    },
    time::WallTime,
};

/// The laws of one reducer, with the number and size of the histories to test.
///
/// The actions come from a strategy. A closure can make them from the state that the user sees, for
/// reducers whose actions depend on it: the position to insert at, the element to remove.
#[expect(missing_debug_implementations, reason = "closures and strategies have nothing to show")]
pub struct Laws<R, I, M> {
    reducer: R,
    intents: I,
    make: M,
    histories: Histories,
}

/// A law that a reducer breaks, with the story of the smallest history that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenLaw(String);

impl BrokenLaw {
    pub(super) const fn new(story: String) -> Self {
        Self(story)
    }
}

impl fmt::Display for BrokenLaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for BrokenLaw {}

/// Panics with the story of a broken law.
fn expect(checked: Result<(), BrokenLaw>) {
    if let Err(BrokenLaw(story)) = checked {
        panic!("{story}");
    }
}

/// Returns a strategy that selects one of these actions, given as JSON.
///
/// # Panics
/// If a string is not an action.
pub fn action_of(actions: &[&str]) -> impl Strategy<Value = Action> + use<> {
    select(actions.iter().map(|json| Action::new(*json).expect("an action")).collect::<Vec<_>>())
}

/// Asserts that replicas which receive the same actions in different orders, some of them undone,
/// end in the same state: the state that the actions give when they are applied in order.
///
/// # Panics
/// With a story, if they do not.
pub fn assert_converges<R: Reducer<State: PartialEq + Debug>>(
    reducer: R,
    actions: impl Strategy<Value = Action>,
) {
    laws(reducer, actions).converges();
}

/// Asserts that a reducer gives the same state for every order of the actions, without time travel,
/// as [`Reducer::commutes`] claims. If the reducer makes this claim, receiving actions twice must
/// not change the state either.
///
/// # Panics
/// With a story, if it does not.
pub fn assert_commutes<R: Reducer<State: PartialEq + Debug>>(
    reducer: R,
    actions: impl Strategy<Value = Action>,
) {
    laws(reducer, actions).commutes();
}

/// Asserts that undoing an action gives the state without it, and that undoing the undo restores
/// the state with it.
///
/// # Panics
/// With a story, if it does not.
pub fn assert_undo_is_inverse<R: Reducer<State: PartialEq + Debug>>(
    reducer: R,
    actions: impl Strategy<Value = Action>,
) {
    laws(reducer, actions).undo_is_inverse();
}

/// Asserts that removing obsolete actions from a log does not change the state, neither of the log
/// nor of a replica that was offline meanwhile and receives only the remaining actions.
///
/// # Panics
/// With a story, if it does.
pub fn assert_compaction_is_invisible<R: Reducer<State: PartialEq + Debug>>(
    reducer: R,
    actions: impl Strategy<Value = Action>,
) {
    laws(reducer, actions).compaction_is_invisible(|a, b| a == b);
}

/// Returns the laws of a reducer whose actions come from a strategy.
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
    /// Returns the laws of a reducer. `make` makes an action from a value of `intents`, the state
    /// that the user sees, and the id that the action will have. It returns `None` if no action
    /// makes sense in that state.
    pub fn with(reducer: R, intents: I, make: M) -> Self {
        Self { reducer, intents, make, histories: Histories::default() }
    }

    /// Sets the number of random histories per law. Default: `PROPTEST_CASES`, or 256.
    #[must_use]
    pub const fn cases(mut self, cases: u32) -> Self {
        self.histories.cases = cases;
        self
    }

    /// Sets the number of users, clamped to 2 to 4. Default: 2.
    #[must_use]
    pub const fn users(mut self, users: usize) -> Self {
        self.histories.users = if users < 2 {
            2
        } else if users > NAMES.len() {
            NAMES.len()
        } else {
            users
        };
        self
    }

    /// Sets the largest number of turns of a history. Default: 12.
    #[must_use]
    pub const fn turns(mut self, turns: usize) -> Self {
        self.histories.turns = turns;
        self
    }

    /// Sets the seed of the histories, which are the same for the same seed on one platform.
    /// Default: another one each time.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.histories.seed = Some(seed);
        self
    }

    /// See [`assert_converges`].
    ///
    /// # Panics
    /// With a story, if the law does not hold.
    pub fn converges(&self) {
        expect(self.try_converges());
    }

    /// Does what [`converges`](Self::converges) does, without a panic.
    ///
    /// # Errors
    /// [`BrokenLaw`], if the law does not hold.
    pub fn try_converges(&self) -> Result<(), BrokenLaw> {
        self.check("The users have different final states.", true, |story| {
            let all = story.all();
            let expected = Actions::of(&self.reducer, &all).fold(&all, None);
            let mut states: Vec<&R::State> =
                story.users.iter().map(|user| user.timeline.state()).collect();
            if states.iter().all(|state| **state == expected) {
                return Ok(());
            }
            states.push(&expected);
            Err(story.states(&states))
        })
    }

    /// See [`assert_commutes`].
    ///
    /// # Panics
    /// With a story, if the law does not hold.
    pub fn commutes(&self) {
        expect(self.try_commutes());
    }

    /// Does what [`commutes`](Self::commutes) does, without a panic.
    ///
    /// # Errors
    /// [`BrokenLaw`], if the law does not hold.
    pub fn try_commutes(&self) -> Result<(), BrokenLaw> {
        self.check("The final state depends on the order in which the actions arrive.", false, |story| {
            let actions = Actions::of(&self.reducer, &story.users[0].known);
            let states: Vec<R::State> =
                story.users.iter().map(|user| actions.apply_all(&user.known)).collect();
            let twice = [&story.users[0].known[..], &story.users[0].known[..]].concat();
            let twice = actions.apply_all(&twice);
            if self.reducer.commutes() && twice != states[0] {
                return Err(format!(
                    "  {name} has {:?}\n  After receiving all actions twice, {name} has {twice:?}\n",
                    states[0],
                    name = NAMES[0]
                ));
            }
            if states.windows(2).all(|pair| pair[0] == pair[1]) {
                return Ok(());
            }
            Err(story.states(&states.iter().collect::<Vec<_>>()))
        })
    }

    /// See [`assert_undo_is_inverse`].
    ///
    /// # Panics
    /// With a story, if the law does not hold.
    pub fn undo_is_inverse(&self) {
        expect(self.try_undo_is_inverse());
    }

    /// Does what [`undo_is_inverse`](Self::undo_is_inverse) does, without a panic.
    ///
    /// # Errors
    /// [`BrokenLaw`], if the law does not hold.
    pub fn try_undo_is_inverse(&self) -> Result<(), BrokenLaw> {
        self.check("Undoing an action does not give the state without it.", false, |story| {
            let all = story.all();
            let actions = Actions::of(&self.reducer, &all);
            let before = actions.fold(&all, None);
            for entry in &all {
                let without = actions.fold(&all, Some(&entry.meta.id));
                let mut timeline = Timeline::with_config(&self.reducer, small_steps());
                timeline.extend(&all);
                let undo = undo_of(&entry.meta.id, "999 30:x:y 0");
                timeline.add(&undo);
                if *timeline.state() != without {
                    let (json, state) = (entry.action.as_json(), timeline.state());
                    return Err(format!(
                        "  Without {json}, the state is {without:?}\n  With {json} undone, it is {state:?}\n"
                    ));
                }
                timeline.add(&undo_of(&undo.meta.id, "999 30:x:y 1"));
                if *timeline.state() != before {
                    let (json, state) = (entry.action.as_json(), timeline.state());
                    return Err(format!(
                        "  With {json}, the state is {before:?}\n  With its undo undone, it is {state:?}\n"
                    ));
                }
            }
            Ok(())
        })
    }

    /// See [`assert_compaction_is_invisible`]. `is_equal` compares two states. It can ignore parts
    /// of a state that have no visible effect.
    ///
    /// # Panics
    /// With a story, if the law does not hold.
    pub fn compaction_is_invisible(&self, is_equal: impl Fn(&R::State, &R::State) -> bool) {
        expect(self.check("Removing obsolete actions changes the state.", false, |story| {
            // Every action is settled at once, so all obsolete actions are removed.
            let config = TimelineConfig { history: Some(0), clean_every: 1, ..small_steps() };
            let all = story.all();
            let full = Actions::of(&self.reducer, &all).fold(&all, None);
            for user in &story.users {
                let mut log = Log::with_observer(node(0), MemoryStore::new(), Timeline::with_config(&self.reducer, config.clone()))
                    .expect("memory does not fail");
                for entry in &user.known {
                    let draft = Draft::of(entry.meta.id.clone(), entry.meta.time).and_reason("in transit");
                    log.add(WallTime::default(), entry.action.clone(), draft).expect("memory does not fail");
                    log.remove_reason("in transit", &crate::store::Criteria::default()).expect("memory does not fail");
                }
                let remaining = log.store().page(&Query::created().oldest_first(), usize::MAX).expect("memory does not fail");
                let read = Timeline::read(&self.reducer, small_steps(), log.store()).expect("memory does not fail");
                // A replica that was offline has its own actions and receives the remaining ones.
                let mut offline = Timeline::with_config(&self.reducer, small_steps());
                let own = &story.users[story.users.len() - 1];
                let own_actions = own.known.iter().filter(|entry| *entry.meta.id.node() == own.node);
                offline.extend(own_actions.clone());
                offline.extend(&remaining.entries);
                let states = [
                    ("The timeline of the log", log.state()),
                    ("A timeline of the remaining actions", read.state()),
                    ("The timeline of a replica that was offline", offline.state()),
                ];
                for (name, state) in states {
                    if !is_equal(state, &full) {
                        let remaining: Vec<&str> = remaining.entries.iter().map(|entry| entry.action.as_json()).collect();
                        return Err(format!(
                            "  All actions give {full:?}\n  {name} has {state:?}\n  The log of {} contains {remaining:#?}\n",
                            user.name
                        ));
                    }
                }
            }
            Ok(())
        }));
    }

    /// Asserts that snapshots of a document change nothing that is visible, and that all replicas
    /// agree afterwards.
    ///
    /// After each action, `settle` makes the snapshot of the earlier ones. With the later ones on
    /// top, it gives the state of all actions. Then the actions arrive at the settling node in the
    /// order in which a user received them: a replica that kept running, and one that opens the
    /// snapshot, have one state. Users undo actions of any age. `shift` converts the times of a
    /// state to another clock, by milliseconds; a replica whose clock is wrong sees the same.
    /// `view` returns what is visible of a state.
    ///
    /// # Panics
    /// With a story, if the law does not hold.
    pub fn settlement_is_invisible<V: PartialEq + Debug>(
        &self,
        settle: impl Fn(&mut R::State, &Coverage),
        shift: impl Fn(&mut R::State, i64),
        view: impl Fn(&R::State) -> V,
    ) where
        R::State: PartialEq + Debug,
    {
        expect(self.check("A snapshot changes the state.", true, |story| {
            let all = story.all();
            let full = view(&Actions::of(&self.reducer, &all).fold(&all, None));
            let open = |settlement: &Settlement<R::State>, first: &[Entry], then: &[Entry]| {
                let mut timeline = Timeline::with_config(&self.reducer, small_steps());
                timeline.extend(first);
                timeline.settle(&Stamp::new(WallTime::MAX, snapshot_id()), settlement.clone());
                timeline.extend(then);
                timeline
            };
            let settlement_of = |arrived: &[Entry], horizon: Option<WallTime>| {
                let mut timeline = Timeline::with_config(&self.reducer, small_steps());
                timeline.extend(arrived);
                timeline.settlement(horizon, &settle)
            };
            for (count, has_horizon) in (0..=all.len()).flat_map(|n| [(n, false), (n, true)]) {
                let mut settlement = settlement_of(&all[..count], None);
                if has_horizon {
                    // No action that is still to come is older.
                    let open = all.iter().map(|entry| &entry.meta.id);
                    let open = open.filter(|id| !settlement.coverage.is_final(id));
                    settlement = settlement_of(&all[..count], open.map(ActionId::time).min());
                }
                if has_undo_of_settled(&all, &settlement.coverage) {
                    continue;
                }
                let state = view(open(&settlement, &[], &all).state());
                shift(&mut settlement.state, CLOCK_ERROR);
                let by_wrong_clock: Vec<Entry> = all.iter().map(by_wrong_clock).collect();
                let shifted = view(open(&settlement, &[], &by_wrong_clock).state());
                if shifted != full {
                    return Err(format!(
                        "  All actions give {full:?}\n  With a clock that is {CLOCK_ERROR} ms \
                         ahead, a snapshot of the first {count} actions and the other actions give \
                         {shifted:?}\n"
                    ));
                }
                if state != full {
                    return Err(format!(
                        "  All actions give {full:?}\n  A snapshot of the first {count} actions \
                         and the other actions give {state:?}\n"
                    ));
                }
            }
            let arrivals = in_order_of_ids(&story.users[0].known);
            for count in 0..=arrivals.len() {
                let settlement = settlement_of(&arrivals[..count], None);
                let states = [
                    open(&settlement, &arrivals, &[]),
                    open(&settlement, &[], &arrivals),
                    open(&settlement, &all[..all.len() / 2], &all),
                ];
                states.iter().for_each(Timeline::assert_invariants);
                if states.windows(2).any(|pair| pair[0].state() != pair[1].state()) {
                    return Err(format!(
                        "  With a snapshot of {count} arrived actions, a replica that kept running \
                         has {:?}\n  A replica that opens it has {:?}\n",
                        states[0].state(),
                        states[1].state()
                    ));
                }
            }
            Ok(())
        }));
    }

    /// Asserts a law of your own about the final states. `holds` receives the actions that are in
    /// effect, in order, and the state that they give. It is called for every user, after all users
    /// have received all actions. `law` is the first line of the story.
    ///
    /// # Panics
    /// With a story, if the law does not hold.
    pub fn ends_well(&self, law: &str, holds: impl Fn(&[Entry], &R::State) -> bool) {
        expect(self.try_ends_well(law, holds));
    }

    /// Does what [`ends_well`](Self::ends_well) does, without a panic.
    ///
    /// # Errors
    /// [`BrokenLaw`], if the law does not hold.
    pub fn try_ends_well(
        &self,
        law: &str,
        holds: impl Fn(&[Entry], &R::State) -> bool,
    ) -> Result<(), BrokenLaw> {
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
        })
    }

    /// Asserts a law of your own about every state that a user sees, also while actions are missing
    /// or arrive late. `law` is the first line of the story.
    ///
    /// ```should_panic
    /// use logux::{Action, replay::untyped_reducer, testing::Laws};
    /// use proptest::sample::select;
    ///
    /// let balance = untyped_reducer(0, |balance: &mut i32, action: &Action| {
    ///     *balance += if action.kind() == "earn" { 1 } else { -1 };
    /// });
    /// // A user spends what they have; but another one undoes what was earned.
    /// let make = |balance: &i32, kind: &&str, _: &_| {
    ///     let is_possible = *kind == "earn" || *balance > 0;
    ///     is_possible.then(|| Action::new(format!(r#"{{"type":"{kind}"}}"#)).ok())?
    /// };
    /// let laws = Laws::with(balance, select(vec!["earn", "spend"]), make);
    /// laws.always("The balance is negative.", |balance| *balance >= 0);
    /// ```
    ///
    /// # Panics
    /// With a story, if the law does not hold.
    pub fn always(&self, law: &str, holds: impl Fn(&R::State) -> bool) {
        expect(self.try_always(law, holds));
    }

    /// Does what [`always`](Self::always) does, without a panic.
    ///
    /// # Errors
    /// [`BrokenLaw`], if the law does not hold.
    pub fn try_always(
        &self,
        law: &str,
        holds: impl Fn(&R::State) -> bool,
    ) -> Result<(), BrokenLaw> {
        self.check_states(law, true, Some(&holds), |story| match &story.violation {
            Some((name, state)) => Err(format!("  {name} has {state:?}\n")),
            None => Ok(()),
        })
    }

    /// Tests random histories. `holds` receives the users after each, and returns the end of its
    /// story if it breaks the law.
    fn check(
        &self,
        law: &str,
        with_undo: bool,
        holds: impl Fn(&Story<'_, R>) -> Result<(), String>,
    ) -> Result<(), BrokenLaw> {
        self.check_states(law, with_undo, None, holds)
    }

    /// Does the same. A story ends at the first state of a user that does not fulfil `watch`.
    fn check_states(
        &self,
        law: &str,
        with_undo: bool,
        watch: Option<Watch<'_, R::State>>,
        holds: impl Fn(&Story<'_, R>) -> Result<(), String>,
    ) -> Result<(), BrokenLaw> {
        self.histories.check(&self.intents, with_undo, |history| {
            let mut story = Story::new(&self.reducer, &history.skews, watch);
            history.tell(&mut story, &self.make);
            holds(&story).err().map(|end| format!("{law}\n\n{}\n{end}", story.text))
        })
    }
}

/// The error of a wrong clock, in milliseconds: larger than all differences of times in a story.
const CLOCK_ERROR: i64 = -1_000_000_000;

/// Returns an entry as a node with a wrong clock has it.
fn by_wrong_clock(entry: &Entry) -> Entry {
    let time = entry.meta.time.shifted(CLOCK_ERROR);
    Entry::new(entry.action.clone(), entry.meta.clone().with_time(time))
}
