//! Any bytes are a saved state of a type that merges, or give an error.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::saved_state(data));
