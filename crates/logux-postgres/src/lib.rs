//! Logux records with last write wins per field on PostgreSQL, and an inbox for what an application keeps there itself.
//!
//! ```no_run
//! use logux::{Stamp, WallTime, json::JsonObject};
//! use logux_postgres::{SyncMaps, sqlx::PgPool};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = PgPool::connect("postgres://app@localhost/app").await?;
//! logux_postgres::migrate(&pool).await?;
//! let maps = SyncMaps::new(pool);
//! let stamp = Stamp::new(WallTime::from_millis(1), "1 10:phone:tab 0".parse()?);
//! maps.change("tasks", "1", &JsonObject::from_json(r#"{"title":"Tea"}"#)?, &stamp).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Read [`SyncMaps`], [`Inbox`], and [`migrate`] for the tables; the `README.md` of this crate describes them column by column. With the feature
//! `postgres` of `logux-server`, [`SyncMaps::collection`] is a storage for its `Builder::sync_map`.
//!
//! The driver is [`sqlx`], re-exported: pools, TLS and transactions are its own.
#![forbid(unsafe_code)]

mod error;
mod inbox;
mod rows;
mod schema;
mod sync_maps;

pub use error::{Failure, PostgresError};
pub use inbox::Inbox;
pub use logux::record::{Changed, Field, Record, Write};
pub use schema::{STEPS, migrate};
pub use sqlx;
pub use sync_maps::{Collection, SyncMaps};
