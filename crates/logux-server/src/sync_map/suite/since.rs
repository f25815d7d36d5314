//! Checks of the changes since a time, for clients that reconnect.

use logux::json::JsonObject;

use crate::sync_map::{
    SyncMap, SyncMapFilter,
    data::{LoadOutcome, RecordList},
    suite::kit::{Kit, Values, at, values, wall},
};

pub(super) async fn changes_since_a_time_are_loaded<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(20_000)).await;
    // This write was made offline and arrives late.
    let late = kit.only(&kit.other, 0);
    kit.create("2", &late, at(1).arriving(50_000)).await;
    kit.change("1", &kit.only(&kit.other, 1), at(50_000)).await;
    let loaded = async |id: &str| match kit.load(id, Some(50_000)).await {
        LoadOutcome::Record(record) => kit.values(&record),
        other => panic!("expected the record, not {other:?}"),
    };
    assert_eq!(loaded("2").await, values(&late), "made earlier, arrived later");
    assert_eq!(loaded("1").await, values(&kit.only(&kit.other, 1)), "only the new field");
}

pub(super) async fn changes_since_a_time_are_listed<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(20_000)).await;
    kit.create("2", &kit.one, at(1).arriving(50_000)).await;
    kit.change("1", &kit.only(&kit.other, 1), at(50_000)).await;
    for filter in [JsonObject::default(), kit.only(&kit.one, 0)] {
        let listed = kit.list(&filter, Some(50_000)).await;
        assert_eq!(listed_fields(kit, &listed, "1"), Some(values(&kit.only(&kit.other, 1))));
        assert_eq!(listed_fields(kit, &listed, "2"), Some(values(&kit.one)));
    }
}

pub(super) async fn records_that_match_since_a_time_are_listed_whole<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.other, at(1)).await;
    kit.change("1", &kit.only(&kit.one, 0), at(50_000)).await;
    let listed = kit.list(&kit.only(&kit.one, 0), Some(50_000)).await;
    let fields = listed_fields(kit, &listed, "1").expect("it is listed");
    assert_eq!(fields.len(), values(&kit.other).len(), "the subscriber may have none of them");
    let listed = kit.list(&JsonObject::default(), Some(50_000)).await;
    let changed = Some(values(&kit.only(&kit.one, 0)));
    assert_eq!(listed_fields(kit, &listed, "1"), changed, "the subscriber has the others");
}

pub(super) async fn records_that_do_not_match_any_more_are_listed<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    for id in ["1", "2", "3"] {
        kit.create(id, &kit.one, at(1)).await;
    }
    kit.change("1", &kit.only(&kit.other, 0), at(50_000)).await;
    kit.change("2", &kit.only(&kit.other, 1), at(50_000)).await;
    let listed = kit.list(&kit.only(&kit.one, 0), Some(50_000)).await;
    assert_eq!(
        listed_fields(kit, &listed, "1"),
        Some(values(&kit.only(&kit.other, 0))),
        "the field that does not match any more"
    );
    assert_eq!(
        listed_fields(kit, &listed, "2"),
        Some(values(&kit.only(&kit.other, 1))),
        "it still matches"
    );
}

pub(super) async fn deletions_since_a_time_are_listed<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    for id in ["1", "2", "3"] {
        kit.create(id, &kit.one, at(1)).await;
    }
    kit.delete("1", at(2)).await;
    kit.delete("2", at(3).arriving(50_000)).await;
    kit.delete("3", at(3).arriving(50_000)).await;
    kit.create("3", &kit.one, at(4).arriving(50_001)).await;
    let listed = kit.list(&JsonObject::default(), Some(50_000)).await;
    assert_eq!(listed.deleted, [("2".into(), wall(3))]);
    assert_eq!(listed_fields(kit, &listed, "3"), Some(values(&kit.one)), "it exists again");
    assert_eq!(kit.load("2", Some(50_000)).await, LoadOutcome::Deleted(wall(3)));
}

pub(super) async fn a_record_that_was_created_again_is_deleted_first<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(1)).await;
    kit.delete("1", at(2).arriving(50_000)).await;
    let again = kit.only(&kit.other, 0);
    kit.create("1", &again, at(50_001)).await;
    for (since, deletion) in [(Some(50_000), Some(wall(2))), (Some(90_000), None), (None, None)] {
        let LoadOutcome::Record(record) = kit.load("1", since).await else {
            panic!("the record exists")
        };
        assert_eq!(record.recreated_after, deletion, "since {since:?}");
        // Also with a filter that the record matched only before.
        for filter in [JsonObject::default(), again.clone(), kit.only(&kit.one, 1)] {
            let listed = kit.list(&filter, since).await;
            let record = listed.records.iter().find(|record| &*record.id == "1");
            if let Some(record) = record {
                assert_eq!(record.recreated_after, deletion, "since {since:?}");
            } else {
                assert!(filter.get(again.iter().next().expect("a field").0).is_none());
                assert!(deletion.is_none(), "the record may have matched");
            }
        }
    }
}

/// Returns the listed fields of a record.
fn listed_fields<S, M>(kit: &Kit<S, M>, listed: &RecordList, id: &str) -> Option<Values>
where
    S: Send + Sync + 'static,
    M: SyncMap<S>,
{
    listed.records.iter().find(|record| &*record.id == id).map(|record| kit.values(record))
}
