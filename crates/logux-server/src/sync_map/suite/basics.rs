//! Checks for every storage: it contains what was written, and nothing else.

use crate::sync_map::{
    SyncMap,
    data::{EditOutcome, LoadOutcome},
    suite::kit::{Kit, at, values},
};

pub(super) async fn a_created_record_is_loaded<S: Send + Sync + 'static, M: SyncMap<S>>(
    kit: &Kit<S, M>,
) {
    assert_ne!(
        kit.create("1", &kit.one, at(1)).await,
        EditOutcome::Nothing,
        "subscribers receive a new record"
    );
    assert_eq!(kit.fields("1").await, Some(values(&kit.one)));
    let LoadOutcome::Record(record) = kit.load("1", None).await else {
        panic!("the record exists")
    };
    assert_eq!(&*record.id, "1");
}

pub(super) async fn an_unknown_record_is_missing<S: Send + Sync + 'static, M: SyncMap<S>>(
    kit: &Kit<S, M>,
) {
    assert_eq!(kit.load("1", None).await, LoadOutcome::Missing);
    assert_eq!(kit.load("1", Some(0)).await, LoadOutcome::Missing);
}

pub(super) async fn a_change_sets_its_fields_and_no_others<
    S: Send + Sync + 'static,
    M: SyncMap<S>,
>(
    kit: &Kit<S, M>,
) {
    kit.create("1", &kit.one, at(1)).await;
    let first = kit.only(&kit.other, 0);
    assert_ne!(
        kit.change("1", &first, at(2)).await,
        EditOutcome::Nothing,
        "subscribers receive a later change"
    );
    let mut expected = values(&kit.one);
    expected.extend(values(&first));
    assert_eq!(kit.fields("1").await, Some(expected));
}

pub(super) async fn the_same_write_again_changes_nothing<
    S: Send + Sync + 'static,
    M: SyncMap<S>,
>(
    kit: &Kit<S, M>,
) {
    for _ in 0..2 {
        kit.create("1", &kit.one, at(1)).await;
        assert_eq!(kit.fields("1").await, Some(values(&kit.one)));
    }
    for _ in 0..2 {
        kit.change("1", &kit.other, at(2)).await;
        assert_eq!(kit.fields("1").await, Some(values(&kit.other)));
    }
}

pub(super) async fn a_deleted_record_is_missing<S: Send + Sync + 'static, M: SyncMap<S>>(
    kit: &Kit<S, M>,
) {
    kit.create("1", &kit.one, at(1)).await;
    assert!(kit.delete("1", at(2)).await.is_some(), "subscribers receive the deletion");
    assert_eq!(kit.fields("1").await, None);
    kit.delete("1", at(2)).await;
    kit.delete("1", at(3)).await;
    kit.delete("unknown", at(3)).await;
    assert_eq!((kit.fields("1").await, kit.fields("unknown").await), (None, None));
}

pub(super) async fn a_change_never_creates_a_record<S: Send + Sync + 'static, M: SyncMap<S>>(
    kit: &Kit<S, M>,
) {
    assert_eq!(kit.try_change("1", &kit.one, at(1)).await, None, "an unknown record");
    kit.create("2", &kit.one, at(1)).await;
    kit.delete("2", at(2)).await;
    assert_eq!(kit.try_change("2", &kit.one, at(3)).await, None, "a deleted record");
    assert_eq!((kit.fields("1").await, kit.fields("2").await), (None, None));
    assert!(kit.try_create("2", &kit.other, at(9)).await.is_some(), "a creation restores it");
    assert_eq!(kit.fields("2").await, Some(values(&kit.other)));
}

pub(super) async fn records_are_independent<S: Send + Sync + 'static, M: SyncMap<S>>(
    kit: &Kit<S, M>,
) {
    kit.create("1", &kit.one, at(1)).await;
    kit.create("2", &kit.other, at(1)).await;
    kit.create("é/😀", &kit.one, at(2)).await;
    kit.delete("1", at(3)).await;
    assert_eq!(kit.fields("1").await, None);
    assert_eq!(kit.fields("2").await, Some(values(&kit.other)));
    assert_eq!(kit.fields("é/😀").await, Some(values(&kit.one)));
}
