//! The store of the log: queries, criteria and numbers over the rows.

use core::ops::ControlFlow;

use logux::{
    ActionId, Entry, Stamp, Store,
    store::{Criteria, Direction, Insertion, MetaChange, Order, Query, Synced, key},
};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::{
    Database, SqliteError,
    entries::{self, columns},
};

/// A [`Store`] in a [`Database`]. Durable after [`commit`](Store::commit).
///
/// A call for one entry is O(log n), a walk O(visited entries). Removing a reason is O(log n) for
/// each entry with this reason within the bounds of the criteria: bounds of time if there are any,
/// otherwise bounds of `added` numbers. A walk reads a batch of entries at a time and unlocks the
/// database while it visits them, so the visitor may use the database.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Returns the database of the store.
    pub const fn database(&self) -> &Database {
        &self.database
    }
}

/// The number of entries in the first and in the largest batch of a walk.
const FIRST_READ: usize = 16;
const LARGEST_READ: usize = 512;

impl Store for SqliteStore {
    type Error = SqliteError;

    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, SqliteError> {
        self.database.write(|db, last_added| entries::insert(db, last_added, entry))
    }

    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, SqliteError> {
        self.database.read(|db| entries::by_id(db, id))
    }

    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, SqliteError> {
        self.database.write(|db, _| {
            let Some(mut entry) = entries::by_id(db, id)? else { return Ok(false) };
            let previous = entry.meta.reasons.clone();
            change.apply(&mut entry.meta);
            entries::update(db, &entry, &previous)?;
            Ok(true)
        })
    }

    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, SqliteError> {
        self.database.write(|db, last_added| {
            let found = entries::by_id(db, id)?;
            if let Some(entry) = &found {
                entries::remove(db, *last_added, entry)?;
            }
            Ok(found)
        })
    }

    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), SqliteError> {
        let removed_entries = self.database.write(|db, last_added| {
            let mut removed_entries = Vec::new();
            for mut entry in matching(db, reason, criteria)? {
                let previous = entry.meta.reasons.clone();
                let reasons = previous.iter().filter(|own| ***own != *reason).cloned().collect();
                if previous.iter().all(|own| **own == *reason) {
                    entries::remove(db, *last_added, &entry)?;
                    entry.meta.reasons = reasons;
                    removed_entries.push(entry);
                } else {
                    entry.meta.reasons = reasons;
                    entries::update(db, &entry, &previous)?;
                }
            }
            Ok(removed_entries)
        })?;
        removed_entries.into_iter().for_each(removed);
        Ok(())
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, SqliteError> {
        self.database.read(|db| {
            let sql = "SELECT created FROM reasons WHERE name = ?1 ORDER BY created DESC LIMIT 1";
            let mut statement = db.prepare_cached(sql)?;
            let newest = statement
                .query_row([reason], |row| Ok(entries::stamp_of(row.get_ref(0)?)))
                .optional()?;
            newest.transpose()
        })
    }

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), SqliteError> {
        let mut limit = FIRST_READ;
        let mut rest = query.clone();
        loop {
            let entries = self.database.read(|db| select(db, &rest, limit))?;
            for entry in &entries {
                if visit(entry).is_break() {
                    return Ok(());
                }
            }
            match entries.last() {
                Some(last) if entries.len() == limit => rest = query.after_entry(last),
                _ => return Ok(()),
            }
            limit = (limit * 2).min(LARGEST_READ);
        }
    }

    fn last_added(&self) -> Result<u64, SqliteError> {
        self.database.last_added()
    }

    fn synced(&self) -> Result<Synced, SqliteError> {
        self.database.read(|db| {
            let mut statement = db.prepare_cached("SELECT value FROM numbers WHERE name = ?1")?;
            let mut number =
                |name: &str| statement.query_row([name], |row| row.get::<_, i64>(0)).optional();
            let sent = number("sent")?.unwrap_or_default().cast_unsigned();
            let received = number("received")?.unwrap_or_default().cast_unsigned();
            Ok(Synced { sent, received })
        })
    }

    fn set_synced(&mut self, synced: Synced) -> Result<(), SqliteError> {
        self.database.write(|db, _| {
            entries::put_number(db, "sent", synced.sent)?;
            entries::put_number(db, "received", synced.received)
        })
    }

    fn value(&self, name: &str) -> Result<Option<String>, SqliteError> {
        self.database.read(|db| {
            let mut statement = db.prepare_cached(VALUE)?;
            Ok(statement.query_row([name], |row| row.get(0)).optional()?)
        })
    }

    fn set_value(&mut self, name: &str, value: Option<&str>) -> Result<(), SqliteError> {
        self.database.write(|db, _| {
            match value {
                Some(value) => db
                    .prepare_cached(
                        "INSERT OR REPLACE INTO named_values (name, value) VALUES (?1, ?2)",
                    )?
                    .execute([name, value])?,
                None => db
                    .prepare_cached("DELETE FROM named_values WHERE name = ?1")?
                    .execute([name])?,
            };
            Ok(())
        })
    }

    fn walk_values(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), SqliteError> {
        // As in `walk`, the database is unlocked while the values are visited.
        let (mut sql, mut from) = (VALUES_FROM, prefix.to_owned());
        loop {
            let values: Vec<(String, String)> = self.database.read(|db| {
                let mut statement = db.prepare_cached(sql)?;
                let rows = statement.query_map(params![from, LARGEST_READ as i64], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })?;
            for (name, value) in &values {
                if !name.starts_with(prefix) || visit(name, value).is_break() {
                    return Ok(());
                }
            }
            match values.into_iter().nth(LARGEST_READ - 1) {
                Some((last, _)) => (sql, from) = (VALUES_AFTER, last),
                None => return Ok(()),
            }
        }
    }

    /// Clears the log and its values. The records of [`SqliteRecords`](crate::SqliteRecords) are
    /// kept.
    fn clean(&mut self) -> Result<(), SqliteError> {
        self.database.write(|db, last_added| {
            for table in [
                "entries",
                "moved_ids",
                "reasons",
                "reasons_added",
                "indexes",
                "indexes_added",
                "numbers",
                "named_values",
            ] {
                db.execute(&format!("DELETE FROM {table}"), [])?;
            }
            *last_added = 0;
            Ok(())
        })
    }

    fn is_transient(error: &SqliteError) -> bool {
        error.is_transient()
    }

    fn begin(&mut self) -> Result<(), SqliteError> {
        self.database.begin()
    }

    fn rollback(&mut self) -> Result<(), SqliteError> {
        self.database.reopen()
    }

    fn commit(&mut self) -> Result<(), SqliteError> {
        self.database.commit()
    }
}

