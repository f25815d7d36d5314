//! Any history of operations on a tree gives one tree in all orders.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::tree(data));
