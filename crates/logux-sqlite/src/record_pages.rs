//! Lists of records in pages.

use std::{sync::Arc, time::Duration};

use logux::{
    Json, WallTime,
    json::JsonObject,
    record::{
        ListPosition, PAGE_BYTES, PAGE_DELETIONS, PAGE_RECORDS, Record, RecordPage, matching,
    },
};
use rusqlite::params;

use crate::{
    SqliteError, SqliteRecords, database::Reads, entries::stamp_of, record_rows::RecordRow,
};

/// A record that a page may contain: its key in the order of the list, and its id.
struct Candidate {
    key: String,
    id: Arc<str>,
}

impl SqliteRecords {
    /// Returns the next page of [`list`](Self::list), in no particular order. `after` is the
    /// [`RecordPage::next`] of the previous page, `None` for the first. With `since`, the last
    /// pages have the records that may not match the filter any more, because one of its fields
    /// was written or they were created again since then, with these fields, and the records that
    /// were deleted since then.
    ///
    /// O(size of the page · log n). If few of the records with the first field of the filter match
    /// all of it, a page may be empty. The database is unlocked between records. A record that is
    /// written between two pages may be in both, or in none if it did not match all the time.
    ///
    /// # Errors
    /// If the database fails.
    pub fn list_page(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: Option<WallTime>,
        after: Option<ListPosition>,
    ) -> Result<RecordPage, SqliteError> {
        page(&Reads::Shared(self.database()), collection, filter, since, after)
    }

    /// As [`list_page`](Self::list_page), but on a connection of its own: neither this call nor the
    /// writes and commits of other threads make each other wait. A page has one state of the
    /// database, which has all that was written before the call: it first waits until that is
    /// committed or rolled back. If it is not within `max_wait`, and for a database in memory, the
    /// page is read by the shared connection, as by `list_page`.
    ///
    /// For the pages of a server whose thread commits soon. O(size of the page · log n).
    ///
    /// # Errors
    /// If the database fails.
    pub fn list_committed_page(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: Option<WallTime>,
        after: Option<ListPosition>,
        max_wait: Duration,
    ) -> Result<RecordPage, SqliteError> {
        self.database()
            .read_committed(max_wait, |reads| page(reads, collection, filter, since, after))
    }
}

fn page(
    reads: &Reads<'_>,
    collection: &str,
    filter: &JsonObject,
    since: Option<WallTime>,
    after: Option<ListPosition>,
) -> Result<RecordPage, SqliteError> {
    let position = after.unwrap_or_else(ListPosition::start);
    let selected = match &position {
        ListPosition::Matching(key) => {
            let candidates = match filter.iter().next() {
                None => ids_after(reads, collection, key)?,
                Some(first) => holders_after(reads, collection, first, key)?,
            };
            select(reads, collection, &candidates, since, |mut record| {
                let selects = record.matches(filter);
                if let Some(since) = since {
                    record.retain_missed(filter, since);
                }
                selects.then_some(record)
            })?
        }
        ListPosition::Changed(key) => {
            let since = since.unwrap_or(WallTime::MIN);
            let candidates = ids_after(reads, collection, key)?;
            select(reads, collection, &candidates, Some(since), |mut record| {
                let is_among_matching = record.matches(filter);
                record.retain_since(since);
                record.retain_filtered(filter);
                let has_changed = record.recreated_after.is_some() || !record.fields.is_empty();
                (has_changed && !is_among_matching).then_some(record)
            })?
        }
        ListPosition::Deleted(arrived, id) => {
            return deletions_after(reads, collection, *arrived, id);
        }
    };
    let next = position.after_records(selected.next, filter, since);
    Ok(RecordPage { records: selected.records, deleted: Vec::new(), next })
}

/// Returns records of a collection in the order of their ids.
fn ids_after(
    reads: &Reads<'_>,
    collection: &str,
    key: &str,
) -> Result<Vec<Candidate>, SqliteError> {
    let statement = "SELECT id FROM records WHERE collection = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    reads.read(|db| {
        let mut statement = db.prepare_cached(statement)?;
        let rows = statement.query_map(params![collection, key, PAGE_RECORDS as i64], |row| {
            let id: Arc<str> = row.get(0)?;
            Ok(Candidate { key: id.to_string(), id })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

/// Returns records that may have a field, in the order of their numbers.
fn holders_after(
    reads: &Reads<'_>,
    collection: &str,
    (key, value): (&str, &Json),
    after: &str,
) -> Result<Vec<Candidate>, SqliteError> {
    let after: i64 = after.parse().unwrap_or(i64::MIN);
    let hash = matching::hash(collection, key, value);
    let statement = "SELECT f.record, r.id FROM fields f CROSS JOIN records r ON r.record = f.record
            WHERE f.hash = ?1 AND f.record > ?2 AND f.key = ?3 AND r.collection = ?4 ORDER BY f.record LIMIT ?5";
    reads.read(|db| {
        let mut statement = db.prepare_cached(statement)?;
        let values = params![hash, after, key, collection, PAGE_RECORDS as i64];
        let rows = statement.query_map(values, |row| {
            Ok(Candidate { key: row.get::<_, i64>(0)?.to_string(), id: row.get(1)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

/// Reads the records of a page. The database is unlocked between them.
fn select(
    reads: &Reads<'_>,
    collection: &str,
    candidates: &[Candidate],
    since: Option<WallTime>,
    select: impl Fn(Record) -> Option<Record>,
) -> Result<Selected, SqliteError> {
    let (mut page, mut bytes) = (Selected::default(), 0);
    for Candidate { key, id } in candidates {
        let record = reads.read(|db| match RecordRow::find(db, collection, id)? {
            Some(row) if row.state.exists() => Ok(Some(Record {
                id: id.clone(),
                fields: row.fields(db, None)?,
                recreated_after: row.deleted_since(since),
            })),
            _ => Ok(None),
        })?;
        if let Some(record) = record.and_then(&select) {
            bytes += record
                .fields
                .iter()
                .map(|field| field.key.len() + field.value.as_str().len())
                .sum::<usize>();
            page.records.push(record);
        }
        if bytes >= PAGE_BYTES {
            page.next = Some(key.clone());
            return Ok(page);
        }
    }
    let last = candidates.last().filter(|_| candidates.len() == PAGE_RECORDS);
    page.next = last.map(|candidate| candidate.key.clone());
    Ok(page)
}

fn deletions_after(
    reads: &Reads<'_>,
    collection: &str,
    arrived: WallTime,
    id: &str,
) -> Result<RecordPage, SqliteError> {
    let statement = "SELECT id, deleted, deletion_arrived FROM records
            WHERE collection = ?1 AND (deletion_arrived, id) > (?2, ?3)
            AND (touched IS NULL OR touched < deleted) ORDER BY deletion_arrived, id LIMIT ?4";
    reads.read(|db| {
        let mut statement = db.prepare_cached(statement)?;
        let values = params![collection, arrived.as_millis(), id, PAGE_DELETIONS as i64];
        let mut rows = statement.query(values)?;
        let (mut deleted, mut next) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            let id: Arc<str> = row.get(0)?;
            next = Some(ListPosition::Deleted(WallTime::from_millis(row.get(2)?), id.to_string()));
            deleted.push((id, stamp_of(row.get_ref(1)?)?));
        }
        let next = next.filter(|_| deleted.len() == PAGE_DELETIONS);
        Ok(RecordPage { records: Vec::new(), deleted, next })
    })
}

/// The selected records of a page, and the key after which the next one starts.
#[derive(Default)]
struct Selected {
    records: Vec<Record>,
    next: Option<String>,
}
