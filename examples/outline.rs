//! An outline in a document, which two people rearrange at once: moves that would make a cycle
//! together, and a deleted branch that comes back by undo. `cargo run --example outline`

use std::error::Error;

use logux::{
    Log, MemoryStore, NodeId, Now, Store,
    crdt::{Crdt, Document, ElementId, Path, Shared, Tree, TreeError, TreeOp},
    log::Draft,
    replay::{Timeline, UndoManager},
    store::Query,
};
use serde_json::{Value, json};

type Done = Result<(), Box<dyn Error>>;

/// One person with a copy of the outline.
struct Person {
    name: &'static str,
    log: Log<MemoryStore, Timeline<Shared<Document>>>,
    undo: UndoManager,
    ms: u64,
}

impl Person {
    fn new(name: &'static str) -> Result<Self, Box<dyn Error>> {
        let node = NodeId::new(format!("{name}:laptop:1"))?;
        let timeline = Timeline::new(Shared::new("outlines", "1"));
        let log = Log::with_observer(node, MemoryStore::new(), timeline)?;
        Ok(Self { name, log, undo: UndoManager::default(), ms: 0 })
    }

    fn now(&mut self) -> Now {
        self.ms += 60_000;
        Now::from_millis(1_700_000_000_000 + i64::try_from(self.ms).unwrap_or(0), self.ms)
    }

    fn edit(&mut self, make: impl FnOnce(&Tree, &NodeId) -> Result<TreeOp, TreeError>) -> Done {
        let (now, nodes) = (self.now(), Path::of(&["nodes"])?);
        let entry = self.log.edit_together(now.wall, |edit| {
            let author = edit.author().clone();
            edit.extend(edit.state().tree_ops(&nodes, &author, |tree| make(tree, &author))?);
            Ok::<_, TreeError>(())
        })?;
        self.undo.done(now.mono, entry.meta.id);
        Ok(())
    }

    /// Returns the nodes in depth-first order: `{"id":…,"parent":…,"depth":…,"value":…}`.
    fn nodes(&self) -> Vec<Value> {
        self.log.state().to_json()["nodes"].as_array().cloned().unwrap_or_default()
    }

    /// Finds a node by its title.
    fn find(&self, title: &str) -> Result<ElementId, Box<dyn Error>> {
        let found = self.nodes().into_iter().find(|node| node["value"]["title"] == title);
        let node = found.ok_or(format!("no node {title}"))?;
        Ok(node["id"].as_str().unwrap_or_default().parse()?)
    }

    /// Adds a node as the last child of another one, or at the top level.
    fn add(&mut self, title: &str, parent: Option<&str>) -> Done {
        let parent = parent.map(|parent| self.find(parent)).transpose()?;
        self.edit(|tree, author| {
            let end = tree.child_count(parent.as_ref());
            tree.create_op(parent.as_ref(), end, json!({"title": title}), author)
        })
    }

    /// Makes a node the first child of another one.
    fn move_below(&mut self, title: &str, parent: &str) -> Done {
        let (node, parent) = (self.find(title)?, self.find(parent)?);
        self.edit(|tree, author| tree.move_op(&node, Some(&parent), 0, author))
    }

    fn rename(&mut self, title: &str, new: &str) -> Done {
        let (node, path) = (self.find(title)?, "/title".parse()?);
        self.edit(|tree, author| tree.set_op(&node, path, json!(new), author))
    }

    fn remove(&mut self, title: &str) -> Done {
        let node = self.find(title)?;
        self.edit(|tree, author| tree.remove_op(&node, author))
    }

    fn undo(&mut self) -> Done {
        let now = self.now();
        self.undo.undo(now.wall, &mut self.log)?;
        Ok(())
    }

    /// Adds the actions of the other. An app uses `logux::sync` or the crate `logux-client`.
    fn receive(&mut self, other: &Self) -> Done {
        let now = self.now();
        for entry in other.log.store().page(&Query::added().oldest_first(), 1_000)?.entries {
            self.log.add(now.wall, entry.action, Draft::of(entry.meta.id, entry.meta.time))?;
        }
        Ok(())
    }

    fn print(&self) {
        println!("  {}:", self.name);
        for node in self.nodes() {
            let depth = node["depth"].as_u64().map_or(0, |depth| depth as usize);
            let title = node["value"]["title"].as_str().unwrap_or("?");
            println!("    {}{title}", "  ".repeat(depth));
        }
    }
}

fn meet(ada: &mut Person, grace: &mut Person) -> Done {
    ada.receive(grace)?;
    grace.receive(ada)?;
    (ada.ms, grace.ms) = (ada.ms.max(grace.ms), ada.ms.max(grace.ms));
    assert_eq!(ada.log.state(), grace.log.state(), "both have the same outline");
    Ok(())
}

fn main() -> Done {
    let (mut ada, mut grace) = (Person::new("ada")?, Person::new("grace")?);
    ada.add("Engine", None)?;
    ada.add("Mill", Some("Engine"))?;
    ada.add("Compiler", None)?;
    ada.add("Parser", Some("Compiler"))?;
    meet(&mut ada, &mut grace)?;
    println!("Both have the outline of Ada:");
    grace.print();

    println!("\nAda moves Engine below Compiler. Grace moves Compiler below Engine:");
    ada.move_below("Engine", "Compiler")?;
    grace.move_below("Compiler", "Engine")?;
    ada.print();
    grace.print();
    meet(&mut ada, &mut grace)?;
    println!("\nTogether this would be a cycle, so the later move has no effect:");
    ada.print();

    ada.remove("Engine")?;
    grace.rename("Mill", "Mill and store")?;
    meet(&mut ada, &mut grace)?;
    println!("\nAda removes Engine, while Grace renames a node below it:");
    grace.print();

    ada.undo()?;
    meet(&mut ada, &mut grace)?;
    println!("\nAda undoes it. Everything below is there again, with the new name:");
    grace.print();
    Ok(())
}
