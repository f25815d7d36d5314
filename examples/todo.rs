//! A shared to-do list: two people change it offline, and agree after they have exchanged their
//! actions.
//!
//!     cargo run --example todo

use std::error::Error;

use logux::{
    Log, MemoryStore, NodeId, WallTime,
    crdt::{Crdt, Document, DocumentOp, Path, Shared},
    log::Draft,
    replay::Timeline,
    store::{Query, Store},
};
use serde_json::json;

/// A device: a log, and the document that its actions give.
struct Device {
    name: &'static str,
    log: Log<MemoryStore, Timeline<Shared<Document>>>,
    clock: WallTime,
}

impl Device {
    fn new(name: &'static str) -> Result<Self, Box<dyn Error>> {
        let node = NodeId::new(format!("{name}:laptop:1"))?;
        let log =
            Log::with_observer(node, MemoryStore::new(), Timeline::new(Shared::new("lists", "1")))?;
        Ok(Self { name, log, clock: WallTime::from_millis(1_700_000_000_000) })
    }

    /// Adds a task at the end.
    fn add(&mut self, title: &str) -> Result<(), Box<dyn Error>> {
        self.clock = self.clock.shifted(1_000);
        let tasks = Path::of(&["tasks"])?;
        let task = json!({"title": title, "done": false});
        self.log
            .edit(self.clock, |doc, id| doc.list_op(&tasks, id, |list| list.push_op(task, id)))?;
        Ok(())
    }

    /// Sets a field of a task.
    fn set(
        &mut self,
        index: usize,
        field: &str,
        value: serde_json::Value,
    ) -> Result<(), Box<dyn Error>> {
        self.clock = self.clock.shifted(1_000);
        let item = self
            .log
            .state()
            .list("/tasks")
            .and_then(|tasks| tasks.id_at(index))
            .ok_or("no such task")?;
        let path = Path::of(&["tasks", &item.to_string(), field])?;
        self.log
            .edit(self.clock, |_, _| {
                Ok::<_, Box<dyn Error>>(DocumentOp::Set { path, value: value.into() })
            })
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    fn move_up(&mut self, from: usize) -> Result<(), Box<dyn Error>> {
        self.clock = self.clock.shifted(1_000);
        let tasks = Path::of(&["tasks"])?;
        self.log.edit(self.clock, |doc, id| {
            doc.list_op(&tasks, id, |list| list.move_op(from, 0, id))
        })?;
        Ok(())
    }

    /// Adds the actions of another device. An app uses `logux::sync` or the crate `logux-client`.
    fn receive(&mut self, other: &Self) -> Result<(), Box<dyn Error>> {
        for entry in other.log.store().page(&Query::added().oldest_first(), 1_000)?.entries {
            self.log.add(self.clock, entry.action, Draft::of(entry.meta.id, entry.meta.time))?;
        }
        Ok(())
    }

    fn print(&self) {
        println!("  {}:", self.name);
        let document = self.log.state().to_json();
        for task in document["tasks"].as_array().into_iter().flatten() {
            let mark = if task["done"] == json!(true) { 'x' } else { ' ' };
            println!("    [{mark}] {}", task["title"].as_str().unwrap_or_default());
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut ada, mut grace) = (Device::new("ada")?, Device::new("grace")?);
    ada.add("Buy milk")?;
    ada.add("Call the bank")?;
    grace.receive(&ada)?;
    println!("Both have the list of Ada:");
    grace.print();

    println!("\nBoth go offline and change the list:");
    ada.set(0, "done", json!(true))?;
    ada.add("Feed the cat")?;
    ada.add("Water the plants")?;
    grace.set(0, "title", json!("Buy oat milk"))?;
    grace.move_up(1)?;
    grace.add("Write to Alan")?;
    ada.print();
    grace.print();

    println!("\nBoth are online again. No change is lost, and both have the same list:");
    ada.receive(&grace)?;
    grace.receive(&ada)?;
    ada.print();
    grace.print();
    assert_eq!(ada.log.state(), grace.log.state());
    Ok(())
}
