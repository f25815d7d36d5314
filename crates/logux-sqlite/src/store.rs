//! The log's store: walks, criteria and numbers over the rows.

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

/// A [`Store`] in a [`Database`]. Durable with [`commit`](Store::commit).
///
/// Each call on one entry is O(log n), a walk costs what it visits, and taking a reason away costs O(log n) for each entry that has
/// it within the bounds of the criteria: of time where there are such, of `added` numbers otherwise. A walk reads some entries at
/// a time and lets go of the database while it shows them, so whoever visits may use it.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// The database it is in.
    pub const fn database(&self) -> &Database {
        &self.database
    }
}

/// How many entries a walk reads at first, and at most, before it shows them.
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
            let before = entry.meta.reasons.clone();
            change.apply(&mut entry.meta);
            entries::update(db, &entry, &before)?;
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
        let gone = self.database.write(|db, last_added| {
            let mut gone = Vec::new();
            for mut entry in matching(db, reason, criteria)? {
                let before = entry.meta.reasons.clone();
                let reasons = before.iter().filter(|own| ***own != *reason).cloned().collect();
                if before.iter().all(|own| **own == *reason) {
                    entries::remove(db, *last_added, &entry)?;
                    entry.meta.reasons = reasons;
                    gone.push(entry);
                } else {
                    entry.meta.reasons = reasons;
                    entries::update(db, &entry, &before)?;
                }
            }
            Ok(gone)
        })?;
        gone.into_iter().for_each(removed);
        Ok(())
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, SqliteError> {
        self.database.read(|db| {
            let question =
                "SELECT created FROM reasons WHERE name = ?1 ORDER BY created DESC LIMIT 1";
            let mut statement = db.prepare_cached(question)?;
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
                Some(last) if entries.len() == limit => rest = query.behind(last),
                _ => return Ok(()),
            }
            limit = (limit * 2).min(LARGEST_READ);
        }
    }

    fn last_added(&self) -> Result<u64, SqliteError> {
        Ok(self.database.last_added())
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

    /// Forgets the log. The records of [`SyncMaps`](crate::SyncMaps) stay.
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
            ] {
                db.execute(&format!("DELETE FROM {table}"), [])?;
            }
            *last_added = 0;
            Ok(())
        })
    }

    fn commit(&mut self) -> Result<(), SqliteError> {
        self.database.commit()
    }
}

