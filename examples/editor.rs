//! Two authors edit one paragraph while they are apart. Run it with `cargo run --example editor`.

use std::error::Error;

use logux::{
    Json, Log, MemoryStore, NodeId, Now,
    crdt::{Anchor, Selection, Shared, Text, TextError, TextOp, Unit},
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

    /// Selects a word and replaces it.
    fn replace(&mut self, old: &str, new: &str) -> Result<(), Box<dyn Error>> {
        let text = self.log.state();
        let start = text.to_string().find(old).unwrap_or(0);
        let end = start + old.len();
        let selection = Selection {
            anchor: text.anchor_before(start, Unit::Bytes)?,
            head: text.anchor_after(end, Unit::Bytes)?,
        };
        self.undo.select(Some(Json::from_value(&selection)?));
        self.edit(|text, author| text.replace_ops(start..end, new, Unit::Bytes, author))
    }

    /// Undoes the latest edit, and returns what is selected then.
    fn undo(&mut self) -> Result<String, Box<dyn Error>> {
        let now = self.now().wall;
        let selection = self.undo.undo(now, &mut self.log)?.and_then(|step| step.selection);
        let selection: Selection = selection.ok_or("an edit of a selection")?.parse()?;
        let text = self.log.state();
        let [start, end] = [selection.anchor, selection.head]
            .map(|anchor| text.anchor_index(&anchor, Unit::Bytes).unwrap_or(0));
        Ok(text.slice(start..end, Unit::Bytes))
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
    let selected = editors[0].undo()?;
    connect(&mut editors)?;
    editors.iter().for_each(Editor::show);
    println!("She has selected {selected:?} again.");

    println!("Who wrote what:");
    let text = editors[0].log.state();
    for part in text.authorship(Unit::Scalars) {
        let written = text.slice(part.range, Unit::Scalars);
        println!("{:>6}: {written:?}", part.author.user_id().unwrap_or_default());
    }
    Ok(())
}
