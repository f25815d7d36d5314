//! Records with a time for each field, as clients are told them.

use logux::{
    Stamp, WallTime,
    json::JsonObject,
    record::{Changed, Record},
};

use crate::sync_map::data::{EditOutcome, LoadOutcome, RecordList, SyncMapData};

impl From<Record> for SyncMapData {
    fn from(record: Record) -> Self {
        let fields = record
            .fields
            .into_iter()
            .map(|field| (field.key, field.value, Some(field.stamp.time())));
        Self { id: record.id, fields: fields.collect() }
    }
}

/// A record, or else its deletion.
pub(super) fn found(record: Option<Record>, deletion: Option<Stamp>) -> LoadOutcome {
    match (record, deletion) {
        (Some(record), _) => LoadOutcome::Record(record.into()),
        (None, Some(deletion)) => LoadOutcome::Deleted(deletion.time()),
        (None, None) => LoadOutcome::Missing,
    }
}

/// What a write came to that was made at `stamp`.
pub(super) fn edited(changed: Changed, stamp: &Stamp) -> EditOutcome {
    if changed.won.is_empty() && (changed.existed || !changed.exists) {
        EditOutcome::Nothing
    } else {
        EditOutcome::Fields { won: changed.won, time: stamp.time() }
    }
}

/// The records that match, those of `touched` that may have stopped to match, and deletions. `touched` is what arrived in any record since
/// then.
pub(super) fn listed(
    filter: &JsonObject,
    matching: Vec<Record>,
    touched: Vec<Record>,
    gone: Vec<(std::sync::Arc<str>, Stamp)>,
) -> RecordList {
    let mut records: Vec<SyncMapData> = matching.into_iter().map(Into::into).collect();
    let known: std::collections::HashSet<_> =
        records.iter().map(|record| record.id.clone()).collect();
    // A field of the filter was written meanwhile.
    let left = |record: &Record| record.fields.iter().any(|field| filter.get(&field.key).is_some());
    records.extend(
        touched
            .into_iter()
            .filter(|record| left(record) && !known.contains(&record.id))
            .map(Into::into),
    );
    let gone: Vec<(_, WallTime)> =
        gone.into_iter().map(|(id, deletion)| (id, deletion.time())).collect();
    RecordList { records, gone }
}
