//! One message: decoding does not panic, and a round trip does not change it.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(text) = fuzz::text(data) {
        fuzz::decoder(text);
    }
});
