//! Records that clients share: what a storage is asked, what its answers come to, over one in memory that an application could have written.

use std::{sync::Arc, time::Duration};

use logux::{Action, WallTime, json::JsonObject, server::Filter, sync::State};
use logux_client::{Actions, Client, SyncError};
use logux_net::WebSocketConnector;
use logux_server::{
    Builder, Context, EditKind, EditOutcome, HandlerError, LoadOutcome, RecordList, RunningServer,
    Server, SyncMap, SyncMapData, SyncMapFilter, Write,
};
use tasks::Tasks;
use tokio::time::timeout;

#[path = "../examples/own_records/tasks.rs"]
mod tasks;

const PATIENCE: Duration = Duration::from_secs(20);

fn builder() -> Builder {
    Server::builder().auth(|_| async { Ok(true) })
}

/// A server for tasks in memory, which guests may not see.
fn of_tasks() -> Builder {
    let tasks = Arc::new(Tasks::default());
    builder()
        .sync_map("tasks", tasks.clone(), |context, id| async move {
            Ok(context.user_id() != Some("guest") && &*id != "secret")
        })
        .sync_map_filter("tasks", tasks, |context, filter| async move {
            Ok(context.user_id() != Some("guest") && filter.get("secret").is_none())
        })
}

async fn start(builder: Builder) -> RunningServer {
    builder.listen(([127, 0, 0, 1], 0).into()).await.expect("a server")
}

/// A client, and what it gets.
struct Device {
    client: Client,
    actions: Actions,
}

impl Device {
    async fn new(server: &RunningServer, user: &str) -> Self {
        let connector =
            WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
        let client = Client::builder(user).expect("a user").start(connector);
        let actions = client.actions();
        assert!(
            timeout(PATIENCE, client.reached(State::Synchronized)).await.expect("a connection")
        );
        Self { client, actions }
    }

    /// `processed`, or the reason of the undo.
    async fn act(&self, json: &str) -> String {
        let action = Action::new(json).expect("an action");
        match timeout(PATIENCE, self.client.sync(action)).await.expect("an answer") {
            Ok(()) => "processed".to_owned(),
            Err(SyncError::Undone(undo)) => undo.reason,
            Err(other) => format!("{other:?}"),
        }
    }

    async fn done(&self, json: &str) {
        assert_eq!(self.act(json).await, "processed", "{json}");
    }

    /// The next action and its time.
    async fn next(&mut self) -> (String, WallTime) {
        loop {
            let entry = timeout(PATIENCE, self.actions.next())
                .await
                .expect("an action")
                .expect("a connection");
            if !entry.action.kind().starts_with("logux/") {
                return (entry.action.as_json().to_owned(), entry.meta.time);
            }
        }
    }

