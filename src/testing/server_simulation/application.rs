//! What is simulated: an application with its database, and what its users do.

use core::fmt::Debug;
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    action::{Action, ActionId},
    log::Draft,
    replay::Reducer,
    server::{Config, Recipients},
    store::Entry,
};

/// An application whose server is simulated. All of it is pure: what takes time, or fails, is up to the world.
pub trait Application {
    /// What its database holds. A clone of it is what a transaction works on.
    type Data: Clone + Debug + Default;

    /// What makes the state that a device shows of the device's log.
    type Reducer: Reducer<State: Debug> + Clone;

    /// The reducer of the devices.
    fn reducer(&self) -> Self::Reducer;

    /// The channels that every device is subscribed to.
    fn channels(&self) -> Vec<String>;

    /// What a user does who sees a state; `number` is any number. The action will have this id.
    fn act(
        &self,
        state: &<Self::Reducer as Reducer>::State,
        id: &ActionId,
        number: u64,
    ) -> Option<Action>;

    /// Whether the author may do an action, or subscribe. Asked again when the server has crashed before it was answered, also when it was processed by then.
    fn access(&self, data: &Self::Data, entry: &Entry) -> bool {
        let _ = (data, entry);
        true
    }

    /// Who gets an action besides its author.
    fn resend(&self, entry: &Entry) -> Recipients;

    /// Does an action, in one transaction.
    ///
    /// # Errors
    /// The reason for which the action is undone; nothing is changed then.
    fn process(&self, data: &mut Self::Data, entry: &Entry) -> Result<(), String>;

    /// What its author is sent besides `logux/processed` when an action was done; once more when the server has crashed meanwhile.
    fn send_back(&self, entry: &Entry) -> Vec<Action> {
        let _ = entry;
        Vec::new()
    }

    /// What a new subscriber of a channel is sent.
    fn load(&self, data: &Self::Data, channel: &str) -> Vec<(Action, Draft)>;

    /// Whether new subscribers are sent what the server's log has kept of a channel.
    fn replays(&self, channel: &str) -> bool {
        let _ = channel;
        false
    }

    /// Changes the settings of the server.
    fn configure(&self, config: &mut Config) {
        let _ = config;
    }

    /// What can be seen of the database's data. In the end it has to be what is [seen](Self::seen) on every device.
    fn stored(&self, data: &Self::Data) -> String;

    /// What can be seen of a device's state.
    fn seen(&self, state: &<Self::Reducer as Reducer>::State) -> String;
}

/// The application's database. It is not the server's: what one has committed the other may have lost.
#[derive(Debug)]
pub(super) struct Database<D> {
    pub(super) data: D,
    /// The actions that were done, where the application keeps an inbox beside its data.
    inbox: Option<BTreeSet<ActionId>>,
    /// How many times each action was done.
    pub(super) done: BTreeMap<ActionId, usize>,
}

impl<D: Clone + Default> Database<D> {
    pub(super) fn new(has_inbox: bool) -> Self {
        Self { data: D::default(), inbox: has_inbox.then(BTreeSet::new), done: BTreeMap::new() }
    }

    /// One transaction: the action's id and what the action changes, both or none.
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
        *self.done.entry(id.clone()).or_default() += 1;
        Ok(())
    }

    /// How many times an action was done.
    pub(super) fn times(&self, id: &ActionId) -> usize {
        self.done.get(id).copied().unwrap_or_default()
    }
}
