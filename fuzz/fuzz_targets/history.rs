//! Histories of actions, in two orders, for every type that merges.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::history(data));