/// Returns the entries that have a reason and match the criteria, oldest first.
fn matching(db: &Connection, reason: &str, criteria: &Criteria) -> Result<Vec<Entry>, SqliteError> {
    if let Some(id) = &criteria.id {
        let found = entries::by_id(db, id)?;
        let meets = |entry: &Entry| {
            criteria.matches(&entry.meta) && entry.meta.reasons.iter().any(|own| **own == *reason)
        };
        return Ok(found.into_iter().filter(meets).collect());
    }
    let min_added = criteria.min_added.map_or(0, clamp);
    let max_added = criteria.max_added.map_or(i64::MAX, clamp);
    let numbers: Vec<i64> = if criteria.older_than.is_none()
        && criteria.younger_than.is_none()
        && (criteria.min_added.is_some() || criteria.max_added.is_some())
    {
        let mut statement = db.prepare_cached(WITH_REASON_BY_ADDED)?;
        statement
            .query_map(params![reason, min_added, max_added, criteria.index], |row| row.get(0))?
            .collect::<Result<_, _>>()?
    } else {
        let younger =
            criteria.younger_than.as_ref().map_or_else(|| key::FIRST.into(), key::of_stamp);
        let older = criteria.older_than.as_ref().map_or_else(|| key::LAST.into(), key::of_stamp);
        let mut statement = db.prepare_cached(WITH_REASON_BY_CREATED)?;
        let values = params![reason, min_added, max_added, criteria.index, younger, older];
        statement.query_map(values, |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    let missing = |added| {
        SqliteError::Corrupt(format!(
            "reason {reason:?} refers to entry number {added}, which is missing"
        ))
    };
    let mut found = Vec::with_capacity(numbers.len());
    for added in numbers {
        found.push(entries::by_added(db, added)?.ok_or_else(|| missing(added))?);
    }
    found.sort_by_cached_key(|entry| entry.meta.stamp());
    Ok(found)
}

const WITH_REASON_BY_ADDED: &str = "SELECT r.added FROM reasons_added r WHERE r.name = ?1 AND r.added BETWEEN ?2 AND ?3
    AND (?4 IS NULL OR EXISTS (SELECT 1 FROM indexes_added i WHERE i.name = ?4 AND i.added = r.added))";
const WITH_REASON_BY_CREATED: &str = "SELECT r.added FROM reasons r WHERE r.name = ?1 AND r.added BETWEEN ?2 AND ?3
    AND (?4 IS NULL OR EXISTS (SELECT 1 FROM indexes_added i WHERE i.name = ?4 AND i.added = r.added))
    AND r.created > ?5 AND r.created < ?6 ORDER BY r.created";

/// Returns the first entries of a query.
fn select(db: &Connection, query: &Query, limit: usize) -> Result<Vec<Entry>, SqliteError> {
    let forward = query.direction == Direction::OldestFirst;
    let limit = limit as i64;
    let mut found = Vec::new();
    let mut collect = |mut statement: CachedStatement<'_>, values: &[&dyn rusqlite::ToSql]| {
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            found.push(entries::read(row)?);
        }
        Ok::<_, SqliteError>(())
    };
    match &query.order {
        Order::Created { after } => {
            let end = if forward { key::FIRST } else { key::LAST };
            let after_key = after.as_ref().map_or_else(|| end.into(), key::of_stamp);
            match &query.index {
                None => collect(
                    db.prepare_cached(if forward { CREATED } else { CREATED_BACK })?,
                    &[&after_key, &limit],
                ),
                Some(index) => {
                    let sql = if forward { INDEX_CREATED } else { INDEX_CREATED_BACK };
                    collect(db.prepare_cached(sql)?, &[&after_key, &limit, index])
                }
            }
        }
        Order::Added { after } => {
            let after_key = after.map_or(if forward { 0 } else { i64::MAX }, clamp);
            match &query.index {
                None => collect(
                    db.prepare_cached(if forward { ADDED } else { ADDED_BACK })?,
                    &[&after_key, &limit],
                ),
                Some(index) => {
                    let sql = if forward { INDEX_ADDED } else { INDEX_ADDED_BACK };
                    collect(db.prepare_cached(sql)?, &[&after_key, &limit, index])
                }
            }
        }
    }?;
    Ok(found)
}

