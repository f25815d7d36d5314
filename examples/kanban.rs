//! A kanban board: cards that two people move at the same time end in one column, and undo affects
//! only a person's own moves.
//!
//!     cargo run --example kanban

use std::error::Error;

use logux::{
    ActionId, Log, MemoryStore, NodeId, Now, Store,
    crdt::{Document, DocumentOp, Path, Shared},
    log::Draft,
    replay::{Timeline, UndoManager},
    store::Query,
};
use serde_json::json;

const COLUMNS: [&str; 3] = ["to do", "doing", "done"];

/// One person at the board. All cards are in one list. The column is a field of the card, so a card
/// is always in exactly one column.
struct Person {
    log: Log<MemoryStore, Timeline<Shared<Document>>>,
    undo: UndoManager,
    ms: u64,
}

impl Person {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let timeline = Timeline::new(Shared::new("boards", "1"));
        let log = Log::with_observer(
            NodeId::new(format!("{name}:browser:1"))?,
            MemoryStore::new(),
            timeline,
        )?;
        Ok(Self { log, undo: UndoManager::default(), ms: 0 })
    }

    fn edit(
        &mut self,
        make: impl FnOnce(&Document, &ActionId) -> Result<DocumentOp, Box<dyn Error>>,
    ) -> Result<(), String> {
        let now =
            Now::from_millis(1_700_000_000_000 + i64::try_from(self.ms).unwrap_or(0), self.ms);
        let entry = self.log.edit(now.wall, make).map_err(|error| error.to_string())?;
        self.undo.done(now.mono, entry.meta.id);
        self.ms += 10;
        Ok(())
    }

    fn add(&mut self, title: &str) -> Result<(), Box<dyn Error>> {
        let card = json!({"title": title, "column": "to do"});
        let cards = Path::of(&["cards"])?;
        self.edit(|board, id| Ok(board.list_op(&cards, id, |list| list.push_op(card, id))?))?;
        self.pause();
        Ok(())
    }

    /// Moves a card to the top of a column. The two actions are one step of undo.
    fn move_card(&mut self, index: usize, column: &str) -> Result<(), Box<dyn Error>> {
        let card = self
            .log
            .state()
            .list("/cards")
            .and_then(|cards| cards.id_at(index))
            .ok_or("no such card")?
            .to_string();
        let path = Path::of(&["cards", &card, "column"])?;
        let cards = Path::of(&["cards"])?;
        self.edit(|board, _| Ok(board.set_op(&path, json!(column))))?;
        self.edit(|board, id| Ok(board.list_op(&cards, id, |list| list.move_op(index, 0, id))?))?;
        self.pause();
        Ok(())
    }

    fn pause(&mut self) {
        self.ms += 60_000;
    }

    fn undo_move(&mut self) -> Result<(), Box<dyn Error>> {
        let now =
            Now::from_millis(1_700_000_000_000 + i64::try_from(self.ms).unwrap_or(0), self.ms);
        self.undo.undo(now.wall, &mut self.log)?;
        self.pause();
        Ok(())
    }

    fn receive(&mut self, other: &Self) -> Result<(), Box<dyn Error>> {
        for entry in other.log.store().page(&Query::added().oldest_first(), 1_000)?.entries {
            self.log.add(
                logux::WallTime::default(),
                entry.action,
                Draft::of(entry.meta.id, entry.meta.time),
            )?;
        }
        Ok(())
    }

    fn print(&self) {
        let board = logux::crdt::Crdt::to_json(self.log.state());
        for column in COLUMNS {
            let cards = board["cards"].as_array().into_iter().flatten();
            let titles: Vec<_> = cards
                .filter(|card| card["column"] == column)
                .filter_map(|card| card["title"].as_str())
                .collect();
            println!("  {column:>5}: {}", titles.join(", "));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut ada, mut grace) = (Person::new("ada")?, Person::new("grace")?);
    for title in ["Engine", "Compiler", "Docs"] {
        ada.add(title)?;
    }
    grace.receive(&ada)?;
    grace.ms = ada.ms;
    println!("The board:");
    ada.print();

    ada.move_card(0, "doing")?;
    grace.move_card(0, "done")?;
    grace.move_card(2, "doing")?;
    ada.receive(&grace)?;
    grace.receive(&ada)?;
    println!(
        "\nAda moved Engine to doing; Grace moved it to done at the same time, and Docs to doing:"
    );
    ada.print();
    assert_eq!(ada.log.state(), grace.log.state());

    grace.undo_move()?;
    grace.undo_move()?;
    ada.receive(&grace)?;
    println!("\nGrace undoes both of her moves. The move of Ada is in effect again:");
    ada.print();
    assert_eq!(ada.log.state(), grace.log.state());
    Ok(())
}
