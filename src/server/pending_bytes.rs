//! The memory of the actions that are not answered yet.

use std::{collections::HashMap, sync::Arc};

use crate::store::Entry;

/// What an action occupies besides its JSON, in bytes.
const OVERHEAD: usize = 512;

/// The sizes of the actions of clients that run or wait, in bytes: of all, and of each user.
#[derive(Debug, Default)]
pub(super) struct PendingBytes {
    total: usize,
    users: HashMap<Arc<str>, usize>,
}

impl PendingBytes {
    pub(super) fn add(&mut self, entry: &Entry) {
        let (user, bytes) = (entry.meta.id.node().user_or_client(), bytes(entry));
        self.total += bytes;
        match self.users.get_mut(user) {
            Some(sum) => *sum += bytes,
            None => drop(self.users.insert(user.into(), bytes)),
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        let (user, bytes) = (entry.meta.id.node().user_or_client(), bytes(entry));
        self.total = self.total.saturating_sub(bytes);
        if let Some(sum) = self.users.get_mut(user) {
            *sum = sum.saturating_sub(bytes);
            if *sum == 0 {
                self.users.remove(user);
            }
        }
    }

    pub(super) const fn total(&self) -> usize {
        self.total
    }

    pub(super) fn of_user(&self, user: &str) -> usize {
        self.users.get(user).copied().unwrap_or_default()
    }
}

fn bytes(entry: &Entry) -> usize {
    entry.action.as_json().len() + OVERHEAD
}
