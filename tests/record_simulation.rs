//! Records that devices create, change and delete, online and offline, with failures of everything:
//! in the end, all devices show what the database has.
//!
//! `LOGUX_CASES` is the number of seeds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use logux::{
    Action, ActionId, Entry, WallTime,
    crdt::{Records, SyncMaps},
    json::JsonObject,
    log::Draft,
    record::{Changed, Field, RecordState},
    server::Recipients,
    testing::server_simulation::{self as simulation, Application, assert_survives},
};
use serde_json::{Value, json};

/// An application with the rules of the included storages of sync maps.
#[derive(Clone, Debug)]
struct Tasks;

#[derive(Clone, Debug, Default)]
struct Task {
    state: RecordState,
    fields: BTreeMap<String, Field>,
}

impl Task {
    fn write(&mut self, fields: &JsonObject, entry: &Entry) {
        let known: Vec<Field> =
            fields.iter().filter_map(|(key, _)| self.fields.get(key)).cloned().collect();
        let Changed { won, stamp, .. } =
            Changed::decide(&self.state, &known, fields, &entry.meta.stamp());
        for (key, value) in won.iter() {
            let (value, stamp) = (value.clone(), stamp.clone());
            let field = Field { key: key.into(), value, stamp, arrived: WallTime::default() };
            self.fields.insert(key.to_owned(), field);
        }
        self.state.touched = self.state.touched.take().max(Some(stamp));
    }

    /// Returns the fields by the times of their writes.
    fn by_time(&self) -> BTreeMap<WallTime, JsonObject> {
        let mut by_time = BTreeMap::<_, JsonObject>::new();
        for (key, field) in &self.fields {
            let fields = by_time.entry(field.stamp.time()).or_default();
            fields.set(key.as_str(), field.value.clone());
        }
        by_time
    }
}

fn action(verb: &str, id: &str, fields: &JsonObject) -> Action {
    let fields = fields.to_json();
    Action::new(format!(r#"{{"type":"tasks/{verb}","id":"{id}","fields":{fields}}}"#)).unwrap()
}

fn at(time: WallTime) -> Draft {
    Draft { time: Some(time), ..Draft::default() }
}

impl Application for Tasks {
    type Data = BTreeMap<String, Task>;
    type Reducer = SyncMaps;

    fn reducer(&self) -> SyncMaps {
        SyncMaps::new("tasks")
    }

    fn channels(&self) -> Vec<String> {
        vec!["tasks".into()]
    }

    fn act(&self, state: &Records, _: &ActionId, number: u64) -> Option<Action> {
        let id = ["1", "2"][usize::try_from(number % 2).unwrap()];
        let key = ["a", "b", "c"][usize::try_from(number / 2 % 3).unwrap()];
        let verb = match (state.get(id).is_some(), number / 6 % 4) {
            (_, 0) => "delete",
            (true, _) => "change",
            (false, _) => "create",
        };
        let mut fields = JsonObject::default();
        fields.set(key, json!(number / 24 % 1_000).into());
        Some(action(verb, id, &fields))
    }

    fn resend(&self, _: &Entry) -> Recipients {
        Recipients::default()
    }

    fn process(&self, data: &mut Self::Data, entry: &Entry) -> Result<(), String> {
        let id = entry.action.str_field("id").unwrap();
        let fields = JsonObject::from_json(entry.action.field("fields").unwrap()).unwrap();
        let task = data.entry(id.into_owned()).or_default();
        let stamp = entry.meta.stamp();
        match entry.action.kind() {
            "tasks/delete" => {
                let deletion = task.state.delete(&stamp);
                if task.state.deleted.as_ref() != Some(&deletion.stamp) {
                    task.state.deleted = Some(deletion.stamp);
                    task.fields.clear();
                }
                return Ok(());
            }
            "tasks/create" => task.state.check_create(&stamp),
            _ => task.state.check_change(&stamp),
        }
        .map_err(|_| "notFound".to_owned())?;
        task.write(&fields, entry);
        Ok(())
    }

    fn send(&self, data: &Self::Data, entry: &Entry) -> Vec<(Action, Draft, Recipients)> {
        let id = entry.action.str_field("id").unwrap();
        let Some(task) = data.get(&*id) else { return Vec::new() };
        let mut to = Recipients::channel("tasks");
        if entry.action.kind() == "tasks/delete" {
            let deletion = task.state.deleted.iter().find(|stamp| stamp.id() == &entry.meta.id);
            let send =
                |time| (action("deleted", &id, &JsonObject::default()), at(time), to.clone());
            return deletion.map(|stamp| send(stamp.time())).into_iter().collect();
        }
        let own = |field: &&Field| field.stamp.id() == &entry.meta.id;
        let Some(time) = task.fields.values().find(own).map(|field| field.stamp.time()) else {
            return Vec::new();
        };
        let mut won = JsonObject::default();
        for field in task.fields.values().filter(own) {
            won.set(field.key.clone(), field.value.clone());
        }
        if time == entry.meta.time {
            to.exclude_clients.push(entry.meta.id.node().client_id().into());
        }
        vec![(action("changed", &id, &won), at(time), to)]
    }

    fn load(&self, data: &Self::Data, _: &str) -> Vec<(Action, Draft)> {
        let mut loaded = Vec::new();
        for (id, task) in data {
            let deletion = task.state.deleted.iter().map(|stamp| stamp.time());
            loaded.extend(
                deletion.map(|time| (action("deleted", id, &JsonObject::default()), at(time))),
            );
            let by_time = task.by_time().into_iter();
            loaded.extend(by_time.map(|(time, fields)| (action("changed", id, &fields), at(time))));
        }
        loaded
    }

    fn stored(&self, data: &Self::Data) -> String {
        let existing = data.iter().filter(|(_, task)| task.state.exists());
        let tasks: Vec<Value> = existing
            .map(|(id, task)| {
                let fields = task.fields.values();
                let mut all: serde_json::Map<_, _> =
                    fields.map(|field| (field.key.to_string(), field.value.to_value())).collect();
                all.insert("id".into(), json!(id));
                all.into()
            })
            .collect();
        json!(tasks).to_string()
    }

    fn shown(&self, records: &Records) -> String {
        let tasks: Vec<_> = records.ids().filter_map(|id| records.get(id)).collect();
        json!(tasks).to_string()
    }
}

#[test]
fn all_devices_show_the_records_of_the_database() {
    let cases = std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok());
    assert_survives(&Tasks, &simulation::Config::default(), 0..cases.unwrap_or(400), 40);
}
