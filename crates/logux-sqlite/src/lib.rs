//! A Logux store on SQLite, and durable records with last write wins beside it.
//!
//! ```
//! use logux::{Log, NodeId, WallTime, Action, log::Draft};
//! use logux_sqlite::Database;
//!
//! let database = Database::open_in_memory()?; // or Database::open("logux.db")
//! let mut log = Log::new(NodeId::new("server:x")?, database.store())?;
//! log.add(WallTime::from_millis(1), Action::new(r#"{"type":"a"}"#)?, Draft::reason("r"))?;
//! log.commit()?; // only now it is safe
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read [`Database`] (one file, one connection, one open transaction), [`SqliteStore`] (the log in it), [`SyncMaps`] (records in
//! it). What is written through either of them is durable, together, after a commit of either. The `README.md` of this crate
//! describes the file byte by byte. [`Inbox`] is for databases of your own.
#![forbid(unsafe_code)]

mod database;
mod entries;
mod error;
mod inbox;
mod lock;
mod maps;
mod schema;
mod store;

pub use database::{Database, Durability};
pub use error::{Failure, SqliteError};
pub use inbox::Inbox;
pub use logux::record::{Changed, Field, Record, Write};
pub use maps::{Collection, SyncMaps};
/// The driver, for the connections of an [`Inbox`]: a program can have one version of it only.
pub use rusqlite;
pub use store::SqliteStore;
