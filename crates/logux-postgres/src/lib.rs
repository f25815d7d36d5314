#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`PostgresRecords`], [`PostgresDocuments`], [`PostgresInbox`], and [`migrate`] for the tables.
//!
//! The driver is [`sqlx`], re-exported, for pools, TLS and transactions.

#![forbid(unsafe_code)]

mod document_archive;
mod document_rows;
mod documents;
mod error;
mod inbox;
mod record_pages;
mod records;
mod rows;
mod schema;
mod statements;

pub use documents::PostgresDocuments;
pub use error::PostgresError;
pub use inbox::PostgresInbox;
pub use logux::record::{Changed, Field, Record, RecordConfig, RefusedWrite, Write};
pub use records::{PostgresCollection, PostgresRecords};
pub use schema::{MIGRATIONS, migrate};
pub use sqlx;
