//! Responses and control requests of a back end, cut at any position.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(text) = fuzz::text(data) {
        fuzz::backend(text);
    }
});
