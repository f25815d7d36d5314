//! Lists of records in pages.

use logux::{
    WallTime,
    json::JsonObject,
    record::{
        ListPosition, PAGE_BYTES, PAGE_DELETIONS, PAGE_RECORDS, Record, RecordPage, matching,
    },
};

use crate::{
    PostgresError, PostgresRecords,
    records::check_no_nul,
    rows::{DeletionRow, JoinedRow, deletion, records},
};

/// The number, the id and the size of the fields of a record, in bytes.
type CandidateRow = (i64, String, i64);

impl PostgresRecords {
    /// Returns the next page of [`list`](Self::list), in no particular order. `after` is the
    /// [`RecordPage::next`] of the previous page, `None` for the first. With `since`, the last
    /// pages have the records that may not match the filter any more, because one of its fields
    /// was written or they were created again since then, with these fields, and the records that
    /// were deleted since then.
    ///
    /// O(size of the page · log n). If few of the records with the first field of the filter match
    /// all of it, a page may be empty. Each page has its own snapshot: a record that is written
    /// between two pages may be in both, or in none if it did not match all the time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_page(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: Option<WallTime>,
        after: Option<ListPosition>,
    ) -> Result<RecordPage, PostgresError> {
        let keys = filter.iter().map(|(key, _)| key);
        if check_no_nul([collection].into_iter().chain(keys)).is_err() {
            return Ok(RecordPage::default());
        }
        let position = after.unwrap_or_else(ListPosition::start);
        let page = match &position {
            ListPosition::Matching(key) => {
                let mut page = if filter.is_empty() {
                    self.by_id(collection, since, key).await?
                } else {
                    self.by_field(collection, filter, since, key).await?
                };
                page.records.retain(|record| record.matches(filter));
                if let Some(since) = since {
                    page.records.iter_mut().for_each(|record| record.retain_missed(filter, since));
                }
                page
            }
            ListPosition::Changed(key) => {
                let since = since.unwrap_or(WallTime::MIN);
                let mut page = self.by_change(collection, filter, since, key).await?;
                page.records.retain(|record| !record.matches(filter));
                for record in &mut page.records {
                    record.retain_since(since);
                    record.retain_filtered(filter);
                }
                page
            }
            ListPosition::Deleted(arrived, id) => {
                return self.deletions_after(collection, *arrived, id).await;
            }
        };
        let next = position.after_records(page.next, filter, since);
        Ok(RecordPage { records: page.records, deleted: Vec::new(), next })
    }

    /// Returns records of a collection in the order of their ids.
    async fn by_id(
        &self,
        collection: &str,
        since: Option<WallTime>,
        after: &str,
    ) -> Result<Selected, PostgresError> {
        let select = "SELECT r.record, r.id, r.bytes FROM logux_records r WHERE r.collection = $1 AND r.id > $2 ORDER BY r.id LIMIT $3";
        let candidates: Vec<CandidateRow> = sqlx::query_as(select)
            .bind(collection)
            .bind(after)
            .bind(PAGE_RECORDS as i64)
            .fetch_all(self.pool())
            .await?;
        self.read(collection, candidates, since, |(_, id, _)| id.clone()).await
    }

    /// Returns records that may match a filter, in the order of their numbers.
    async fn by_field(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: Option<WallTime>,
        after: &str,
    ) -> Result<Selected, PostgresError> {
        let first = filter.iter().next();
        let hash = first.map(|(key, value)| matching::hash(collection, key, value));
        // The hash decides alone, so that the index has the order and the end of a page. Fields
        // with the same hash that do not match are removed when the records are read.
        let select = "SELECT h.record, r.id, r.bytes FROM (
                SELECT record FROM logux_fields WHERE hash = $1 AND record > $2 ORDER BY record LIMIT $3
            ) h JOIN logux_records r ON r.record = h.record ORDER BY h.record";
        let candidates: Vec<CandidateRow> = sqlx::query_as(select)
            .bind(hash)
            .bind(number(after))
            .bind(PAGE_RECORDS as i64)
            .fetch_all(self.pool())
            .await?;
        self.read(collection, candidates, since, |(record, ..)| record.to_string()).await
    }

    /// Returns records in which a field of a filter was written at `since` or later, in the order
    /// of their numbers.
    async fn by_change(
        &self,
        collection: &str,
        filter: &JsonObject,
        since: WallTime,
        after: &str,
    ) -> Result<Selected, PostgresError> {
        let keys: Vec<&str> = filter.iter().map(|(key, _)| key).collect();
        let select = "SELECT r.record, r.id, r.bytes FROM logux_records r WHERE r.collection = $1 AND r.record IN (
                SELECT record FROM logux_fields WHERE arrived >= $2 AND key = ANY ($3) AND record > $4
                UNION SELECT record FROM logux_records
                    WHERE collection = $1 AND deletion_arrived >= $2 AND record > $4
            ) ORDER BY r.record LIMIT $5";
        let candidates: Vec<CandidateRow> = sqlx::query_as(select)
            .bind(collection)
            .bind(since.as_millis())
            .bind(&keys)
            .bind(number(after))
            .bind(PAGE_RECORDS as i64)
            .fetch_all(self.pool())
            .await?;
        self.read(collection, candidates, Some(since), |(record, ..)| record.to_string()).await
    }

    /// Reads the fields of the first records that fit into a page, of those that exist in the
    /// collection.
    async fn read(
        &self,
        collection: &str,
        mut candidates: Vec<CandidateRow>,
        since: Option<WallTime>,
        key: impl Fn(&CandidateRow) -> String,
    ) -> Result<Selected, PostgresError> {
        let is_last = candidates.len() < PAGE_RECORDS;
        let mut bytes = 0;
        let fitting = candidates
            .iter()
            .take_while(|(.., size)| {
                let fits = bytes < PAGE_BYTES;
                bytes += usize::try_from(*size).unwrap_or(usize::MAX);
                fits
            })
            .count();
        let is_cut = fitting < candidates.len();
        candidates.truncate(fitting);
        let next = candidates.last().filter(|_| is_cut || !is_last).map(key);
        let numbers: Vec<i64> = candidates.iter().map(|(record, ..)| *record).collect();
        let select = "SELECT r.id, CASE WHEN r.deletion_arrived >= $2 THEN r.deleted END, f.key, f.value, f.stamp, f.arrived
            FROM logux_records r LEFT JOIN logux_fields f ON f.record = r.record
            WHERE r.record = ANY ($1) AND r.collection = $3 AND r.touched IS NOT NULL AND (r.deleted IS NULL OR r.touched > r.deleted)
            ORDER BY r.record, f.key";
        let rows: Vec<JoinedRow> = sqlx::query_as(select)
            .bind(&numbers)
            .bind(since.map(WallTime::as_millis))
            .bind(collection)
            .fetch_all(self.pool())
            .await?;
        Ok(Selected { records: records(rows)?, next })
    }

    async fn deletions_after(
        &self,
        collection: &str,
        arrived: WallTime,
        id: &str,
    ) -> Result<RecordPage, PostgresError> {
        // PostgreSQL does not see that the comparison of rows implies the condition of the index.
        let select = "SELECT id, deleted, deletion_arrived FROM logux_records
            WHERE collection = $1 AND deletion_arrived IS NOT NULL AND (deletion_arrived, id) > ($2, $3)
            AND deleted IS NOT NULL AND (touched IS NULL OR touched < deleted)
            ORDER BY deletion_arrived, id LIMIT $4";
        let rows: Vec<DeletionRow> = sqlx::query_as(select)
            .bind(collection)
            .bind(arrived.as_millis())
            .bind(id)
            .bind(PAGE_DELETIONS as i64)
            .fetch_all(self.pool())
            .await?;
        let last = rows.last().filter(|_| rows.len() == PAGE_DELETIONS);
        let next = last.map(|(id, _, arrived)| {
            ListPosition::Deleted(WallTime::from_millis(*arrived), id.clone())
        });
        let deleted = rows.into_iter().map(deletion).collect::<Result<_, _>>()?;
        Ok(RecordPage { records: Vec::new(), deleted, next })
    }
}

/// Records, and the key after which the next page starts.
struct Selected {
    records: Vec<Record>,
    next: Option<String>,
}

/// Reads the number of a record; that of the first page is empty.
fn number(key: &str) -> i64 {
    key.parse().unwrap_or(i64::MIN)
}
