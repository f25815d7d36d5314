//! Collections whose records have owners, in virtual time.

use std::time::Duration;

use logux::{Action, WallTime, json::JsonObject};
use logux_server::{
    AccessRule, AccessRules, Context, HandlerError, LoadOutcome, RecordList, Server, SyncMap,
    SyncMapData, SyncMapFilter,
    testing::{TestClient, TestServer},
};
use logux_sqlite::Database;
use serde_json::{Value, json};

fn server(rules: AccessRules) -> TestServer {
    let database = Database::open_in_memory().expect("a database");
    let tasks = database.records().collection("tasks");
    let builder = Server::builder().store(database.store()).collection("tasks", tasks, rules);
    TestServer::start(builder).expect("a server")
}

fn create(id: &str, owner: &str) -> Value {
    json!({"type": "tasks/create", "id": id, "fields": {"userId": owner, "title": "Tea"}})
}

fn change(id: &str, fields: &Value) -> Value {
    json!({"type": "tasks/change", "id": id, "fields": fields})
}

fn delete(id: &str) -> Value {
    json!({"type": "tasks/delete", "id": id})
}

async fn connect(server: &TestServer, user: &str) -> TestClient {
    server.connect(user).await.expect("connected")
}

/// Queries run on threads, so results are waited for, also in virtual time.
async fn received(client: &TestClient, kind: &str) -> Action {
    let mut actions = client.client().actions();
    loop {
        let action = actions.next().await.expect("an action").action;
        if action.kind() == kind {
            return action;
        }
    }
}

fn titles(actions: &[Action]) -> Vec<String> {
    let about_records = actions.iter().filter(|action| action.kind().starts_with("tasks/"));
    about_records.map(|action| action.as_json().to_owned()).collect()
}

#[tokio::test]
async fn only_the_owner_edits_a_record() {
    let server = server(AccessRules::owner("userId"));
    let [ten, twenty] = [connect(&server, "10").await, connect(&server, "20").await];
    ten.process(create("1", "10")).await.expect("created");
    twenty.expect_denied(delete("1")).await;
    twenty.expect_denied(change("1", &json!({"title": "Spam"}))).await;
    twenty.expect_denied(change("1", &json!({"userId": "20"}))).await;
    twenty.expect_denied(create("1", "20")).await;
    twenty.expect_denied(create("2", "10")).await;
    twenty.expect_denied(json!({"type": "tasks/create", "id": "2", "fields": {}})).await;
    twenty.expect_undo("notFound", change("3", &json!({"userId": "20"}))).await;
    twenty.expect_undo("notFound", delete("3")).await;
    ten.expect_denied(change("1", &json!({"userId": "20"}))).await;
    ten.process(change("1", &json!({"title": "Coffee"}))).await.expect("changed");
    let loaded = titles(&ten.subscribe("tasks/1").await.expect("subscribed")).concat();
    assert!(loaded.contains("Coffee") && !loaded.contains("Spam"), "{loaded}");
    ten.process(delete("1")).await.expect("deleted");
    ten.process(delete("1")).await.expect("deleted by another device");
}

#[tokio::test]
async fn only_the_owner_reads_a_record() {
    let server = server(AccessRules::owner("userId"));
    let [ten, twenty] = [connect(&server, "10").await, connect(&server, "20").await];
    ten.process(create("1", "10")).await.expect("created");
    twenty.process(create("2", "20")).await.expect("created");
    twenty.expect_denied(json!({"type": "logux/subscribe", "channel": "tasks/1"})).await;
    let list = titles(&twenty.subscribe("tasks").await.expect("subscribed"));
    assert!(list.len() == 1 && list[0].contains(r#""id":"2""#), "{list:?}");
    let other = json!({"type": "logux/subscribe", "channel": "tasks", "filter": {"userId": "10"}});
    let others = twenty.process(other).await.expect("subscribed");
    assert_eq!(titles(&others), Vec::<String>::new());
    // Live actions: only the own ones, also without the field of the owner.
    let other_device = connect(&server, "20").await;
    let live = twenty.collect(async {
        ten.process(change("1", &json!({"title": "Mine"}))).await.expect("changed");
        ten.process(create("3", "10")).await.expect("created");
        ten.process(change("3", &json!({"title": "Mine"}))).await.expect("changed");
        ten.process(delete("3")).await.expect("deleted");
        let last = received(&twenty, "tasks/deleted");
        let edits = async {
            other_device.process(create("4", "20")).await.expect("created");
            other_device.process(change("4", &json!({"title": "New"}))).await.expect("changed");
            other_device.process(change("2", &json!({"title": "Old"}))).await.expect("changed");
            other_device.process(delete("2")).await.expect("deleted");
        };
        tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(last, edits) })
            .await
            .expect("in time");
    });
    let live = titles(&live.await);
    assert!(live.iter().all(|action| !action.contains("Mine")), "{live:?}");
    let expected = ["created", "changed", "changed", "deleted"];
    let is_expected = |(action, kind): (&String, &&str)| action.contains(*kind);
    assert!(live.len() == 4 && live.iter().zip(&expected).all(is_expected), "{live:?}");
}

