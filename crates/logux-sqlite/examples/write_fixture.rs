//! Writes the file of a release for `tests/fixtures`, which later releases have to open:
//!
//! ```sh
//! cargo run -p logux-sqlite --example write_fixture -- crates/logux-sqlite/tests/fixtures/VERSION.db
//! ```

use logux::{
    Action, Entry, Meta, Stamp, Store, WallTime,
    action::{DocumentKey, Subprotocol},
    json::JsonObject,
    record::Write,
    server::{ArchivedEntry, DocumentCreation, DocumentVersion},
    store::Synced,
};
use logux_sqlite::Database;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("expected the path of the file")?;
    let database = Database::open(&path)?;
    let mut store = database.store();
    for (id, action, time) in [
        ("1 10:phone:tab 0", r#"{"type":"first"}"#, 1),
        ("9 server:x 1", r#"{"type":"second","z":1,"a":"\ud83d"}"#, 2),
        ("10 server:x 0", r#"{"type":"removed"}"#, 10),
    ] {
        let mut meta = Meta::new(id.parse()?).with_time(WallTime::from_millis(time));
        meta.reasons.push("kept".into());
        meta.indexes.push("things".into());
        meta.subprotocol = Some(Subprotocol::SemVer("1.2.0".into()));
        let _ = store.add(&mut Entry::new(Action::new(action)?, meta))?;
    }
    store.remove(&"10 server:x 0".parse()?)?;
    store.set_synced(Synced { sent: 4, received: 7 })?;

    let records = database.records();
    let stamp = |time, id: &str| Ok::<_, logux::action::IdError>(Stamp::new(time, id.parse()?));
    for (number, (record, fields)) in
        [("1", r#"{"title":"Tea","done":false}"#), ("2", r#"{"title":"Milk"}"#)].iter().enumerate()
    {
        let time = WallTime::from_millis(i64::try_from(number)? + 20);
        let stamp = stamp(time, &format!("{} 10:phone:tab 0", number + 20))?;
        let write = Write { stamp: &stamp, arrived: time };
        records.create("tasks", record, &JsonObject::from_json(fields)?, write)?;
    }
    let time = WallTime::from_millis(30);
    let deletion = stamp(time, "30 10:phone:tab 0")?;
    records.delete("tasks", "2", Write { stamp: &deletion, arrived: time })?;

    let (documents, key) = (database.documents(), DocumentKey::new("notes", "1"));
    let creation =
        DocumentCreation { stamp: deletion.clone(), creator: Some("10".into()), at: time };
    documents.create(&key, &creation)?;
    let snapshot = Action::new(r#"{"type":"notes/snapshot","id":"1","state":"…"}"#)?;
    let meta = Meta::new("31 server:x 0".parse()?).with_reason("notes/1");
    documents.archive(&key, &[ArchivedEntry::new(2, time, Entry::new(snapshot, meta))])?;
    let id = deletion.id().clone();
    let version = DocumentVersion { name: "Draft".into(), position: 2, at: time, by: None, id };
    documents.add_version(&key, &version)?;
    database.commit()?;
    database.checkpoint()?;
    Ok(())
}
