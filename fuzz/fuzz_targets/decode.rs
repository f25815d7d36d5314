//! One message: never a panic, and a round trip that changes nothing.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(text) = fuzz::text(data) {
        fuzz::decoder(text);
    }
});
