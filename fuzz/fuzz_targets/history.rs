//! Histories of actions in two orders, for each type that merges.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::history(data));
