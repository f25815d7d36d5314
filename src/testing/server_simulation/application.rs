//! The simulated application, its users, and its database.

use core::fmt::Debug;
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    action::{Action, ActionId, DocumentKey},
    log::Draft,
    replay::{Reducer, Timeline},
    server::{Config, DocumentSnapshot, Recipients, UndoTarget},
    store::Entry,
    time::WallTime,
};

/// Returns one action for an action in effect and another one after it.
pub type Extended<R> = fn(&Timeline<R>, &Entry, &Action) -> Option<Action>;

/// An application whose server is simulated. All methods are pure; the world adds delays and
/// failures.
pub trait Application {
    /// The content of the application's database. A transaction changes a clone of it.
    type Data: Clone + Debug + Default;

    /// The reducer from a device's log to the state that the device shows.
    type Reducer: Reducer<State: Debug> + Clone;

    /// Returns the reducer of the devices.
    fn reducer(&self) -> Self::Reducer;

    /// Returns the channels that every device subscribes to.
    fn channels(&self) -> Vec<String>;

    /// Returns an action of a user who sees this state. The action will have this id. `number` is
    /// random. Returns `None` if the user does nothing. The device passes the `id` of a
    /// `logux/undo` to [`Client::undo`](crate::client::Client::undo).
    fn act(
        &self,
        state: &<Self::Reducer as Reducer>::State,
        id: &ActionId,
        number: u64,
    ) -> Option<Action>;

    /// Returns `true` if the author may send the action, or subscribe. It is called again if the
    /// server crashed before it answered, even if the action was processed by then.
    fn access(&self, data: &Self::Data, entry: &Entry) -> bool {
        let _ = (data, entry);
        true
    }

    /// Returns how an action becomes longer while a user types: the [`NamedReducer::extended`] of
    /// the reducer. Then half of the actions are parts of bursts. By default, returns `None`: there
    /// are no bursts.
    ///
    /// [`NamedReducer::extended`]: crate::replay::NamedReducer::extended
    fn bursts(&self) -> Option<Extended<Self::Reducer>> {
        None
    }

    /// Returns `true` if the author of a `logux/undo` may undo its target. If so, and if the hub
    /// accepts it, the undo is [processed](Self::process) too, which must not fail. Default: nobody
    /// may undo anything.
    fn may_undo(&self, target: &UndoTarget, undo: &Entry) -> bool {
        let _ = (target, undo);
        false
    }

    /// Returns the recipients of an action besides its author.
    fn resend(&self, entry: &Entry) -> Recipients;

    /// Processes an action, in one transaction.
    ///
    /// # Errors
    /// The reason to undo the action. Then all changes to `data` are discarded.
    fn process(&self, data: &mut Self::Data, entry: &Entry) -> Result<(), String>;

    /// Returns `true` if an action has its effect because the server's log keeps it, as the actions
    /// of documents do. It is processed when it is kept, as undos of users are, and its handler
    /// does nothing. Default: no action.
    fn is_processed_by_log(&self, action: &Action) -> bool {
        let _ = action;
        false
    }

    /// Returns the actions that the author receives in addition to `logux/processed`. They are sent
    /// again if the server crashes meanwhile.
    fn send_back(&self, entry: &Entry) -> Vec<Action> {
        let _ = entry;
        Vec::new()
    }

    /// Returns the actions that the server sends to clients when it has processed an action. The
    /// clients that are not connected then, or when the server crashes, do not receive them.
    fn send(&self, data: &Self::Data, entry: &Entry) -> Vec<(Action, Draft, Recipients)> {
        let _ = (data, entry);
        Vec::new()
    }

    /// Returns the actions that a new subscriber of a channel receives.
    fn load(&self, data: &Self::Data, channel: &str) -> Vec<(Action, Draft)>;

    /// Returns `true` if new subscribers of a channel also receive its actions from the server's
    /// log.
    fn replays(&self, channel: &str) -> bool {
        let _ = channel;
        false
    }

    /// Makes a snapshot of a document from its kept actions, in the order of arrival, if the
    /// [configuration](Self::configure) has kinds of documents. Default: none.
    fn snapshot(
        &self,
        key: &DocumentKey,
        entries: &[Entry],
        now: WallTime,
    ) -> Option<DocumentSnapshot> {
        let _ = (key, entries, now);
        None
    }

    /// Changes the configuration of the server.
    fn configure(&self, config: &mut Config) {
        let _ = config;
    }

    /// Returns the content of the database in a form to compare. At the end, it must be equal to
    /// what every device [shows](Self::shown).
    fn stored(&self, data: &Self::Data) -> String;

    /// Returns the state of a device in a form to compare.
    fn shown(&self, state: &<Self::Reducer as Reducer>::State) -> String;
}

/// The application's database. It is independent of the server's log: a crash can lose uncommitted
/// writes of one of them only.
#[derive(Debug)]
pub(super) struct Database<D> {
    pub(super) data: D,
    /// The ids of processed actions, if the application keeps an inbox in its database.
    inbox: Option<BTreeSet<ActionId>>,
    /// The number of times that each action was processed.
    pub(super) processed: BTreeMap<ActionId, usize>,
}

impl<D: Clone + Default> Database<D> {
    pub(super) fn new(has_inbox: bool) -> Self {
        Self {
            data: D::default(),
            inbox: has_inbox.then(BTreeSet::new),
            processed: BTreeMap::new(),
        }
    }

    /// Processes an action and adds its id to the inbox, in one transaction.
    pub(super) fn commit<A: Application<Data = D>>(
        &mut self,
        application: &A,
        entry: &Entry,
    ) -> Result<(), String> {
        let id = &entry.meta.id;
        if self.inbox.as_ref().is_some_and(|inbox| inbox.contains(id)) {
            return Ok(());
        }
        let mut data = self.data.clone();
        application.process(&mut data, entry)?;
        self.data = data;
        if let Some(inbox) = &mut self.inbox {
            inbox.insert(id.clone());
        }
        *self.processed.entry(id.clone()).or_default() += 1;
        Ok(())
    }

    /// Processes an action that the log keeps.
    pub(super) fn record<A: Application<Data = D>>(&mut self, application: &A, entry: &Entry) {
        if self.times_processed(&entry.meta.id) == 0 {
            application.process(&mut self.data, entry).expect("kept actions do not fail");
            self.processed.insert(entry.meta.id.clone(), 1);
        }
    }

    /// Returns the number of times that an action was processed.
    pub(super) fn times_processed(&self, id: &ActionId) -> usize {
        self.processed.get(id).copied().unwrap_or_default()
    }
}
