#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`Database`] (one file, one open transaction, one connection for reading beside it),
//! [`SqliteStore`] (the log in it), [`SqliteRecords`] (the records in it), [`SqliteDocuments`]
//! (what a server keeps of documents beside the log), and [`SqliteInbox`] for databases of the
//! application. A commit of any of the first four makes the writes of all of them durable.
//! [`back_up`] copies a file that is in use.

#![forbid(unsafe_code)]

mod backup;
mod committed_reader;
mod database;
mod document_archive;
mod documents;
mod entries;
mod error;
mod inbox;
mod lock;
mod record_pages;
mod record_rows;
mod records;
mod schema;
mod source;
mod store;

pub use backup::{Backup, back_up};
pub use database::Database;
pub use documents::SqliteDocuments;
pub use error::SqliteError;
pub use inbox::SqliteInbox;
pub use logux::record::{Changed, Field, Record, RecordConfig, RefusedWrite, Write};
pub use records::{SqliteCollection, SqliteRecords};
/// The SQLite driver, for the connections of a [`SqliteInbox`]. A program can link only one version
/// of it.
pub use rusqlite;
pub use source::Durability;
pub use store::SqliteStore;
