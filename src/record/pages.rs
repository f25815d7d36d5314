//! Lists of records in pages.

use core::{fmt, str::FromStr};
use std::sync::Arc;

use super::Record;
use crate::{action::Stamp, json::JsonObject, time::WallTime};

/// The size of the fields at which a page ends, in bytes. One record may exceed it.
pub const PAGE_BYTES: usize = 64 * 1024;

/// The number of records that are read for a page at most.
pub const PAGE_RECORDS: usize = 100;

/// The number of deletions in a page.
pub const PAGE_DELETIONS: usize = 500;

/// A part of the records of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordPage {
    /// The records, each with all its fields that the query asked for.
    pub records: Vec<Record>,
    /// The ids of deleted records, with the stamps of the deletions.
    pub deleted: Vec<(Arc<str>, Stamp)>,
    /// The start of the next page. `None` if there are no more records.
    pub next: Option<ListPosition>,
}

/// A position in a list of records, for a returning subscriber in three parts: the records that
/// match, those that may not match any more, and those that were deleted.
///
/// ```
/// use logux::{WallTime, record::ListPosition};
/// let position = ListPosition::Deleted(WallTime::from_millis(12), "a:b".into());
/// assert_eq!(position.to_string(), "deleted:12:a:b");
/// assert_eq!("deleted:12:a:b".parse(), Ok(position));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListPosition {
    /// After the record with this key among those that match. The storage chooses the key: the id
    /// or a number. Empty at the start.
    Matching(String),
    /// After the record with this key among those that may not match any more.
    Changed(String),
    /// After the record with this id among those whose deletion arrived at this time, and after
    /// those of earlier times.
    Deleted(WallTime, String),
}

impl ListPosition {
    /// Returns the start of a list.
    pub const fn start() -> Self {
        Self::Matching(String::new())
    }

    /// Returns the position after a page of records that starts here. `key` is the key of its last
    /// record if this part of the list has more of them.
    pub fn after_records(
        &self,
        key: Option<String>,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Option<Self> {
        match (self, key) {
            (Self::Matching(_), Some(key)) => Some(Self::Matching(key)),
            (Self::Changed(_), Some(key)) => Some(Self::Changed(key)),
            // All records match an empty filter.
            (Self::Matching(_), None) if since.is_some() && !filter.is_empty() => {
                Some(Self::Changed(String::new()))
            }
            // Ids are not empty.
            (Self::Matching(_) | Self::Changed(_), None) => {
                Some(Self::Deleted(since?, String::new()))
            }
            (Self::Deleted(..), _) => None,
        }
    }
}

/// A text is not a position of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionError(String);

impl fmt::Display for PositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a position in a list of records, got {:?}", self.0)
    }
}

impl std::error::Error for PositionError {}

impl fmt::Display for ListPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matching(key) => write!(f, "matching:{key}"),
            Self::Changed(key) => write!(f, "changed:{key}"),
            Self::Deleted(arrived, id) => write!(f, "deleted:{}:{id}", arrived.as_millis()),
        }
    }
}

impl FromStr for ListPosition {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let position = match text.split_once(':') {
            Some(("matching", key)) => Some(Self::Matching(key.to_owned())),
            Some(("changed", key)) => Some(Self::Changed(key.to_owned())),
            Some(("deleted", rest)) => rest.split_once(':').and_then(|(arrived, id)| {
                let arrived = WallTime::checked_from_millis(arrived.parse().ok()?)?;
                Some(Self::Deleted(arrived, id.to_owned()))
            }),
            _ => None,
        };
        position.ok_or_else(|| PositionError(text.to_owned()))
    }
}
