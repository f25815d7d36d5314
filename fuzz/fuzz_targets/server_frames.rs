//! The frames that a client receives from its server.
#![no_main]

use logux::testing::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(text) = fuzz::text(data) {
        fuzz::server_frames(text);
    }
});