/// The entries that have a reason and meet the criteria, oldest first.
fn matching(db: &Connection, reason: &str, criteria: &Criteria) -> Result<Vec<Entry>, SqliteError> {
    if let Some(id) = &criteria.id {
        let found = entries::by_id(db, id)?;
        let meets = |entry: &Entry| {
            criteria.matches(&entry.meta) && entry.meta.reasons.iter().any(|own| **own == *reason)
        };
        return Ok(found.into_iter().filter(meets).collect());
    }
    let least = criteria.min_added.map_or(0, clamp);
    let most = criteria.max_added.map_or(i64::MAX, clamp);
    let numbers: Vec<i64> = if criteria.older_than.is_none()
        && criteria.younger_than.is_none()
        && (criteria.min_added.is_some() || criteria.max_added.is_some())
    {
        let mut statement = db.prepare_cached(HOLDERS_BY_NUMBER)?;
        statement
            .query_map(params![reason, least, most, criteria.index], |row| row.get(0))?
            .collect::<Result<_, _>>()?
    } else {
        let younger =
            criteria.younger_than.as_ref().map_or_else(|| key::FIRST.into(), key::of_stamp);
        let older = criteria.older_than.as_ref().map_or_else(|| key::LAST.into(), key::of_stamp);
        let mut statement = db.prepare_cached(HOLDERS_BY_TIME)?;
        let values = params![reason, least, most, criteria.index, younger, older];
        statement.query_map(values, |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    let missing = |added| {
        SqliteError::Corrupt(format!(
            "reason {reason:?} leads to entry number {added}, which is not there"
        ))
    };
    let mut found = Vec::with_capacity(numbers.len());
    for added in numbers {
        found.push(entries::by_added(db, added)?.ok_or_else(|| missing(added))?);
    }
    found.sort_by_cached_key(|entry| entry.meta.stamp());
    Ok(found)
}

const HOLDERS_BY_NUMBER: &str = "SELECT r.added FROM reasons_added r WHERE r.name = ?1 AND r.added BETWEEN ?2 AND ?3
    AND (?4 IS NULL OR EXISTS (SELECT 1 FROM indexes_added i WHERE i.name = ?4 AND i.added = r.added))";
const HOLDERS_BY_TIME: &str = "SELECT r.added FROM reasons r WHERE r.name = ?1 AND r.added BETWEEN ?2 AND ?3
    AND (?4 IS NULL OR EXISTS (SELECT 1 FROM indexes_added i WHERE i.name = ?4 AND i.added = r.added))
    AND r.created > ?5 AND r.created < ?6 ORDER BY r.created";

/// The first entries of a query.
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
            let behind = after.as_ref().map_or_else(|| end.into(), key::of_stamp);
            match &query.index {
                None => collect(
                    db.prepare_cached(if forward { CREATED } else { CREATED_BACK })?,
                    &[&behind, &limit],
                ),
                Some(index) => {
                    let sql = if forward { INDEX_CREATED } else { INDEX_CREATED_BACK };
                    collect(db.prepare_cached(sql)?, &[&behind, &limit, index])
                }
            }
        }
        Order::Added { after } => {
            let behind = after.map_or(if forward { 0 } else { i64::MAX }, clamp);
            match &query.index {
                None => collect(
                    db.prepare_cached(if forward { ADDED } else { ADDED_BACK })?,
                    &[&behind, &limit],
                ),
                Some(index) => {
                    let sql = if forward { INDEX_ADDED } else { INDEX_ADDED_BACK };
                    collect(db.prepare_cached(sql)?, &[&behind, &limit, index])
                }
            }
        }
    }?;
    Ok(found)
}

/// No entry has a number as high as the highest of SQLite's integers.
fn clamp(added: u64) -> i64 {
    i64::try_from(added).unwrap_or(i64::MAX)
}

macro_rules! walk {
    ($from:literal, $place:literal, $forward:ident, $back:ident) => {
        const $forward: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            $from,
            $place,
            " > ?1 ORDER BY ",
            $place,
            " LIMIT ?2"
        );
        const $back: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM ",
            $from,
            $place,
            " < ?1 ORDER BY ",
            $place,
            " DESC LIMIT ?2"
        );
    };
}

walk!("entries e WHERE ", "e.created", CREATED, CREATED_BACK);
walk!("entries e WHERE ", "e.added", ADDED, ADDED_BACK);
// CROSS JOIN keeps the order of the tables: the index leads to the entries.
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
    fn no_question_reads_or_sorts_a_whole_table() {
        let database = Database::open_in_memory().expect("a database");
        let questions =
            [CREATED, CREATED_BACK, ADDED, ADDED_BACK, HOLDERS_BY_NUMBER, HOLDERS_BY_TIME];
        let by_index = [INDEX_CREATED, INDEX_CREATED_BACK, INDEX_ADDED, INDEX_ADDED_BACK];
        let steps = |question: &str| {
            database.read(|db| {
                let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {question}"))?;
                let steps = statement
                    .raw_query()
                    .mapped(|row| row.get::<_, String>(3))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(steps)
            })
        };
        for question in questions.into_iter().chain(by_index) {
            for step in steps(question).expect("a plan") {
                let whole = step.starts_with("SCAN") && !step.contains("CONSTANT ROW")
                    || step.contains("TEMP B-TREE");
                assert!(!whole, "{step} in {question}");
            }
        }
    }
}
