//! Conversions from records with a time for each field to the results of a storage.

use std::{collections::HashSet, sync::Arc};

use logux::{
    Stamp, WallTime,
    json::JsonObject,
    record::{Changed, Record, RecordPage, RefusedWrite},
};

use crate::{
    error::HandlerError,
    sync_map::data::{EditOutcome, LoadOutcome, RecordList, SyncMapData},
};

impl From<Record> for SyncMapData {
    fn from(record: Record) -> Self {
        let fields = record
            .fields
            .into_iter()
            .map(|field| (field.key, field.value, Some(field.stamp.time())));
        Self {
            id: record.id,
            fields: fields.collect(),
            recreated_after: record.recreated_after.map(|deletion| deletion.time()),
        }
    }
}

impl From<RecordPage> for RecordList {
    fn from(page: RecordPage) -> Self {
        let deleted = page.deleted.into_iter().map(|(id, deletion)| (id, deletion.time()));
        Self {
            records: page.records.into_iter().map(Into::into).collect(),
            deleted: deleted.collect(),
            next: page.next.map(|next| next.to_string().into()),
        }
    }
}

/// Returns a record, its deletion, or that it is missing.
pub(super) fn load_outcome(record: Option<Record>, deletion: Option<Stamp>) -> LoadOutcome {
    match (record, deletion) {
        (Some(record), _) => LoadOutcome::Record(record.into()),
        (None, Some(deletion)) => LoadOutcome::Deleted(deletion.time()),
        (None, None) => LoadOutcome::Missing,
    }
}

/// Returns the result of a creation or change.
pub(super) fn edit_outcome(changed: Changed) -> EditOutcome {
    if changed.won.is_empty() && changed.existed {
        EditOutcome::Nothing
    } else {
        EditOutcome::Fields { won: changed.won, time: changed.stamp.time() }
    }
}

/// Returns the error that undoes an action whose write is refused.
pub(super) fn refused(write: RefusedWrite) -> HandlerError {
    match write {
        RefusedWrite::NotFound => HandlerError::NotFound,
        _ => HandlerError::undo("tooLarge"),
    }
}

/// Returns the records that match, those of `touched` that may not match any more, and the
/// deletions. `touched` are the fields of all records that arrived since the requested time.
pub(super) fn record_list(
    filter: &JsonObject,
    matching: Vec<Record>,
    touched: Vec<Record>,
    deleted: Vec<(Arc<str>, Stamp)>,
) -> RecordList {
    let mut records: Vec<SyncMapData> = matching.into_iter().map(Into::into).collect();
    let matching_ids: HashSet<_> = records.iter().map(|record| record.id.clone()).collect();
    // A field of the filter was written since then.
    let may_not_match = |record: &Record| {
        record.recreated_after.is_some()
            || record.fields.iter().any(|field| filter.get(&field.key).is_some())
    };
    records.extend(
        touched
            .into_iter()
            .filter(|record| may_not_match(record) && !matching_ids.contains(&record.id))
            .map(|mut record| {
                // The subscriber needs no more to see that the record does not match.
                record.retain_filtered(filter);
                record.into()
            }),
    );
    let deleted: Vec<(_, WallTime)> =
        deleted.into_iter().map(|(id, deletion)| (id, deletion.time())).collect();
    RecordList { records, deleted, next: None }
}
