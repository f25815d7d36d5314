//! A spreadsheet: two people set one cell, an action arrives late, one is refused. Time travel
//! gives the present and past states.
//!
//!     cargo run --example spreadsheet

use std::{collections::BTreeMap, error::Error};

use logux::{
    Action, Entry, Meta, Stamp,
    replay::{Timeline, typed_reducer},
};
use serde::Deserialize;
use serde_json::json;

/// The actions. Their order matters: `Fill` copies the value that the cell has at that time.
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

/// An action as received from the network, with an id that has its time and its author.
fn action(id: &str, json: &str) -> Result<Entry, Box<dyn Error>> {
    Ok(Entry::new(Action::new(json)?, Meta::new(id.parse()?)))
}

fn show(title: &str, sheet: &Sheet) {
    println!("{title:<62} {sheet:?}");
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut sheet = Timeline::new(typed_reducer(&["cell/set", "cell/fill"], Sheet::new(), apply));

    sheet.add(&action("1000 ada:laptop:1 0", r#"{"type":"cell/set","cell":"A1","value":10}"#)?);
    let copied = action("3000 ada:laptop:1 0", r#"{"type":"cell/fill","from":"A1","to":"B1"}"#)?;
    sheet.add(&copied);
    show("Ada sets A1 to 10, and copies it to B1:", sheet.state());

    // Grace was offline. Her action is older than the copy, so her value is copied.
    let late = action("2000 grace:phone:1 0", r#"{"type":"cell/set","cell":"A1","value":20}"#)?;
    sheet.add(&late);
    show("Grace's 20 arrives late, and is applied in its order:", sheet.state());

    let before: Stamp = action("1999 x 0", r#"{"type":"x"}"#)?.meta.stamp();
    show("The sheet one millisecond before Grace's action:", &sheet.state_at(&before));

    // The server refuses the action of Grace.
    let undo = json!({"type": "logux/undo", "id": late.meta.id, "reason": "denied"});
    sheet.add(&action("4000 server:1 0", &undo.to_string())?);
    show("The server refuses it, and it is undone:", sheet.state());

    // An undo can arrive before its action.
    sheet.add(&action(
        "6000 server:1 0",
        r#"{"type":"logux/undo","id":"5000 alan:pc:1 0","reason":"denied"}"#,
    )?);
    sheet.add(&action("5000 alan:pc:1 0", r#"{"type":"cell/set","cell":"B1","value":-1}"#)?);
    show("Alan's -1 arrives after its undo, and has no effect:", sheet.state());

    println!("\nHistory, oldest first:");
    for (stamp, in_effect) in sheet.history() {
        println!(
            "  {:<22} {}",
            stamp.id().to_string(),
            if in_effect { "in effect" } else { "undone" }
        );
    }
    Ok(())
}
