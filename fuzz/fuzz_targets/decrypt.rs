//! The content of encrypted actions.
#![no_main]

// The files of the client are included here, without its connections.
#[path = "../../crates/logux-client/src/encryption.rs"]
#[expect(dead_code, reason = "the state machine is not part of this target")]
mod encryption;
#[path = "../../crates/logux-client/src/encryption_fuzz.rs"]
mod encryption_fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| encryption_fuzz::decrypt(data));
