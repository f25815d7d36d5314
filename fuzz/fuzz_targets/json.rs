//! The JSON cursor, compared with `serde_json`.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(text) = fuzz::text(data) {
        fuzz::json(text);
    }
});
