//! Deletions while a slow storage answers.

use std::sync::Arc;

use logux::{Action, WallTime, json::JsonObject};
use logux_server::{
    Context, EditOutcome, HandlerError, LoadOutcome, RecordList, SyncMap, SyncMapFilter, Write,
};
use tokio::time::timeout;

use super::{
    server::{Device, TIMEOUT, builder, start},
    tasks::Tasks,
    tasks_server,
};

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
