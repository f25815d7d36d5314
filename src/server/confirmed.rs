//! What the nodes of each client have confirmed.
//!
//! A page that is reloaded is a new node of a known client: it keeps the client id, but not its
//! log, and connects as if it had received nothing. The answers that an earlier node of the client
//! has confirmed are not sent to it again.

use core::ops::ControlFlow;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use indexmap::IndexSet;

use super::HubLog;
use crate::{log::LogError, store::Store};

/// The prefix of the names under which the numbers are stored.
const PREFIX: &str = "confirmed/";

/// The highest `added` number of the log that any node of a client has confirmed, by client id.
///
/// A number is forgotten with the remembered entries up to it. Only clients that confirmed one of
/// their remembered entries have a number, so there are at most as many as remembered entries were
/// added within one capacity of the inbox.
#[derive(Debug, Default)]
pub(super) struct ConfirmedNumbers {
    numbers: HashMap<Arc<str>, u64>,
    /// The same, ordered by number.
    by_number: BTreeSet<(u64, Arc<str>)>,
    /// The clients whose number is not in the store yet.
    unsaved: IndexSet<Arc<str>>,
}

impl ConfirmedNumbers {
    /// Reads the numbers after a start.
    pub(super) fn restore<S: Store>(log: &HubLog<S>) -> Result<Self, LogError<S::Error>> {
        let mut restored = Self::default();
        log.store().walk_values(PREFIX, &mut |name, value| {
            if let (Some(client), Ok(number)) = (name.strip_prefix(PREFIX), value.parse()) {
                restored.set(client.into(), number);
            }
            ControlFlow::Continue(())
        })?;
        Ok(restored)
    }

    /// Returns the number of a client, or 0.
    pub(super) fn of_client(&self, client: &str) -> u64 {
        self.numbers.get(client).copied().unwrap_or_default()
    }

    /// Records that a node of a client has received everything up to a number.
    pub(super) fn confirm(&mut self, client: &str, number: u64) {
        if number > self.of_client(client) {
            let client: Arc<str> = client.into();
            self.unsaved.insert(client.clone());
            self.set(client, number);
        }
    }

    fn set(&mut self, client: Arc<str>, number: u64) {
        if let Some(previous) = self.numbers.insert(client.clone(), number) {
            self.by_number.remove(&(previous, client.clone()));
        }
        self.by_number.insert((number, client));
    }

    /// Writes the new numbers to the store. They are not worth a commit of their own: a client
    /// whose number is lost in a crash receives the last answers again.
    pub(super) fn save<S: Store>(&mut self, log: &mut HubLog<S>) -> Result<(), LogError<S::Error>> {
        for client in self.unsaved.drain(..) {
            if let Some(number) = self.numbers.get(&client) {
                log.set_value(&[PREFIX, &client].concat(), Some(&number.to_string()))?;
            }
        }
        Ok(())
    }

    /// Forgets the numbers up to `max_added`, when all remembered entries up to it are forgotten.
    pub(super) fn forget_until<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        max_added: u64,
    ) -> Result<(), LogError<S::Error>> {
        while let Some((number, _)) = self.by_number.first()
            && *number <= max_added
            && let Some((_, client)) = self.by_number.pop_first()
        {
            self.numbers.remove(&client);
            self.unsaved.swap_remove(&client);
            log.set_value(&[PREFIX, &client].concat(), None)?;
        }
        Ok(())
    }
}
