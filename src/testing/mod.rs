//! For tests: what judges a store of your own, and random values of the engine's types.
//!
//! [`store_suite`] has named checks, one for each promise of [`Store`](crate::Store); [`store_model`] runs random operations over a
//! store and over a list that is searched naively, and compares them after each step; [`strategies`] makes the random values.
//! A store is right when it passes both.
//!
//! Behind the feature `testing`, which belongs under `[dev-dependencies]` only.

mod crash_store;
pub mod fuzz;
mod laws;
mod pair;
pub mod simulation;
pub mod store_model;
pub mod store_suite;
pub mod strategies;

pub use crash_store::CrashStore;
pub use laws::{
    Laws, Turn, What, action_of, assert_commutes, assert_compaction_is_invisible, assert_converges,
    assert_undo_is_inverse, laws,
};
pub use pair::{TestLog, TestPair, TestTime};
