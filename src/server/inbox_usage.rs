//! The size of the inbox.

use std::{collections::VecDeque, sync::Arc};

use indexmap::IndexMap;

use super::{
    inbox::{is_inbox_index, is_received_index},
    retention::RETAINED_INDEX,
};
use crate::{log::Observer, store::Entry};

/// Counts the actions and answers in the log that the inbox has added. Entries that are also kept
/// for a [`Retention`](super::Retention) are not counted: they would be there without the inbox.
#[derive(Clone, Debug, Default)]
pub(super) struct InboxUsage {
    pub(super) entries: usize,
    /// The size of their JSON.
    pub(super) bytes: usize,
    /// The actions of each user.
    users: IndexMap<Arc<str>, UserUsage>,
}

/// The actions of a user in the inbox.
#[derive(Clone, Debug, Default)]
struct UserUsage {
    bytes: usize,
    /// The `added` number and the size of each action, oldest first. The size of a removed action
    /// is 0 until those before it are removed too.
    actions: VecDeque<(u64, u32)>,
    removed: usize,
}

impl InboxUsage {
    /// Whether an entry is counted. Indexes never change, so the result is the same when the entry
    /// is added and when it is removed.
    fn counts(entry: &Entry) -> bool {
        let indexes = &entry.meta.indexes;
        entry.meta.added.is_some()
            && indexes.iter().any(|index| is_inbox_index(index))
            && indexes.iter().all(|index| &**index != RETAINED_INDEX)
    }

    /// Returns the `added` number and the user of a counted entry that is an action of a client.
    fn received(entry: &Entry) -> Option<(u64, &str)> {
        let node = entry.meta.id.node();
        let is_received =
            !node.is_server() && entry.meta.indexes.iter().any(|index| is_received_index(index));
        Some((entry.meta.added.filter(|_| is_received)?, node.user_or_client()))
    }

    /// Returns the size of the actions of a user, in bytes.
    pub(super) fn user_bytes(&self, user: &str) -> usize {
        self.users.get(user).map_or(0, |usage| usage.bytes)
    }

    /// Returns the `added` numbers of the oldest actions of a user whose total size is at least
    /// `bytes`, at most `limit`.
    pub(super) fn oldest_of_user(&self, user: &str, bytes: usize, limit: usize) -> Vec<u64> {
        let (mut found, mut found_bytes) = (Vec::new(), 0);
        let actions = self.users.get(user).into_iter().flat_map(|usage| &usage.actions);
        for (added, size) in actions.filter(|(_, size)| *size > 0) {
            if found_bytes >= bytes || found.len() >= limit {
                break;
            }
            found_bytes += *size as usize;
            found.push(*added);
        }
        found
    }
}

impl UserUsage {
    fn added(&mut self, added: u64, size: u32) {
        self.bytes += size as usize;
        self.actions.push_back((added, size));
    }

    fn removed(&mut self, added: u64) {
        let Ok(at) = self.actions.binary_search_by_key(&added, |(added, _)| *added) else { return };
        let size = core::mem::take(&mut self.actions[at].1);
        self.bytes = self.bytes.saturating_sub(size as usize);
        self.removed += 1;
        while self.actions.pop_front_if(|(_, size)| *size == 0).is_some() {
            self.removed = self.removed.saturating_sub(1);
        }
        // An old action may stay while many later ones are removed.
        if self.removed > 64 && self.removed > self.actions.len() / 2 {
            self.actions.retain(|(_, size)| *size > 0);
            self.removed = 0;
        }
    }
}

impl Observer for InboxUsage {
    fn added(&mut self, entry: &Entry) {
        if Self::counts(entry) {
            let bytes = entry.action.as_json().len();
            self.entries += 1;
            self.bytes += bytes;
            if let Some((added, user)) = Self::received(entry) {
                let size = u32::try_from(bytes.max(1)).unwrap_or(u32::MAX);
                match self.users.get_mut(user) {
                    Some(usage) => usage.added(added, size),
                    None => self.users.entry(user.into()).or_default().added(added, size),
                }
            }
        }
    }

    fn cleaned(&mut self, entry: &Entry) {
        if Self::counts(entry) {
            self.entries = self.entries.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(entry.action.as_json().len());
            if let Some((added, user)) = Self::received(entry)
                && let Some(usage) = self.users.get_mut(user)
            {
                usage.removed(added);
                if usage.actions.is_empty() {
                    self.users.swap_remove(user);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_actions_need_no_memory() {
        let mut usage = UserUsage::default();
        usage.added(1, 10);
        for added in 2..1_000 {
            usage.added(added, 1);
            usage.removed(added);
        }
        assert_eq!(usage.bytes, 10);
        assert!(usage.actions.len() < 200, "{}", usage.actions.len());
        usage.removed(1);
        assert!(usage.actions.is_empty() && usage.bytes == 0);
    }
}