#[tokio::test]
async fn a_reader_of_a_missing_record_does_not_see_the_record_of_another_user() {
    let server = server(AccessRules::owner("userId"));
    let [ten, twenty] = [connect(&server, "10").await, connect(&server, "20").await];
    let creating = json!({"type": "logux/subscribe", "channel": "tasks/1", "creating": true});
    twenty.process(creating.clone()).await.expect("subscribed");
    ten.process(creating).await.expect("subscribed");
    let other_device = connect(&server, "10").await;
    let seen = twenty.collect(async {
        let last = received(&ten, "tasks/changed");
        let edits = async {
            other_device.process(create("1", "10")).await.expect("created");
            other_device.process(change("1", &json!({"title": "Mine"}))).await.expect("changed");
        };
        tokio::join!(last, edits);
    });
    assert_eq!(titles(&seen.await), Vec::<String>::new());
}

#[tokio::test]
async fn a_list_since_a_time_has_only_own_records() {
    let server = server(AccessRules::owner("userId"));
    let [ten, twenty] = [connect(&server, "10").await, connect(&server, "20").await];
    let time = server.now().as_millis();
    ten.process(create("1", "10")).await.expect("created");
    twenty.process(create("2", "20")).await.expect("created");
    let list = twenty.process(json!({
        "type": "logux/subscribe",
        "channel": "tasks",
        "since": {"id": format!("{time} server:a 0"), "time": time},
    }));
    let list = titles(&list.await.expect("subscribed"));
    assert!(list.len() == 1 && list[0].contains(r#""id":"2""#), "{list:?}");
}

/// A collection of three pages with one record each.
struct Pages;

impl SyncMap for Pages {
    async fn load(
        &self,
        _: &Context,
        _: &str,
        _: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        Ok(LoadOutcome::Missing)
    }
}

impl SyncMapFilter for Pages {
    async fn list(
        &self,
        _: &Context,
        _: &JsonObject,
        _: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        panic!("the list is not read in pages")
    }

    async fn list_page(
        &self,
        _: &Context,
        _: &JsonObject,
        _: Option<WallTime>,
        after: Option<&str>,
    ) -> Result<RecordList, HandlerError> {
        let id = after.map_or("a", |after| if after == "a" { "b" } else { "c" });
        let mut page = RecordList::from(vec![SyncMapData::new(id).without_time("userId", "10")?]);
        page.next = (id != "c").then(|| id.into());
        Ok(page)
    }
}

#[tokio::test]
async fn a_list_with_rules_is_read_in_pages() {
    for rules in [AccessRules::default(), AccessRules::owner("userId")] {
        let builder = Server::builder().collection("tasks", Pages, rules);
        let server = TestServer::start(builder).expect("a server");
        let ten = connect(&server, "10").await;
        assert_eq!(titles(&ten.subscribe("tasks").await.expect("subscribed")).len(), 3);
    }
}

#[tokio::test]
async fn each_of_the_four_has_a_rule() {
    let owner = AccessRule::Owner { field: "userId".into() };
    let server = server(AccessRules {
        read: AccessRule::Everyone,
        create: AccessRule::Everyone,
        change: owner,
        delete: AccessRule::Nobody,
        ..AccessRules::default()
    });
    let [ten, twenty] = [connect(&server, "10").await, connect(&server, "20").await];
    ten.process(create("1", "10")).await.expect("created");
    twenty.subscribe("tasks/1").await.expect("everyone reads");
    twenty.expect_denied(create("1", "20")).await;
    twenty.expect_denied(change("1", &json!({"title": "Spam"}))).await;
    ten.process(change("1", &json!({"title": "Mine"}))).await.expect("changed");
    ten.expect_denied(delete("1")).await;
    let edit = Action::new(create("1", "10").to_string().as_str()).expect("an action");
    server.handle().process(edit).await.expect("the server needs no permission");
}

/// Members read and change tasks; the owner decides who is a member.
fn team_rules() -> AccessRules {
    let owner = AccessRule::owner("userId");
    let members = |roles: &[&str]| AccessRule::members_with("team", roles.iter().copied());
    AccessRules {
        read: AccessRule::Any(vec![owner.clone(), members(&[])]),
        create: owner.clone(),
        change: AccessRule::Any(vec![owner.clone(), members(&["editor"])]),
        delete: owner,
        manage: None,
    }
}

#[tokio::test]
async fn the_owner_decides_who_is_a_member() {
    let server = server(team_rules());
    let [ten, twenty] = [connect(&server, "10").await, connect(&server, "20").await];
    ten.process(create("1", "10")).await.expect("created");
    twenty.expect_denied(json!({"type": "logux/subscribe", "channel": "tasks/1"})).await;
    twenty.expect_denied(change("1", &json!({"team": {"20": "editor"}}))).await;
    ten.process(change("1", &json!({"team": {"20": "reader"}}))).await.expect("invited");
    twenty.subscribe("tasks/1").await.expect("a reader");
    twenty.expect_denied(change("1", &json!({"title": "Spam"}))).await;
    ten.process(change("1", &json!({"team": {"20": "editor"}}))).await.expect("promoted");
    twenty.process(change("1", &json!({"title": "Coffee"}))).await.expect("an editor");
    twenty.expect_denied(change("1", &json!({"team": {"20": "editor", "30": "editor"}}))).await;
    twenty.expect_denied(change("1", &json!({"title": "Mine", "userId": "20"}))).await;
    twenty.expect_denied(delete("1")).await;
    // What stays as it is may be written.
    let same = json!({"title": "Milk", "team": {"20": "editor"}, "userId": "10"});
    twenty.process(change("1", &same)).await.expect("changed");
    ten.expect_denied(change("1", &json!({"userId": "20"}))).await;
    twenty.expect_denied(create("2", "10")).await;
}

#[tokio::test]
async fn records_enter_and_leave_lists_with_their_members() {
    let server = server(team_rules());
    let [ten, twenty] = [connect(&server, "10").await, connect(&server, "20").await];
    ten.process(create("1", "10")).await.expect("created");
    ten.process(create("2", "10")).await.expect("created");
    let list = titles(&twenty.subscribe("tasks").await.expect("subscribed"));
    assert_eq!(list, Vec::<String>::new());

    let live = twenty.collect(async {
        let entered = received(&twenty, "tasks/changed");
        let invited = ten.process(change("1", &json!({"team": ["20"]})));
        let (_, invited) = tokio::join!(entered, invited);
        invited.expect("invited");
        ten.process(change("1", &json!({"title": "Coffee"}))).await.expect("changed");
        ten.process(change("2", &json!({"title": "Secret"}))).await.expect("changed");
        let left = received(&twenty, "tasks/deleted");
        let removed = ten.process(change("1", &json!({"team": ["30"], "title": "Secret"})));
        let (left, removed) = tokio::join!(left, removed);
        removed.expect("removed");
        assert_eq!(left.as_json(), r#"{"type":"tasks/deleted","id":"1","reason":"revoked"}"#);
        ten.process(change("1", &json!({"title": "Secret"}))).await.expect("changed");
        // Later actions of the server come after the others.
        let end = received(&twenty, "tasks/created");
        let own = twenty.process(create("3", "20"));
        let other_device = connect(&server, "20").await;
        let (_, own, last) = tokio::join!(end, own, other_device.process(create("4", "20")));
        own.expect("created");
        last.expect("created");
    });
    let live = titles(&live.await);
    let about_first: Vec<_> = live.iter().filter(|it| it.contains(r#""id":"1""#)).collect();
    let all = about_first.iter().map(|it| it.as_str()).collect::<String>();
    // All fields of the record that was there before.
    assert!(all.contains("Tea") && all.contains("Coffee"), "{live:?}");
    assert!(live.iter().all(|it| !it.contains("Secret")), "{live:?}");
    let list = titles(&twenty.subscribe("tasks").await.expect("subscribed"));
    assert!(list.iter().all(|it| !it.contains(r#""id":"1""#)), "{list:?}");
}
