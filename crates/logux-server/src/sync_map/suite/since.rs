//! What those who come back are told.

use logux::json::JsonObject;

use crate::sync_map::{
    SyncMap, SyncMapFilter,
    data::{LoadOutcome, RecordList},
    suite::kit::{Kit, Values, at, values, wall},
};

pub(super) async fn what_arrived_since_then_is_loaded<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(20_000)).await;
    // Made offline long ago, it comes late.
    let late = kit.only(&kit.other, 0);
    kit.change("2", &late, at(1).arriving(50_000)).await;
    kit.change("1", &kit.only(&kit.other, 1), at(50_000)).await;
    let told = async |id: &str| match kit.load(id, Some(50_000)).await {
        LoadOutcome::Record(record) => kit.values(&record),
        other => panic!("the record is there, not {other:?}"),
    };
    assert_eq!(told("2").await, values(&late), "what was made earlier and has arrived later");
    assert_eq!(told("1").await, values(&kit.only(&kit.other, 1)), "only what is new");
}

pub(super) async fn what_arrived_since_then_is_listed<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(20_000)).await;
    kit.create("2", &kit.one, at(1).arriving(50_000)).await;
    kit.change("1", &kit.only(&kit.other, 1), at(50_000)).await;
    for filter in [JsonObject::default(), kit.only(&kit.one, 0)] {
        let listed = kit.list(&filter, Some(50_000)).await;
        assert_eq!(told(kit, &listed, "1"), Some(values(&kit.only(&kit.other, 1))));
        assert_eq!(told(kit, &listed, "2"), Some(values(&kit.one)));
    }
}

pub(super) async fn what_has_stopped_to_match_is_listed<S, M>(kit: &Kit<S, M>)
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
        told(kit, &listed, "1"),
        Some(values(&kit.only(&kit.other, 0))),
        "by what it does not match any more"
    );
    assert_eq!(told(kit, &listed, "2"), Some(values(&kit.only(&kit.other, 1))), "it matches");
}

pub(super) async fn what_was_deleted_since_then_is_told<S, M>(kit: &Kit<S, M>)
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
    assert_eq!(listed.gone, [("2".into(), wall(3))]);
    assert_eq!(told(kit, &listed, "3"), Some(values(&kit.one)), "it is back");
    assert_eq!(kit.load("2", Some(50_000)).await, LoadOutcome::Deleted(wall(3)));
}

/// What a list tells of a record.
fn told<S, M>(kit: &Kit<S, M>, listed: &RecordList, id: &str) -> Option<Values>
where
    S: Send + Sync + 'static,
    M: SyncMap<S>,
{
    listed.records.iter().find(|record| &*record.id == id).map(|record| kit.values(record))
}
