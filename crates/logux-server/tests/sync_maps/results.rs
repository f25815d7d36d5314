//! The results of a storage, and their effects.

use std::sync::Arc;

use logux::{WallTime, json::JsonObject, server::Filter};
use logux_server::{
    Builder, Context, EditKind, EditOutcome, HandlerError, LoadOutcome, RecordList, SyncMap,
    SyncMapData, SyncMapFilter, Write,
};

use super::server::{Device, builder, start};

/// Notes without times: fixed records whose writes are not stored. Clients cannot delete them.
struct Notes;

impl SyncMap for Notes {
    async fn load(
        &self,
        _: &Context,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        match id {
            "known" => Ok(SyncMapData::new(id)
                .without_time("text", "Tea")?
                .changed_at("n", &1, WallTime::default())?
                .into()),
            "old" => {
                let note = SyncMapData::new(id).changed_at("n", &1, WallTime::from_millis(5))?;
                Ok(note.changed_at("n", &2, WallTime::from_millis(20))?.since(since).into())
            }
            "hidden" => Err(HandlerError::Denied),
            _ => Ok(None.into()),
        }
    }

    async fn change(
        &self,
        context: &Context,
        id: &str,
        _: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        assert!(
            (write.arrived.since(write.time())).abs() < 60_000,
            "server and client share one clock"
        );
        assert_eq!(context.meta().stamp(), *write.stamp);
        match id {
            "ignored" => Ok(false.into()),
            "later" => Ok(EditOutcome::Fields {
                won: JsonObject::default(),
                time: write.time().shifted(1),
            }),
            _ => Ok(().into()),
        }
    }

    fn edits(&self) -> &[EditKind] {
        &[EditKind::Create, EditKind::Change]
    }
}

impl SyncMapFilter for Notes {
    async fn list(
        &self,
        context: &Context,
        _: &JsonObject,
        _: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        Ok(vec![
            SyncMapData::new(context.user_id().unwrap_or_default()).without_time("text", "own")?,
        ]
        .into())
    }

    async fn actions(
        &self,
        context: &Context,
        _: &JsonObject,
    ) -> Result<Option<Filter>, HandlerError> {
        let user = context.user_id().unwrap_or_default().to_owned();
        Ok(Some(Arc::new(move |action, _| action.str_field("for").is_none_or(|to| to == user))))
    }
}

fn notes_server() -> Builder {
    builder()
        .sync_map("notes", Notes, |_, _| async { Ok(true) })
        .sync_map_filter("notes", Notes, |_, _| async { Ok(true) })
        .action_type("notes/delete", |action| action.access(|_| async { Ok(true) }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_without_a_time_counts_as_written_now() {
    let server = start(notes_server()).await;
    let mut ada = Device::new(&server, "ada").await;
    ada.process(r#"{"type":"logux/subscribe","channel":"notes/known"}"#).await;
    let (now, first) = (ada.next().await, ada.next().await);
    assert_eq!(now.0, r#"{"type":"notes/changed","id":"known","fields":{"text":"Tea"}}"#);
    assert_eq!(first.0, r#"{"type":"notes/changed","id":"known","fields":{"n":1}}"#);
    assert!(
        now.1.as_millis() > 1_000_000_000_000 && first.1.as_millis() < 100_000,
        "{now:?} {first:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_can_leave_out_known_changes() {
    let server = start(notes_server()).await;
    let mut ada = Device::new(&server, "ada").await;
    ada.process(r#"{"type":"logux/subscribe","channel":"notes/old","since":{"id":"20 server:x 0","time":20}}"#).await;
    ada.expect_action(r#"{"type":"notes/changed","id":"old","fields":{"n":2}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_storage_undo_the_action() {
    let server = start(notes_server()).await;
    let ada = Device::new(&server, "ada").await;
    assert_eq!(ada.sync(r#"{"type":"logux/subscribe","channel":"notes/hidden"}"#).await, "denied");
    assert_eq!(
        ada.sync(r#"{"type":"logux/subscribe","channel":"notes/missing"}"#).await,
        "notFound"
    );
    assert_eq!(
        ada.sync(r#"{"type":"notes/create","id":"1","fields":{}}"#).await,
        "unknownType",
        "not implemented"
    );
    assert_eq!(
        ada.sync(r#"{"type":"notes/delete","id":"1"}"#).await,
        "processed",
        "by a handler of the application"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_of_an_edit_decides_who_receives_it() {
    let server = start(notes_server()).await;
    let (mut ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    for device in [&mut ada, &mut bob] {
        device.process(r#"{"type":"logux/subscribe","channel":"notes"}"#).await;
        let own = format!(
            r#"{{"type":"notes/changed","id":"{}","fields":{{"text":"own"}}}}"#,
            device.client.node_id().user_id().expect("a user")
        );
        device.expect_action(&own).await;
    }
    ada.process(r#"{"type":"notes/change","id":"ignored","fields":{"n":1}}"#).await;
    ada.process(r#"{"type":"notes/change","id":"1","fields":{"n":1},"for":"ada"}"#).await;
    ada.process(r#"{"type":"notes/change","id":"1","fields":{"n":2},"for":"bob"}"#).await;
    ada.process(r#"{"type":"notes/change","id":"later","fields":{"n":3}}"#).await;
    bob.expect_action(r#"{"type":"notes/changed","id":"1","fields":{"n":2},"for":"bob"}"#).await;
    let moved = r#"{"type":"notes/changed","id":"later","fields":{}}"#;
    bob.expect_action(moved).await;
    ada.expect_action(moved).await;
}
