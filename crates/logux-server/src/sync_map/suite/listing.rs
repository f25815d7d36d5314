//! Checks for storages that list records by a filter.

use logux::json::JsonObject;

use crate::sync_map::{
    SyncMap, SyncMapFilter,
    suite::kit::{Kit, at, values},
};

pub(super) async fn an_empty_filter_lists_all<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    let all = JsonObject::default();
    assert_eq!(kit.ids(&all).await, [""; 0]);
    kit.create("1", &kit.one, at(1)).await;
    kit.create("2", &kit.other, at(2)).await;
    let listed = kit.list(&all, None).await;
    let mut found: Vec<_> =
        listed.records.iter().map(|record| (record.id.to_string(), kit.values(record))).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, [("1".to_owned(), values(&kit.one)), ("2".to_owned(), values(&kit.other))]);
}

pub(super) async fn a_filter_lists_records_with_equal_fields<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    let mut mixed = kit.one.clone();
    for (key, value) in kit.only(&kit.other, 0).iter() {
        mixed.set(key, value.clone());
    }
    kit.create("1", &kit.one, at(1)).await;
    kit.create("2", &kit.other, at(2)).await;
    kit.create("3", &mixed, at(3)).await;
    assert_eq!(kit.ids(&kit.only(&kit.one, 0)).await, ["1"]);
    assert_eq!(kit.ids(&kit.only(&kit.one, 1)).await, ["1", "3"]);
    assert_eq!(kit.ids(&kit.only(&kit.other, 0)).await, ["2", "3"]);
    assert_eq!(kit.ids(&mixed).await, ["3"], "all fields of the filter must be equal");
}

pub(super) async fn a_record_is_listed_by_its_new_values<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(1)).await;
    kit.change("1", &kit.only(&kit.other, 0), at(2)).await;
    assert_eq!(kit.ids(&kit.only(&kit.one, 0)).await, [""; 0]);
    assert_eq!(kit.ids(&kit.only(&kit.other, 0)).await, ["1"]);
    assert_eq!(kit.ids(&kit.only(&kit.one, 1)).await, ["1"]);
}

pub(super) async fn deleted_records_are_not_listed<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    kit.create("1", &kit.one, at(1)).await;
    kit.create("2", &kit.one, at(1)).await;
    kit.delete("1", at(2)).await;
    assert_eq!(kit.ids(&JsonObject::default()).await, ["2"]);
    assert_eq!(kit.ids(&kit.only(&kit.one, 0)).await, ["2"]);
}

pub(super) async fn a_long_list_is_complete_in_pages<S, M>(kit: &Kit<S, M>)
where
    S: Send + Sync + 'static,
    M: SyncMap<S> + SyncMapFilter<S>,
{
    for number in 0..250 {
        let fields = if number % 2 == 0 { &kit.one } else { &kit.other };
        kit.create(&format!("{number:03}"), fields, at(1 + number)).await;
    }
    for (filter, expected) in
        [(JsonObject::default(), 250), (kit.one.clone(), 125), (kit.only(&kit.other, 1), 125)]
    {
        assert_eq!(kit.list(&filter, None).await.records.len(), expected);
        let (all, count) = kit.pages(&kit.subscription(), &filter, None).await;
        let largest = all.records.len().div_ceil(count);
        assert!(largest <= 125 || count == 1, "{count} pages of {largest} records");
    }
}
