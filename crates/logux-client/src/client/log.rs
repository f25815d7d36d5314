//! The log of a client, as its application sees it.

use core::ops::ControlFlow;

use logux::{
    Action, ActionId, Entry,
    client::{Fate, Subscription, SubscriptionState},
    log::Draft,
    replay::TimelineSet,
    store::{Criteria, Query},
};

use super::Client;
use crate::SyncError;

impl Client {
    /// Adds an action that never leaves the device, and waits until it is kept. It stays in the log
    /// as long as it has a reason. Returns its entry, without
    /// [`Meta::added`](logux::Meta::added) if nothing keeps it; `None` if the log has an action
    /// with the id of the draft.
    ///
    /// ```no_run
    /// use logux::{Action, log::Draft};
    /// # use logux_client::{Client, SyncError};
    ///
    /// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let theme = Action::new(r#"{"type":"settings/theme","name":"dark"}"#)?;
    /// // The latest one with this reason is kept.
    /// client.add(theme, Draft::default().keep_last("theme")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended.
    pub async fn add(&self, action: Action, draft: Draft) -> Result<Option<Entry>, SyncError> {
        self.change(|driver| driver.add(action, draft)).await
    }

    /// Visits the actions of the log that a query selects, until `visit` breaks.
    ///
    /// ```no_run
    /// use core::ops::ControlFlow;
    /// use logux::store::Query;
    /// # use logux_client::{Client, SyncError};
    ///
    /// # fn run(client: Client) -> Result<(), SyncError> {
    /// client.walk(&Query::created().oldest_first(), |entry| {
    ///     println!("{} {}", entry.meta.id, entry.action.as_json());
    ///     ControlFlow::Continue(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended, or the store fails.
    pub fn walk(
        &self,
        query: &Query,
        mut visit: impl FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), SyncError> {
        self.command(|driver| driver.walk(query, &mut visit))?.map_err(SyncError::Stopped)
    }

    /// Removes a reason from the actions that match the criteria, and the actions that have no
    /// reasons left, and waits until this is kept. The reason `syncing` of actions without an
    /// answer stays.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended.
    pub async fn remove_reason(&self, reason: &str, criteria: &Criteria) -> Result<(), SyncError> {
        self.change(|driver| driver.remove_reason(reason, criteria)).await
    }

    /// Returns what has become of an own action that the server has not answered. `None` if it is
    /// answered, or unknown.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended, or the store fails.
    pub fn fate(&self, id: &ActionId) -> Result<Option<Fate>, SyncError> {
        self.command(|driver| driver.fate(id))?.map_err(SyncError::Stopped)
    }

    /// Returns the subscriptions that the application and open documents want, with their states:
    /// loading or subscribed.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended.
    pub fn subscriptions(&self) -> Result<Vec<(Subscription, SubscriptionState)>, SyncError> {
        self.command(|driver| driver.subscriptions())
    }

    /// Returns the own actions that the server has not confirmed, oldest first: what would be lost
    /// with this device. Also after the server has refused the client.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended, or the store fails.
    pub fn unconfirmed_actions(&self) -> Result<Vec<Entry>, SyncError> {
        self.command(|driver| driver.unconfirmed_actions())?.map_err(SyncError::Stopped)
    }

    /// Computes something from the open documents and records.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&TimelineSet) -> T) -> Result<T, SyncError> {
        self.command(|driver| read(driver.timelines()))
    }
}
