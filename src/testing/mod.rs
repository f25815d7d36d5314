#![doc = include_str!("guide.md")]

mod batch;
mod crash_store;
mod failing_store;
pub mod fuzz;
mod histories;
mod laws;
mod pair;
pub mod server_simulation;
pub mod simulation;
pub mod store_model;
pub mod store_suite;
mod story;
pub mod strategies;

pub use batch::batch;
pub use crash_store::CrashStore;
pub use failing_store::{FailingStore, FailureSwitch, StoreFailure};
pub use histories::smallest;
pub use laws::{
    BrokenLaw, Laws, action_of, assert_commutes, assert_compaction_is_invisible, assert_converges,
    assert_undo_is_inverse, laws,
};
pub use pair::{TestLog, TestPair, TestTime};
