//! A kanban board: cards that two people move at the same time end in one place, and undo takes back only one's own move.
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

/// One person at the board. All cards are in one list; the column is a field of the card, so a card is in one column always.
struct Person {
    log: Log<MemoryStore, Timeline<Shared<Document>>>,
    undo: UndoManager,
    ms: u64,
}

impl Person {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let timeline = Timeline::new(Shared::new("board"));
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
        self.edit(|board, id| Ok(board.in_list(&cards, |list| list.push(card, id))?))?;
        self.pause();
        Ok(())
    }

    /// Moves a card to a column, and to the top of it. Two actions, one step for undo.
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
        self.edit(|_, _| Ok(DocumentOp::Set { path, value: json!(column).into() }))?;
        self.edit(|board, id| Ok(board.in_list(&cards, |list| list.shift(index, 0, id))?))?;
        self.pause();
        Ok(())
    }

    fn pause(&mut self) {
        self.ms += 60_000;
    }

    fn take_back(&mut self) -> Result<(), Box<dyn Error>> {
        let now =
            Now::from_millis(1_700_000_000_000 + i64::try_from(self.ms).unwrap_or(0), self.ms);
        self.undo.undo(now.wall, &mut self.log)?;
        self.pause();
        Ok(())
    }

    fn hear(&mut self, other: &Self) -> Result<(), Box<dyn Error>> {
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
    grace.hear(&ada)?;
    grace.ms = ada.ms;
    println!("The board:");
    ada.print();

    ada.move_card(0, "doing")?;
    grace.move_card(0, "done")?;
    grace.move_card(2, "doing")?;
    ada.hear(&grace)?;
    grace.hear(&ada)?;
    println!(
        "\nAda moved Engine to doing; Grace moved it to done at the same time, and Docs to doing:"
    );
    ada.print();
    assert_eq!(ada.log.state(), grace.log.state());

    grace.take_back()?;
    grace.take_back()?;
    ada.hear(&grace)?;
    println!("\nGrace takes back both of her moves. The one of Ada is in effect again:");
    ada.print();
    assert_eq!(ada.log.state(), grace.log.state());
    Ok(())
}
