//! Lists of documents in pages.

use core::{cmp::Reverse, fmt, str::FromStr};
use std::sync::Arc;

use super::CatalogEntry;
use crate::time::WallTime;

/// Which documents of a kind a list has. The newest change is first; documents that were changed at
/// the same time are ordered by id, the greatest first, in the order of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogQuery {
    /// The largest number of documents in a page.
    pub limit: usize,
    /// The [`CatalogPage::next`] of the previous page. `None` for the first one.
    pub after: Option<CatalogPosition>,
    /// The user who has created the documents. `None` for those of all users.
    pub creator: Option<Arc<str>>,
    /// Whether the deleted documents are listed. Otherwise those that exist are.
    pub deleted: bool,
}

/// A part of a list of documents.
///
/// A document that is changed between two pages moves to the front: it may be in none of the later
/// pages, but never in two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogPage {
    /// The documents.
    pub entries: Vec<CatalogEntry>,
    /// The position of the next page. `None` if there are no more documents.
    pub next: Option<CatalogPosition>,
}

/// A position in a list of documents, after the document with this time and id.
///
/// ```
/// use logux::{WallTime, server::CatalogPosition};
/// let position = CatalogPosition { changed_at: WallTime::from_millis(12), id: "a:b".into() };
/// assert_eq!(position.to_string(), "12:a:b");
/// assert_eq!("12:a:b".parse(), Ok(position));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogPosition {
    /// When the document was last changed, by the server's clock.
    pub changed_at: WallTime,
    /// The id of the document.
    pub id: Arc<str>,
}

impl CatalogQuery {
    /// Creates a query of the existing documents of all users.
    pub const fn new(limit: usize) -> Self {
        Self { limit, after: None, creator: None, deleted: false }
    }

    /// Selects the page from all documents of a kind. O(n · log n): for storages in memory.
    pub fn select<'a>(&self, entries: impl IntoIterator<Item = &'a CatalogEntry>) -> CatalogPage {
        let selects = |entry: &&CatalogEntry| {
            entry.deletion().is_some() == self.deleted
                && (self.creator.is_none() || entry.creator == self.creator)
                && self.after.as_ref().is_none_or(|after| entry.position() < *after)
        };
        let mut found: Vec<&CatalogEntry> = entries.into_iter().filter(selects).collect();
        found.sort_by_cached_key(|entry| Reverse(entry.position()));
        let read = found.iter().take(self.limit.saturating_add(1));
        CatalogPage::new(read.map(|entry| (*entry).clone()).collect(), self.limit)
    }
}

impl CatalogPage {
    /// Creates a page from the next documents, of which one more than the limit was read.
    pub fn new(mut entries: Vec<CatalogEntry>, limit: usize) -> Self {
        let has_more = entries.len() > limit;
        entries.truncate(limit);
        let last = entries.last().filter(|_| has_more);
        Self { next: last.map(CatalogEntry::position), entries }
    }
}

/// A text is not a position in a list of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogPositionError(String);

impl fmt::Display for CatalogPositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a position in a list of documents, got {:?}", self.0)
    }
}

impl core::error::Error for CatalogPositionError {}

impl fmt::Display for CatalogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.changed_at.as_millis(), self.id)
    }
}

impl FromStr for CatalogPosition {
    type Err = CatalogPositionError;

    fn from_str(text: &str) -> Result<Self, CatalogPositionError> {
        let position = text.split_once(':').and_then(|(time, id)| {
            let changed_at = WallTime::checked_from_millis(time.parse().ok()?)?;
            Some(Self { changed_at, id: id.into() })
        });
        position.ok_or_else(|| CatalogPositionError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_positions_are_refused() {
        for text in ["", "12", "x:a", "9e15:a", "8640000000000001:a"] {
            let error = text.parse::<CatalogPosition>().expect_err(text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }
}
