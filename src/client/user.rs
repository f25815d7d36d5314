//! The user whose data a store has.

use std::sync::Arc;

use super::{
    Client, Output, Secret,
    actions::{Unconfirmed, is_subscription, walk_unconfirmed},
    followers::Followers,
    machine::TIME_FIX,
    presence::Presence,
    refused_edits::RefusedEdits,
    subscriptions::Subscriptions,
    undo::Unsent,
};
use crate::{
    action::{IdError, NodeId},
    log::{LogError, Observer},
    replay::TimelineSet,
    store::{Entry, Store},
    sync::{self, Node, State},
    time::Now,
};

/// The names of the store's values with the user and the client whose data it has.
const USER: &str = "userId";
const CLIENT: &str = "clientId";

/// A store cannot be used by a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The store has the data of this user.
    OtherUser(String),
    /// The client id in the store is not valid.
    ClientId(IdError),
}

/// Gives an empty store to the user and the client of a node, or checks that it has their data, and
/// commits. Returns the id of the node that uses the store: with `is_random`, the client id of
/// `node` is random and gives way to that of the store, with the tab id of `node`, so that ids of
/// actions stay unique if the clock goes back between two starts.
///
/// # Errors
/// If the store fails; the inner result, if the store has the data of another user.
pub fn identify<S: Store>(
    store: &mut S,
    node: &NodeId,
    is_random: bool,
) -> Result<Result<NodeId, IdentityError>, S::Error> {
    let user = node.user_or_client();
    match store.value(USER)? {
        Some(found) if found != user => return Ok(Err(IdentityError::OtherUser(found))),
        Some(_) => {}
        None => store.set_value(USER, Some(user))?,
    }
    let mut own = node.clone();
    if is_random {
        match store.value(CLIENT)? {
            Some(client) => {
                let tab = node.as_str().strip_prefix(node.client_id()).unwrap_or_default();
                match NodeId::new(format!("{client}{tab}")) {
                    Ok(known) => own = known,
                    Err(error) => return Ok(Err(IdentityError::ClientId(error))),
                }
            }
            None => store.set_value(CLIENT, Some(node.client_id()))?,
        }
    }
    store.commit()?;
    Ok(Ok(own))
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Returns the own actions that the server has not confirmed, oldest first, without
    /// subscriptions: what would be lost with this device. O(number of actions that were added
    /// since the last confirmation).
    ///
    /// # Errors
    /// If the store fails.
    pub fn unconfirmed_actions(&self) -> Result<Vec<Entry>, LogError<S::Error>> {
        let mut found = Vec::new();
        walk_unconfirmed(&self.log, |entry| {
            if !is_subscription(&entry.meta) {
                found.push(entry.clone());
            }
        })?;
        Ok(found)
    }
}

impl<S: Store> Client<S, TimelineSet> {
    /// Removes everything of the user from the store and from memory, and commits. Returns the
    /// actions that the server has not confirmed. The client stays [paused](Self::pause).
    ///
    /// # Errors
    /// If the store fails.
    pub fn clean(&mut self, now: Now) -> Result<Vec<Entry>, LogError<S::Error>> {
        let unconfirmed = self.unconfirmed_actions()?;
        self.pause(now);
        self.reset(self.node_config.node.clone())?;
        self.log.commit()?;
        self.update_status(now);
        Ok(unconfirmed)
    }

    /// Changes the user: removes everything of the former user as [`clean`](Self::clean) does, and
    /// connects as `node` with this token, if the client was connecting or connected. Returns the
    /// actions of the former user that the server has not confirmed, which may be added again for
    /// the new one. Open timelines stay open, and are empty; subscriptions end without a word.
    ///
    /// # Errors
    /// If the store fails. Then close the connection, and drop the client.
    pub fn change_user(
        &mut self,
        now: Now,
        node: &NodeId,
        token: Option<Secret>,
    ) -> Result<Vec<Entry>, LogError<S::Error>> {
        let unconfirmed = self.unconfirmed_actions()?;
        self.reset(node.clone())?;
        self.log.set_value(USER, Some(node.user_or_client()))?;
        self.log.set_value(CLIENT, Some(node.client_id()))?;
        self.log.commit()?;
        self.token = token;
        self.restart_connection(now);
        Ok(unconfirmed)
    }

    fn reset(&mut self, node: NodeId) -> Result<(), LogError<S::Error>> {
        self.log.clean(node.clone())?;
        self.log.observer_mut().clear();
        let config = sync::Config { node, ..(*self.node_config).clone() };
        self.node_config = Arc::new(config);
        // What the former user's connection has brought is nothing for the next user.
        for outputs in [&mut self.pending, &mut self.ready] {
            outputs.retain(is_of_device);
        }
        if self.node.state() != State::Disconnected {
            self.pending.push_back(Output::State(State::Disconnected));
        }
        self.node = Node::new(self.node_config.clone(), ());
        self.unsent = Unsent::default();
        self.unconfirmed = Unconfirmed::default();
        self.subscriptions = Subscriptions::default();
        self.undo_steps.clear();
        self.bursts.forget();
        self.presence = Presence::default();
        self.followers = Followers::new(self.log.node_id());
        self.documents.reset();
        self.refused = RefusedEdits::default();
        self.encryption.clear();
        self.status.reset();
        self.batches.clear();
        // It is of this device, whoever uses it.
        let time_fix = self.time_fix.map(|ms| ms.to_string());
        self.log.set_value(TIME_FIX, time_fix.as_deref())?;
        self.tell_documents();
        self.is_changed = true;
        Ok(())
    }
}

/// Whether an output is about the connection, and not about the data of the user.
const fn is_of_device(output: &Output) -> bool {
    matches!(
        output,
        Output::Disconnect(_)
            | Output::Connect
            | Output::Stopped(_)
            | Output::Refused(_)
            | Output::State(_)
            | Output::Status(_)
            | Output::Debug(_)
    )
}
