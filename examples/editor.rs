//! Two authors edit one paragraph while they are apart. Run it with `cargo run --example editor`.

use std::error::Error;

use logux::{
    Log, MemoryStore, NodeId, Now,
    crdt::{Anchor, Shared, Text, TextError, TextOp, Unit},
    log::Draft,
    replay::{Timeline, UndoManager},
    store::{Query, Store},
};

/// An editor: a log of actions, the text that they give, and the steps to undo.
struct Editor {
    name: &'static str,
    log: Log<MemoryStore, Timeline<Shared<Text>>>,
    undo: UndoManager,
    /// Seconds since the start.
    seconds: u32,
}

impl Editor {
    fn new(name: &'static str) -> Result<Self, Box<dyn Error>> {
        let node = NodeId::new(format!("{name}:laptop:1"))?;
        let timeline = Timeline::new(Shared::new("notes", "1"));
        let log = Log::with_observer(node, MemoryStore::new(), timeline)?;
        Ok(Self { name, log, undo: UndoManager::default(), seconds: 0 })
    }

    /// Returns the time, which goes on by a second.
    fn now(&mut self) -> Now {
        self.seconds += 1;
        let ms = u64::from(self.seconds) * 1_000;
        Now::from_millis(1_767_225_600_000 + i64::from(self.seconds) * 1_000, ms)
    }

    /// Makes an edit: one action, and one step to undo.
    fn edit(
        &mut self,
        make: impl FnOnce(&Text, &NodeId) -> Result<Vec<TextOp>, TextError>,
    ) -> Result<(), Box<dyn Error>> {
        let now = self.now();
        let entry = self.log.edit_together(now.wall, |edit| {
            for op in make(edit.state(), &edit.author().clone())? {
                edit.push(op);
            }
            Ok::<_, TextError>(())
        })?;
        self.undo.done(now.mono, entry.meta.id);
        Ok(())
    }

    /// Replaces a word, as an editor does after it was typed.
    fn replace(&mut self, old: &str, new: &str) -> Result<(), Box<dyn Error>> {
        self.edit(|text, author| {
            let at = text.to_string().find(old).unwrap_or(0);
            text.replace_ops(at..at + old.len(), new, Unit::Bytes, author)
        })
    }

    fn show(&self) {
        println!("{:>6}: {}", self.name, self.log.state());
    }
}

/// Each editor receives the actions of the other.
fn connect(editors: &mut [Editor; 2]) -> Result<(), Box<dyn Error>> {
    for (from, to) in [(0, 1), (1, 0)] {
        let all = editors[from].log.store().page(&Query::added().oldest_first(), 1_000)?;
        for entry in all.entries {
            let draft = Draft::of(entry.meta.id, entry.meta.time);
            let now = editors[to].now().wall;
            editors[to].log.add(now, entry.action, draft)?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut editors = [Editor::new("ada")?, Editor::new("grace")?];
    editors[0].edit(|text, author| text.set_ops("The log is ordered.", author))?;
    connect(&mut editors)?;
    // Grace's cursor is before the full stop. It stays there, whatever others type.
    let end = editors[1].log.state().len(Unit::Utf16) - 1;
    let cursor: Anchor = editors[1].log.state().anchor_before(end, Unit::Utf16)?;

    println!("Apart:");
    editors[0].replace("ordered", "totally ordered")?;
    editors[1].replace("The log", "A log of actions")?;
    editors[1].edit(|text, author| {
        let end = text.len(Unit::Utf16) - 1;
        Ok(vec![text.insert_op(end, ", the same way everywhere", Unit::Utf16, author)?])
    })?;
    editors.iter().for_each(Editor::show);

    println!("Together:");
    connect(&mut editors)?;
    editors.iter().for_each(Editor::show);
    let text = editors[1].log.state();
    let index = text.anchor_index(&cursor, Unit::Bytes).ok_or("the character has arrived")?;
    println!("Grace's cursor is before {:?}.", &text.to_string()[index..]);

    println!("Ada undoes what she did, and what Grace has typed stays:");
    let now = editors[0].now().wall;
    let Editor { log, undo, .. } = &mut editors[0];
    undo.undo(now, log)?;
    connect(&mut editors)?;
    editors.iter().for_each(Editor::show);

    println!("Who wrote what:");
    let text = editors[0].log.state();
    for part in text.authorship(Unit::Scalars) {
        let written = text.slice(part.range, Unit::Scalars);
        println!("{:>6}: {written:?}", part.author.user_id().unwrap_or_default());
    }
    Ok(())
}
