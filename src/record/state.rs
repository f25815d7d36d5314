//! Which writes a record accepts, and when it is deleted.

use core::fmt;

use crate::{action::Stamp, time::WallTime};

/// The stamps of the latest creation or change of a record, and of its latest deletion.
///
/// These rules make the official clients, which compare times only, agree with the database:
///
/// - Only a creation creates a record. A change of a missing record is refused.
/// - A deletion deletes what is known: it is moved after the latest write, so its time is later
///   than that of every field, and subscribers receive this time.
/// - A creation or change that was made before the deletion is refused, in whatever order the
///   three arrive. A later creation restores the record, with its own fields only.
///
/// ```
/// use logux::{Stamp, WallTime, record::{RecordState, RefusedWrite}};
///
/// let at = |time| Stamp::new(WallTime::from_millis(time), format!("{time} a 0").parse().unwrap());
/// let mut task = RecordState { touched: Some(at(7)), deleted: None };
/// let deletion = task.delete(&at(5));
/// assert!(deletion.exists && deletion.stamp.time() == WallTime::from_millis(8));
/// task.deleted = Some(deletion.stamp);
/// assert_eq!(task.check_change(&at(20)), Err(RefusedWrite::NotFound));
/// assert_eq!(task.check_create(&at(8)), Err(RefusedWrite::NotFound));
/// assert_eq!(task.check_create(&at(9)), Ok(()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordState {
    /// The stamp of the latest creation or change.
    pub touched: Option<Stamp>,
    /// The stamp of the latest deletion, while it is remembered.
    pub deleted: Option<Stamp>,
}

impl RecordState {
    /// Returns `true` if the record exists.
    pub fn exists(&self) -> bool {
        self.touched > self.deleted
    }

    /// Checks whether a creation with this stamp is accepted. A creation of a record that exists
    /// is a change of it.
    ///
    /// # Errors
    /// [`RefusedWrite::NotFound`] if a deletion at the same time or later is remembered.
    pub fn check_create(&self, stamp: &Stamp) -> Result<(), RefusedWrite> {
        let is_deleted =
            self.deleted.as_ref().is_some_and(|deleted| deleted.time() >= stamp.time());
        if is_deleted { Err(RefusedWrite::NotFound) } else { Ok(()) }
    }

    /// Checks whether a change with this stamp is accepted.
    ///
    /// # Errors
    /// [`RefusedWrite::NotFound`] if the record does not exist, or if it was created again after
    /// a deletion that is later than the change.
    pub fn check_change(&self, stamp: &Stamp) -> Result<(), RefusedWrite> {
        if self.exists() { self.check_create(stamp) } else { Err(RefusedWrite::NotFound) }
    }

    /// Decides the deletion by the action with this stamp.
    ///
    /// Without a record it is remembered all the same, because its author hides writes that are
    /// older: they are refused when they arrive. A deletion that is repeated after a crash has the
    /// result of the first attempt.
    pub fn delete(&self, stamp: &Stamp) -> Deletion {
        let of_record = |stamp| Deletion { stamp, exists: true };
        match (&self.deleted, &self.touched) {
            (Some(deleted), _) if deleted.id() == stamp.id() => {
                Deletion { stamp: deleted.clone(), exists: !self.exists() }
            }
            (_, Some(touched)) if self.exists() => {
                let time: WallTime = stamp.time().max(touched.time().shifted(1));
                of_record(Stamp::new(time, stamp.id().clone()))
            }
            (Some(deleted), _) if deleted.time() >= stamp.time() => {
                Deletion { stamp: deleted.clone(), exists: false }
            }
            _ => Deletion { stamp: stamp.clone(), exists: false },
        }
    }
}

/// The result of the deletion of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The stamp to store. Its time is later than that of every field.
    pub stamp: Stamp,
    /// Whether there is a record to delete, so that clients have to be notified.
    pub exists: bool,
}

/// The reason for which a write of a record is refused: a verdict about the action, whose author
/// has to be notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedWrite {
    /// The record does not exist, or was deleted after the write was made.
    NotFound,
    /// The record would have more fields than this.
    TooManyFields(u64),
    /// The keys and values of the record would be longer than this, in bytes.
    TooLarge(u64),
}

impl fmt::Display for RefusedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("expected a record that exists"),
            Self::TooManyFields(limit) => {
                write!(f, "expected at most {limit} fields in a record")
            }
            Self::TooLarge(limit) => {
                write!(f, "expected at most {limit} bytes of keys and values in a record")
            }
        }
    }
}

impl core::error::Error for RefusedWrite {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: i64, node: &str) -> Stamp {
        let id = format!("{time} {node} 0").parse().unwrap();
        Stamp::new(WallTime::from_millis(time), id)
    }

    #[test]
    fn a_deletion_is_moved_after_the_latest_write() {
        let state = RecordState { touched: Some(at(5, "b")), deleted: None };
        for (own, moved) in [(1, 6), (5, 6), (6, 6), (7, 7)] {
            let Deletion { stamp, exists } = state.delete(&at(own, "a"));
            assert!(exists && stamp.time() == WallTime::from_millis(moved));
            assert_eq!(stamp.id(), at(own, "a").id());
        }
    }

    #[test]
    fn a_repeated_deletion_has_the_same_result() {
        let mut state = RecordState { touched: Some(at(5, "b")), deleted: None };
        let first = state.delete(&at(1, "a"));
        state.deleted = Some(first.stamp.clone());
        assert_eq!(state.delete(&at(1, "a")), first);
        state.touched = Some(at(7, "b"));
        let again = Deletion { exists: false, ..first };
        assert_eq!(state.delete(&at(1, "a")), again, "the record was created again");
    }

    #[test]
    fn a_deletion_without_a_record_is_remembered() {
        let nothing = |time, node| Deletion { stamp: at(time, node), exists: false };
        assert_eq!(RecordState::default().delete(&at(1, "a")), nothing(1, "a"));
        let deleted = RecordState { touched: None, deleted: Some(at(5, "b")) };
        assert_eq!(deleted.delete(&at(4, "a")), nothing(5, "b"));
        assert_eq!(deleted.delete(&at(9, "a")), nothing(9, "a"));
    }

    #[test]
    fn writes_that_are_older_than_the_deletion_are_refused() {
        let state = RecordState { touched: Some(at(9, "a")), deleted: Some(at(5, "m")) };
        for (stamp, is_accepted) in [(at(4, "z"), false), (at(5, "z"), false), (at(6, "a"), true)] {
            assert_eq!(state.check_change(&stamp).is_ok(), is_accepted);
            assert_eq!(state.check_create(&stamp).is_ok(), is_accepted);
        }
    }
}