const VALUE: &str = "SELECT value FROM named_values WHERE name = ?1";
const VALUES_FROM: &str =
    "SELECT name, value FROM named_values WHERE name >= ?1 ORDER BY name LIMIT ?2";
const VALUES_AFTER: &str =
    "SELECT name, value FROM named_values WHERE name > ?1 ORDER BY name LIMIT ?2";

/// Entries never have the highest integer of SQLite as their number.
fn clamp(added: u64) -> i64 {
    i64::try_from(added).unwrap_or(i64::MAX)
}

macro_rules! walk {
    ($from:literal, $column:literal, $forward:ident, $back:ident) => {
        const $forward: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            $from,
            $column,
            " > ?1 ORDER BY ",
            $column,
            " LIMIT ?2"
        );
        const $back: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            $from,
            $column,
            " < ?1 ORDER BY ",
            $column,
            " DESC LIMIT ?2"
        );
    };
}

walk!("entries e WHERE ", "e.created", CREATED, CREATED_BACK);
walk!("entries e WHERE ", "e.added", ADDED, ADDED_BACK);
// CROSS JOIN fixes the join order: from the index to the entries.
walk!(
    "indexes i CROSS JOIN entries e ON e.added = i.added WHERE i.name = ?3 AND ",
    "i.created",
    INDEX_CREATED,
    INDEX_CREATED_BACK
);
walk!(
    "indexes_added i CROSS JOIN entries e ON e.added = i.added WHERE i.name = ?3 AND ",
    "i.added",
    INDEX_ADDED,
    INDEX_ADDED_BACK
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_query_scans_or_sorts_a_whole_table() {
        let database = Database::open_in_memory().expect("a database");
        let queries = [
            CREATED,
            CREATED_BACK,
            ADDED,
            ADDED_BACK,
            WITH_REASON_BY_ADDED,
            WITH_REASON_BY_CREATED,
            VALUE,
            VALUES_FROM,
            VALUES_AFTER,
        ];
        let by_index = [INDEX_CREATED, INDEX_CREATED_BACK, INDEX_ADDED, INDEX_ADDED_BACK];
        let steps = |sql: &str| {
            database.read(|db| {
                let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let steps = statement
                    .raw_query()
                    .mapped(|row| row.get::<_, String>(3))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(steps)
            })
        };
        for sql in queries.into_iter().chain(by_index) {
            for step in steps(sql).expect("a plan") {
                let scans = step.starts_with("SCAN") && !step.contains("CONSTANT ROW")
                    || step.contains("TEMP B-TREE");
                assert!(!scans, "{step} in {sql}");
            }
        }
    }
}
