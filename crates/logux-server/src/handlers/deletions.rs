//! The deletions of records while their collection is read, sent or edited.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use logux::WallTime;

/// The number of deletions that are remembered for all watches.
const MAX_ENTRIES: usize = 100_000;

/// The recent deletions of a collection on this server.
///
/// A handler that reads a record and then sends it may send it after the deletion of the record,
/// and the official clients would show the record again. Such a handler [watches](Self::watch) the
/// deletions from before it reads until after it has sent, and then repeats those that it may have
/// passed.
#[derive(Debug, Default)]
pub(crate) struct Deletions(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    watches: usize,
    /// The number of entries that were dropped.
    dropped: u64,
    /// The deletions since the start of the oldest watch. Empty without watches.
    entries: VecDeque<(Arc<str>, WallTime)>,
}

impl Deletions {
    /// Records a deletion, before it is sent.
    pub(crate) fn record(&self, id: &str, time: WallTime) {
        let mut recent = self.recent();
        if recent.watches == 0 {
            return;
        }
        recent.entries.push_back((id.into(), time));
        if recent.entries.len() > MAX_ENTRIES {
            recent.entries.pop_front();
            recent.dropped += 1;
        }
    }

    /// Starts to watch the deletions.
    pub(crate) fn watch(self: &Arc<Self>) -> DeletionWatch {
        let mut recent = self.recent();
        recent.watches += 1;
        let start = recent.dropped + recent.entries.len() as u64;
        DeletionWatch { deletions: self.clone(), start }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // A poisoned lock is consistent: no call panics between two changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handler that watches the deletions of a collection.
#[derive(Debug)]
pub(crate) struct DeletionWatch {
    deletions: Arc<Deletions>,
    start: u64,
}

impl DeletionWatch {
    /// Returns the deletions since the start of records that were read. O(deletions since then).
    pub(crate) fn deleted(&self, was_read: impl Fn(&str) -> bool) -> Vec<(Arc<str>, WallTime)> {
        let recent = self.deletions.recent();
        let skipped = usize::try_from(self.start.saturating_sub(recent.dropped));
        let since = recent.entries.iter().skip(skipped.unwrap_or(usize::MAX));
        since.filter(|(id, _)| was_read(id)).cloned().collect()
    }
}

impl Drop for DeletionWatch {
    fn drop(&mut self) {
        let mut recent = self.deletions.recent();
        recent.watches -= 1;
        if recent.watches == 0 {
            recent.dropped += recent.entries.len() as u64;
            recent.entries = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(watch: &DeletionWatch) -> Vec<String> {
        watch.deleted(|id| id != "other").iter().map(|(id, _)| id.to_string()).collect()
    }

    #[test]
    fn a_watch_sees_the_deletions_since_its_start() {
        let deletions = Arc::new(Deletions::default());
        let record = |id| deletions.record(id, WallTime::from_millis(1));
        record("before");
        let first = deletions.watch();
        record("1");
        let second = deletions.watch();
        record("2");
        record("other");
        assert_eq!(deleted(&first), ["1", "2"]);
        assert_eq!(deleted(&second), ["2"]);
        drop(first);
        record("3");
        assert_eq!(deleted(&second), ["2", "3"]);
        drop(second);
        assert!(deletions.recent().entries.is_empty());
        assert_eq!(deleted(&deletions.watch()), [""; 0]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let deletions = Arc::new(Deletions::default());
        let watch = deletions.watch();
        for n in 0..MAX_ENTRIES + 2 {
            deletions.record(&n.to_string(), WallTime::from_millis(1));
        }
        assert_eq!(deleted(&watch).len(), MAX_ENTRIES);
        let later = deletions.watch();
        deletions.record("later", WallTime::from_millis(1));
        assert_eq!(deleted(&later), ["later"]);
    }
}
