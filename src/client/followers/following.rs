//! A tab that follows another one.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::without_timeouts;
use crate::{
    client::{
        Client,
        actions::{Unconfirmed, is_subscription, is_unanswered},
        undo_steps,
    },
    log::{LogError, Observer},
    store::{Query, Store, Synced},
    sync::Node,
    time::Now,
};

impl<S: Store, O: Observer> Client<S, O> {
    /// Makes this client the follower of another tab: its connection is one to the tab that leads,
    /// which [serves](Self::handle_follower) it. Both have the clock of one device, so nothing is
    /// corrected. At each connection, it sends all own actions without an answer, because another
    /// tab may lead now, which does not know which answers were lost with the last one.
    #[must_use]
    pub fn following(mut self) -> Self {
        self.is_follower = true;
        self.node_config = Arc::new(without_timeouts((*self.node_config).clone()));
        self.node = Node::new(self.node_config.clone(), ());
        self
    }

    /// Prepares the connection of a follower.
    pub(in crate::client) fn connect_to_leader(&mut self) -> Result<(), LogError<S::Error>> {
        self.log.set_synced(Synced { sent: 0, received: 0 })?;
        self.unconfirmed = Unconfirmed::of(&self.log)?;
        self.node.connect_with(0, None, Some(0));
        Ok(())
    }

    /// Takes over what a follower had when it becomes the leader: its actions without an answer,
    /// its steps of undo, and what it shows in channels. `self` is new, with the store of the last
    /// leader and the node id of the follower.
    ///
    /// # Errors
    /// If the store fails.
    pub fn take_over<S2: Store<Error = S::Error>, O2: Observer>(
        &mut self,
        now: Now,
        follower: &Client<S2, O2>,
    ) -> Result<(), LogError<S::Error>> {
        self.followers.are_possible = true;
        // No id is generated again.
        self.log.observe_id(&follower.log.next_id(now.wall));
        let mut own = Vec::new();
        follower.log.walk(&Query::added().oldest_first(), |entry| {
            if is_unanswered(&entry.meta) && !is_subscription(&entry.meta) {
                own.push(entry.clone());
            }
            ControlFlow::Continue(())
        })?;
        for entry in own {
            if self.log.by_id(&entry.meta.id)?.is_none() {
                self.add_relayed(now, entry)?;
            }
        }
        undo_steps::copy(&follower.log, &mut self.log)?;
        self.is_changed = true;
        for (channel, state) in follower.own_states() {
            self.set_presence(now, channel, Some(state))?;
        }
        Ok(())
    }
}
