//! Received actions of a client with encryption, and their plaintexts.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(text) = fuzz::text(data) {
        fuzz::encryption(text);
    }
});
