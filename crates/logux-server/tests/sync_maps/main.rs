//! Sync maps: the calls of a storage and the effects of its results, with a storage in memory as an
//! application could have written it.

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

const TIMEOUT: Duration = Duration::from_secs(20);

fn builder() -> Builder {
    Server::builder().auth(|_| async { Ok(true) })
}

/// Builds a server for tasks in memory, which guests cannot access.
fn tasks_server() -> Builder {
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

/// A client with its received actions.
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
        assert!(timeout(TIMEOUT, client.reached(State::Synchronized)).await.expect("a connection"));
        Self { client, actions }
    }

    /// Sends an action. Returns `processed`, or the reason of the undo.
    async fn sync(&self, json: &str) -> String {
        let action = Action::new(json).expect("an action");
        match timeout(TIMEOUT, self.client.sync(action)).await.expect("an answer") {
            Ok(()) => "processed".to_owned(),
            Err(SyncError::Undone(undo)) => undo.reason,
            Err(other) => format!("{other:?}"),
        }
    }

    /// Sends an action, and asserts that it is processed.
    async fn process(&self, json: &str) {
        assert_eq!(self.sync(json).await, "processed", "{json}");
    }

    /// Returns the next action and its time.
    async fn next(&mut self) -> (String, WallTime) {
        loop {
            let entry = timeout(TIMEOUT, self.actions.next())
                .await
                .expect("an action")
                .expect("a connection");
            if !entry.action.kind().starts_with("logux/") {
                return (entry.action.as_json().to_owned(), entry.meta.time);
            }
        }
    }

    async fn expect_action(&mut self, json: &str) {
        assert_eq!(self.next().await.0, json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_receive_creations_changes_and_deletions() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea","done":false}}"#).await;
    bob.expect_action(r#"{"type":"tasks/created","id":"1","fields":{"title":"Tea","done":false}}"#)
        .await;
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks/1","creating":true}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"1","fields":{"done":true},"more":7}"#).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"1","fields":{"done":true},"more":7}"#).await;
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_loaded_with_the_times_of_its_fields() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea","done":false}}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#).await;
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await;
    let ((first, created), (second, changed)) = (bob.next().await, bob.next().await);
    assert_eq!(first, r#"{"type":"tasks/changed","id":"1","fields":{"title":"Tea"}}"#);
    assert_eq!(second, r#"{"type":"tasks/changed","id":"1","fields":{"done":true}}"#);
    assert!(created < changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_loads_matching_records_and_passes_matching_actions() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"list":"a"}}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"2","fields":{"list":"b"}}"#).await;
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks","filter":{"list":"\u0061"}}"#).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"1","fields":{"list":"a"}}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"3","fields":{"list":"b"}}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"2","fields":{"list":"b","n":1}}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"2","fields":{"n":2}}"#).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"2","fields":{"n":2}}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"4","fields":{"list":"a"}}"#).await;
    bob.expect_action(r#"{"type":"tasks/created","id":"4","fields":{"list":"a"}}"#).await;
    // Loaded records are subscribed to as well, so their deletion is received.
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returning_subscriber_receives_deletions() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    for id in ["1", "2", "3"] {
        ada.process(&format!(r#"{{"type":"tasks/create","id":"{id}","fields":{{"list":"a"}}}}"#))
            .await;
    }
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"2","fields":{"list":"b"}}"#).await;
    let since = r#""since":{"id":"1 server:x 0","time":1}"#;
    bob.process(&format!(
        r#"{{"type":"logux/subscribe","channel":"tasks","filter":{{"list":"a"}},{since}}}"#
    ))
    .await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"2","fields":{"list":"b"}}"#).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"3","fields":{"list":"a"}}"#).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    bob.process(&format!(r#"{{"type":"logux/subscribe","channel":"tasks/1",{since}}}"#)).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    assert_eq!(bob.sync(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await, "notFound");
    assert_eq!(bob.sync(r#"{"type":"logux/subscribe","channel":"tasks/9"}"#).await, "notFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_creation_creates_a_record() {
    let server = start(tasks_server()).await;
    let mut ada = Device::new(&server, "ada").await;
    let change = r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#;
    assert_eq!(ada.sync(change).await, "notFound");
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea"}}"#).await;
    ada.process(r#"{"type":"logux/subscribe","channel":"tasks/1","creating":true}"#).await;
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    assert_eq!(ada.sync(change).await, "notFound");
    // The filters of the official client would list the record again.
    ada.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    assert_eq!(ada.sync(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await, "notFound");
}

/// Tasks whose reading takes until the gate is opened.
#[derive(Clone)]
struct SlowTasks {
    tasks: Arc<Tasks>,
    gate: Arc<tokio::sync::Semaphore>,
    /// The number of records that were read.
    read: tokio::sync::watch::Sender<usize>,
}

impl SlowTasks {
    async fn pass_gate<T>(&self, read: T) -> T {
        self.read.send_modify(|count| *count += 1);
        self.gate.acquire().await.expect("a gate").forget();
        read
    }
}

impl SyncMap for SlowTasks {
    async fn load(
        &self,
        context: &Context,
        id: &str,
        since: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        Ok(self.pass_gate(self.tasks.load(context, id, since).await?).await)
    }

    async fn create(
        &self,
        context: &Context,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        self.tasks.create(context, id, fields, write).await
    }

    async fn change(
        &self,
        context: &Context,
        id: &str,
        fields: &JsonObject,
        write: Write<'_>,
    ) -> Result<EditOutcome, HandlerError> {
        let changed = self.tasks.change(context, id, fields, write).await?;
        Ok(self.pass_gate(changed).await)
    }

    async fn delete(
        &self,
        context: &Context,
        id: &str,
        write: Write<'_>,
    ) -> Result<Option<WallTime>, HandlerError> {
        self.tasks.delete(context, id, write).await
    }
}

impl SyncMapFilter for SlowTasks {
    async fn list(
        &self,
        context: &Context,
        filter: &JsonObject,
        since: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        Ok(self.pass_gate(self.tasks.list(context, filter, since).await?).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_after_a_deletion_that_was_read_before_it() {
    let (read, mut was_read) = tokio::sync::watch::channel(0);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let slow = SlowTasks { tasks: Arc::default(), gate: gate.clone(), read };
    let server = start(
        builder().sync_map("tasks", slow.clone(), |_, _| async { Ok(true) }).sync_map_filter(
            "tasks",
            slow,
            |_, _| async { Ok(true) },
        ),
    )
    .await;
    let ada = Device::new(&server, "ada").await;
    for (n, begin) in [
        r#"{"type":"logux/subscribe","channel":"tasks"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks/1"}"#,
        r#"{"type":"tasks/change","id":"2","fields":{"n":2}}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let create = format!(r#"{{"type":"tasks/create","id":"{n}","fields":{{"n":1}}}}"#);
        ada.process(&create).await;
        let mut bob = Device::new(&server, &format!("bob{n}")).await;
        if n == 2 {
            let watching = r#"{"type":"logux/subscribe","channel":"tasks/2","creating":true}"#;
            bob.process(watching).await;
        }
        let author = if n == 2 { ada.client.clone() } else { bob.client.clone() };
        let action = Action::new(begin).expect("an action");
        let sending = tokio::spawn(async move { author.sync(action).await });
        was_read.wait_for(|count| *count == n + 1).await.expect("a storage");
        let deleting = Device::new(&server, "grace").await;
        deleting.process(&format!(r#"{{"type":"tasks/delete","id":"{n}"}}"#)).await;
        gate.add_permits(1);
        timeout(TIMEOUT, sending).await.expect("an answer").expect("no panic").expect("processed");
        // Whatever comes before, a deletion comes last.
        let end = Action::new(r#"{"type":"end"}"#).expect("an action");
        server.handle().send(end, logux::server::Recipients::user(format!("bob{n}"))).await;
        let mut received = Vec::new();
        while received.last().is_none_or(|action: &String| !action.contains("end")) {
            received.push(bob.next().await.0);
        }
        let deleted = format!(r#"{{"type":"tasks/deleted","id":"{n}"}}"#);
        assert!(received.iter().any(|action| action.contains("changed")), "{received:?}");
        assert_eq!(received[received.len() - 2], deleted, "{begin}: {received:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_sent_with_a_time_after_the_latest_write() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea"}}"#).await;
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    let (_, created) = bob.next().await;
    ada.process(r#"{"type":"tasks/change","id":"1","fields":{"title":"Coffee"}}"#).await;
    let (_, changed) = bob.next().await;
    bob.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    let (deleted, time) = bob.next().await;
    assert_eq!(deleted, r#"{"type":"tasks/deleted","id":"1"}"#);
    assert!(created < changed && changed < time, "{created} {changed} {time}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_opened_by_any_id_with_which_it_was_created() {
    let server = start(tasks_server()).await;
    let mut ada = Device::new(&server, "ada").await;
    for id in ["2024/01", "a/b/c", "/", "a b?#%2F:id", ".."] {
        let fields = r#"{"title":"Tea"}"#;
        ada.process(&format!(r#"{{"type":"tasks/create","id":"{id}","fields":{fields}}}"#)).await;
        ada.process(&format!(r#"{{"type":"logux/subscribe","channel":"tasks/{id}"}}"#)).await;
        let loaded = format!(r#"{{"type":"tasks/changed","id":"{id}","fields":{fields}}}"#);
        ada.expect_action(&loaded).await;
    }
    let long = "x".repeat(4_097);
    let create = format!(r#"{{"type":"tasks/create","id":"{long}","fields":{{}}}}"#);
    assert_eq!(ada.sync(&create).await, "error");
    assert_eq!(ada.sync(r#"{"type":"logux/subscribe","channel":"tasks/"}"#).await, "wrongChannel");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_channels_come_before_records_with_slashes() {
    let other = |channel: logux_server::ChannelBuilder<()>| {
        channel
            .access(|_| async { Ok(true) })
            .load(|context| async move { Err::<(), _>(HandlerError::undo(context.param("id"))) })
    };
    let server = start(tasks_server().channel("tasks/:id/comments", other)).await;
    let ada = Device::new(&server, "ada").await;
    let subscribe = |id: &str| format!(r#"{{"type":"logux/subscribe","channel":"tasks/{id}"}}"#);
    assert_eq!(ada.sync(&subscribe("7/comments")).await, "7");
    assert_eq!(ada.sync(&subscribe("7/other")).await, "notFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn since_by_an_own_action_loads_everything() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    for id in ["1", "2"] {
        let create = format!(r#"{{"type":"tasks/create","id":"{id}","fields":{{"n":1}}}}"#);
        ada.process(&create).await;
    }
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    // What bob did offline is later than what he has missed.
    let since = r#""since":{"id":"8000000000000 bob:a:b 0","time":8000000000000}"#;
    bob.process(&format!(r#"{{"type":"logux/subscribe","channel":"tasks",{since}}}"#)).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"2","fields":{"n":1}}"#).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_beyond_its_bounds_is_too_large() {
    let mut config = logux_sqlite::RecordConfig::default();
    config.max_fields = 2;
    let database = logux_sqlite::Database::open_in_memory().expect("a database");
    let tasks = database.records().with_config(config).collection("tasks");
    let server = start(builder().sync_map("tasks", tasks, |_, _| async { Ok(true) })).await;
    let ada = Device::new(&server, "ada").await;
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"a":1,"b":2}}"#).await;
    let change = r#"{"type":"tasks/change","id":"1","fields":{"c":3}}"#;
    assert_eq!(ada.sync(change).await, "tooLarge");
    ada.process(r#"{"type":"tasks/change","id":"1","fields":{"a":2}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_have_not_won_are_sent_to_no_client() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"a":1,"b":1}}"#).await;
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"2","fields":{}}"#).await;
    bob.expect_action(r#"{"type":"tasks/created","id":"1","fields":{"a":1,"b":1}}"#).await;
    bob.expect_action(r#"{"type":"tasks/created","id":"2","fields":{}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_is_called_with_the_id_or_the_filter() {
    let server = start(tasks_server()).await;
    let (ada, guest) = (Device::new(&server, "ada").await, Device::new(&server, "guest").await);
    for action in [
        r#"{"type":"tasks/create","id":"1","fields":{}}"#,
        r#"{"type":"tasks/change","id":"1","fields":{}}"#,
        r#"{"type":"tasks/delete","id":"1"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks/1"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks"}"#,
    ] {
        assert_eq!(guest.sync(action).await, "denied", "{action}");
    }
    for action in [
        r#"{"type":"tasks/create","id":"secret","fields":{}}"#,
        r#"{"type":"logux/subscribe","channel":"tasks/secret"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks","filter":{"secret":1}}"#,
        r#"{"type":"tasks/created","id":"1","fields":{}}"#,
        r#"{"type":"tasks/changed","id":"1","fields":{}}"#,
        r#"{"type":"tasks/deleted","id":"1"}"#,
    ] {
        assert_eq!(ada.sync(action).await, "denied", "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_actions_never_reach_the_storage() {
    let server = start(tasks_server()).await;
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
        assert_eq!(ada.sync(action).await, "error", "{action}");
    }
    ada.process(r#"{"type":"tasks/create","id":"9","fields":{}}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"9","fields":{"n":1}}"#).await;
    ada.process(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    ada.expect_action(r#"{"type":"tasks/changed","id":"9","fields":{"n":1}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_can_be_served_without_a_filter() {
    let server =
        start(builder().sync_map("tasks", Tasks::default(), |_, _| async { Ok(true) })).await;
    let ada = Device::new(&server, "ada").await;
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{}}"#).await;
    ada.process(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await;
    assert_eq!(ada.sync(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await, "wrongChannel");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_can_be_served_without_records() {
    let server =
        start(builder().sync_map_filter("tasks", Tasks::default(), |_, _| async { Ok(true) }))
            .await;
    let mut ada = Device::new(&server, "ada").await;
    assert_eq!(ada.sync(r#"{"type":"tasks/create","id":"1","fields":{}}"#).await, "unknownType");
    assert_eq!(ada.sync(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await, "wrongChannel");
    ada.process(r#"{"type":"logux/subscribe","channel":"tasks","filter":{"n":1}}"#).await;
    for n in [2, 1] {
        let action = format!(r#"{{"type":"tasks/created","id":"1","fields":{{"n":{n}}}}}"#);
        server.handle().send(Action::new(action).expect("an action"), "tasks").await;
    }
    ada.expect_action(r#"{"type":"tasks/created","id":"1","fields":{"n":1}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_can_send_changes_to_subscribers() {
    let server = start(tasks_server()).await;
    let (ada, mut all, mut one) = (
        Device::new(&server, "ada").await,
        Device::new(&server, "all").await,
        Device::new(&server, "one").await,
    );
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{}}"#).await;
    all.process(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    one.process(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await;
    let changed = r#"{"type":"tasks/changed","id":"1","fields":{"n":1}}"#;
    server.handle().process(Action::new(changed).expect("an action")).await.expect("processed");
    all.expect_action(changed).await;
    one.expect_action(changed).await;
}

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