    async fn sees(&mut self, json: &str) {
        assert_eq!(self.next().await.0, json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_creates_changes_and_deletes_others_are_told() {
    let server = start(of_tasks()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    bob.done(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    ada.done(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea","done":false}}"#).await;
    bob.sees(r#"{"type":"tasks/created","id":"1","fields":{"title":"Tea","done":false}}"#).await;
    bob.done(r#"{"type":"logux/subscribe","channel":"tasks/1","creating":true}"#).await;
    ada.done(r#"{"type":"tasks/change","id":"1","fields":{"done":true},"more":7}"#).await;
    bob.sees(r#"{"type":"tasks/changed","id":"1","fields":{"done":true},"more":7}"#).await;
    ada.done(r#"{"type":"tasks/delete","id":"1"}"#).await;
    bob.sees(r#"{"type":"tasks/deleted","id":"1"}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_loaded_with_the_times_of_its_fields() {
    let server = start(of_tasks()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    ada.done(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea","done":false}}"#).await;
    ada.done(r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#).await;
    bob.done(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await;
    let ((first, created), (second, changed)) = (bob.next().await, bob.next().await);
    assert_eq!(first, r#"{"type":"tasks/changed","id":"1","fields":{"title":"Tea"}}"#);
    assert_eq!(second, r#"{"type":"tasks/changed","id":"1","fields":{"done":true}}"#);
    assert!(created < changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_loads_what_matches_and_lets_pass_what_may() {
    let server = start(of_tasks()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    ada.done(r#"{"type":"tasks/create","id":"1","fields":{"list":"a"}}"#).await;
    ada.done(r#"{"type":"tasks/create","id":"2","fields":{"list":"b"}}"#).await;
    bob.done(r#"{"type":"logux/subscribe","channel":"tasks","filter":{"list":"\u0061"}}"#).await;
    bob.sees(r#"{"type":"tasks/changed","id":"1","fields":{"list":"a"}}"#).await;
    ada.done(r#"{"type":"tasks/create","id":"3","fields":{"list":"b"}}"#).await;
    ada.done(r#"{"type":"tasks/change","id":"2","fields":{"list":"b","n":1}}"#).await;
    ada.done(r#"{"type":"tasks/change","id":"2","fields":{"n":2}}"#).await;
    bob.sees(r#"{"type":"tasks/changed","id":"2","fields":{"n":2}}"#).await;
    ada.done(r#"{"type":"tasks/create","id":"4","fields":{"list":"a"}}"#).await;
    bob.sees(r#"{"type":"tasks/created","id":"4","fields":{"list":"a"}}"#).await;
    // What was loaded is subscribed to as well, and its end is told.
    ada.done(r#"{"type":"tasks/delete","id":"1"}"#).await;
    bob.sees(r#"{"type":"tasks/deleted","id":"1"}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_comes_back_is_told_of_what_is_gone() {
    let server = start(of_tasks()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    for id in ["1", "2", "3"] {
        ada.done(&format!(r#"{{"type":"tasks/create","id":"{id}","fields":{{"list":"a"}}}}"#))
            .await;
    }
    ada.done(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.done(r#"{"type":"tasks/change","id":"2","fields":{"list":"b"}}"#).await;
    let since = r#""since":{"id":"1 server:x 0","time":1}"#;
    bob.done(&format!(
        r#"{{"type":"logux/subscribe","channel":"tasks","filter":{{"list":"a"}},{since}}}"#
    ))
    .await;
    bob.sees(r#"{"type":"tasks/changed","id":"2","fields":{"list":"b"}}"#).await;
    bob.sees(r#"{"type":"tasks/changed","id":"3","fields":{"list":"a"}}"#).await;
    bob.sees(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    bob.done(&format!(r#"{{"type":"logux/subscribe","channel":"tasks/1",{since}}}"#)).await;
    bob.sees(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    assert_eq!(bob.act(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await, "notFound");
    assert_eq!(bob.act(r#"{"type":"logux/subscribe","channel":"tasks/9"}"#).await, "notFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_won_is_told_to_nobody() {
    let server = start(of_tasks()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    bob.done(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    ada.done(r#"{"type":"tasks/create","id":"1","fields":{"a":1,"b":1}}"#).await;
    ada.done(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.done(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.done(r#"{"type":"tasks/create","id":"2","fields":{}}"#).await;
    bob.sees(r#"{"type":"tasks/created","id":"1","fields":{"a":1,"b":1}}"#).await;
    bob.sees(r#"{"type":"tasks/created","id":"2","fields":{}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_is_asked_with_the_id_or_the_filter() {
    let server = start(of_tasks()).await;
    let (ada, guest) = (Device::new(&server, "ada").await, Device::new(&server, "guest").await);
    for action in [
        r#"{"type":"tasks/create","id":"1","fields":{}}"#,
        r#"{"type":"tasks/change","id":"1","fields":{}}"#,
        r#"{"type":"tasks/delete","id":"1"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks/1"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks"}"#,
    ] {
        assert_eq!(guest.act(action).await, "denied", "{action}");
    }
    for action in [
        r#"{"type":"tasks/create","id":"secret","fields":{}}"#,
        r#"{"type":"logux/subscribe","channel":"tasks/secret"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks","filter":{"secret":1}}"#,
        r#"{"type":"tasks/created","id":"1","fields":{}}"#,
        r#"{"type":"tasks/changed","id":"1","fields":{}}"#,
        r#"{"type":"tasks/deleted","id":"1"}"#,
    ] {
        assert_eq!(ada.act(action).await, "denied", "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_shape_never_reaches_the_storage() {
    let server = start(of_tasks()).await;
    let mut ada = Device::new(&server, "ada").await;
    for action in [
        r#"{"type":"tasks/create","fields":{}}"#,
        r#"{"type":"tasks/create","id":"","fields":{}}"#,
        r#"{"type":"tasks/create","id":7,"fields":{}}"#,
        r#"{"type":"tasks/create","id":"1"}"#,
        r#"{"type":"tasks/create","id":"1","fields":[]}"#,
        r#"{"type":"tasks/create","id":"1","fields":{"id":"2"}}"#,
        r#"{"type":"tasks/delete"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks","filter":7}"#,
    ] {
        assert_eq!(ada.act(action).await, "error", "{action}");
    }
    ada.done(r#"{"type":"tasks/create","id":"9","fields":{}}"#).await;
    ada.done(r#"{"type":"tasks/change","id":"9","fields":{"n":1}}"#).await;
    ada.done(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    ada.sees(r#"{"type":"tasks/changed","id":"9","fields":{"n":1}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_records_without_the_filter() {
    let server =
        start(builder().sync_map("tasks", Tasks::default(), |_, _| async { Ok(true) })).await;
    let ada = Device::new(&server, "ada").await;
    ada.done(r#"{"type":"tasks/create","id":"1","fields":{}}"#).await;
    ada.done(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await;
    assert_eq!(ada.act(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await, "wrongChannel");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filter_without_single_records() {
    let server =
        start(builder().sync_map_filter("tasks", Tasks::default(), |_, _| async { Ok(true) }))
            .await;
    let mut ada = Device::new(&server, "ada").await;
    assert_eq!(ada.act(r#"{"type":"tasks/create","id":"1","fields":{}}"#).await, "unknownType");
    assert_eq!(ada.act(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await, "wrongChannel");
    ada.done(r#"{"type":"logux/subscribe","channel":"tasks","filter":{"n":1}}"#).await;
    for n in [2, 1] {
        let action = format!(r#"{{"type":"tasks/created","id":"1","fields":{{"n":{n}}}}}"#);
        server.handle().send(Action::new(action).expect("an action"), "tasks").await;
    }
    ada.sees(r#"{"type":"tasks/created","id":"1","fields":{"n":1}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_itself_tells_the_subscribers() {
    let server = start(of_tasks()).await;
    let (ada, mut all, mut one) = (
        Device::new(&server, "ada").await,
        Device::new(&server, "all").await,
        Device::new(&server, "one").await,
    );
    ada.done(r#"{"type":"tasks/create","id":"1","fields":{}}"#).await;
    all.done(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    one.done(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await;
    let changed = r#"{"type":"tasks/changed","id":"1","fields":{"n":1}}"#;
    server.handle().process(Action::new(changed).expect("an action")).await.expect("processed");
    all.sees(changed).await;
    one.sees(changed).await;
}

/// Notes of which nobody keeps times: one fixed record, what is written is counted only. Clients may not delete.
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
            "the clocks of this test are one"
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

fn of_notes() -> Builder {
    builder()
        .sync_map("notes", Notes, |_, _| async { Ok(true) })
        .sync_map_filter("notes", Notes, |_, _| async { Ok(true) })
        .action_type("notes/delete", |action| action.access(|_| async { Ok(true) }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_without_a_time_counts_as_written_now() {
    let server = start(of_notes()).await;
    let mut ada = Device::new(&server, "ada").await;
    ada.done(r#"{"type":"logux/subscribe","channel":"notes/known"}"#).await;
    let (now, first) = (ada.next().await, ada.next().await);
    assert_eq!(now.0, r#"{"type":"notes/changed","id":"known","fields":{"text":"Tea"}}"#);
    assert_eq!(first.0, r#"{"type":"notes/changed","id":"known","fields":{"n":1}}"#);
    assert!(
        now.1.as_millis() > 1_000_000_000_000 && first.1.as_millis() < 100_000,
        "{now:?} {first:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_may_leave_out_what_is_known() {
    let server = start(of_notes()).await;
    let mut ada = Device::new(&server, "ada").await;
    ada.done(r#"{"type":"logux/subscribe","channel":"notes/old","since":{"id":"20 server:x 0","time":20}}"#).await;
    ada.sees(r#"{"type":"notes/changed","id":"old","fields":{"n":2}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_storage_undo() {
    let server = start(of_notes()).await;
    let ada = Device::new(&server, "ada").await;
    assert_eq!(ada.act(r#"{"type":"logux/subscribe","channel":"notes/hidden"}"#).await, "denied");
    assert_eq!(
        ada.act(r#"{"type":"logux/subscribe","channel":"notes/missing"}"#).await,
        "notFound"
    );
    assert_eq!(
        ada.act(r#"{"type":"notes/create","id":"1","fields":{}}"#).await,
        "unknownType",
        "not written"
    );
    assert_eq!(
        ada.act(r#"{"type":"notes/delete","id":"1"}"#).await,
        "processed",
        "by handlers of one's own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_storage_answers_decides_who_is_told() {
    let server = start(of_notes()).await;
    let (mut ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    for device in [&mut ada, &mut bob] {
        device.done(r#"{"type":"logux/subscribe","channel":"notes"}"#).await;
        let own = format!(
            r#"{{"type":"notes/changed","id":"{}","fields":{{"text":"own"}}}}"#,
            device.client.node_id().user_id().expect("a user")
        );
        device.sees(&own).await;
    }
    ada.done(r#"{"type":"notes/change","id":"ignored","fields":{"n":1}}"#).await;
    ada.done(r#"{"type":"notes/change","id":"1","fields":{"n":1},"for":"ada"}"#).await;
    ada.done(r#"{"type":"notes/change","id":"1","fields":{"n":2},"for":"bob"}"#).await;
    ada.done(r#"{"type":"notes/change","id":"later","fields":{"n":3}}"#).await;
    bob.sees(r#"{"type":"notes/changed","id":"1","fields":{"n":2},"for":"bob"}"#).await;
    let moved = r#"{"type":"notes/changed","id":"later","fields":{}}"#;
    bob.sees(moved).await;
    ada.sees(moved).await;
}
