#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`Schema`], what an application uses, and [`SchemaError`]; then `rules` (the schema as a graph
//! that is walked along a path), `walk` (the check of a change), `violations` (what a value
//! violates more than the former one).

#![forbid(unsafe_code)]

mod error;
mod rules;
mod schema;
mod violations;
mod walk;

pub use error::SchemaError;
pub use schema::Schema;
