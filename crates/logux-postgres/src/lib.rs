#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`PostgresRecords`], [`PostgresInbox`], and [`migrate`] for the tables.
//!
//! The driver is [`sqlx`], re-exported, for pools, TLS and transactions.

#![forbid(unsafe_code)]

mod error;
mod inbox;
mod record_pages;
mod records;
mod rows;
mod schema;
mod statements;

pub use error::PostgresError;
pub use inbox::PostgresInbox;
pub use logux::record::{Changed, Field, Record, RecordConfig, RefusedWrite, Write};
pub use records::{PostgresCollection, PostgresRecords};
pub use schema::{MIGRATIONS, migrate};
pub use sqlx;
