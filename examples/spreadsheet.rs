//! A spreadsheet: two people write into one cell, an action comes late, one is refused; time travel shows what was and what is.
//!
//!     cargo run --example spreadsheet

use std::{collections::BTreeMap, error::Error};

use logux::{
    Action, Entry, Meta, Stamp,
    replay::{Timeline, typed_reducer},
};
use serde::Deserialize;

/// What can be done. The order matters: `Fill` copies what the cell has at that time.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Edit {
    #[serde(rename = "cell/set")]
    Set { cell: String, value: i64 },
    #[serde(rename = "cell/fill")]
    Fill { from: String, to: String },
}

type Sheet = BTreeMap<String, i64>;

fn apply(sheet: &mut Sheet, edit: &Edit) {
    match edit {
        Edit::Set { cell, value } => drop(sheet.insert(cell.clone(), *value)),
        Edit::Fill { from, to } => {
            if let Some(value) = sheet.get(from).copied() {
                sheet.insert(to.clone(), value);
            }
        }
    }
}

/// An action as it comes from the network: with its id, which says when and by whom it was done.
fn action(id: &str, json: &str) -> Result<Entry, Box<dyn Error>> {
    Ok(Entry::new(Action::new(json)?, Meta::new(id.parse()?)))
}

fn show(what: &str, sheet: &Sheet) {
    println!("{what:<62} {sheet:?}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut sheet = Timeline::new(typed_reducer(&["cell/set", "cell/fill"], Sheet::new(), apply));

    sheet.add(&action("1000 ada:laptop:1 0", r#"{"type":"cell/set","cell":"A1","value":10}"#)?);
    let copied = action("3000 ada:laptop:1 0", r#"{"type":"cell/fill","from":"A1","to":"B1"}"#)?;
    sheet.add(&copied);
    show("Ada writes 10 into A1, and copies it to B1:", sheet.state());

    // Grace was on a train. Her action is older than the copy, so the copy copies her value.
    let late = action("2000 grace:phone:1 0", r#"{"type":"cell/set","cell":"A1","value":20}"#)?;
    sheet.add(&late);
    show("Grace's 20 comes late, and goes to its place in history:", sheet.state());

    let before: Stamp = action("1999 x 0", r#"{"type":"x"}"#)?.meta.stamp();
    show("The sheet as it was one millisecond before:", &sheet.state_at(&before));

    // The server refuses what Grace did.
    let undo = format!(r#"{{"type":"logux/undo","id":"{}","reason":"denied"}}"#, late.meta.id);
    sheet.add(&action("4000 server:1 0", &undo)?);
    show("The server refuses it, and it never was:", sheet.state());

    // An undo that comes before its action works as well.
    sheet.add(&action(
        "6000 server:1 0",
        r#"{"type":"logux/undo","id":"5000 alan:pc:1 0","reason":"denied"}"#,
    )?);
    sheet.add(&action("5000 alan:pc:1 0", r#"{"type":"cell/set","cell":"B1","value":-1}"#)?);
    show("Alan's -1 comes after its own undo, and has no effect:", sheet.state());

    println!("\nHistory, oldest first:");
    for (stamp, in_effect) in sheet.history() {
        println!(
            "  {:<22} {}",
            stamp.id().to_string(),
            if in_effect { "in effect" } else { "taken back" }
        );
    }
    Ok(())
}
