//! The JSON Web Key Sets that `logux serve --jwks` fetches.
#![no_main]

// The program has no library: its files are included here.
#[path = "../../crates/logux-cli/src/jwt/keys.rs"]
#[expect(dead_code, reason = "keys from files are not fuzzed")]
mod keys;
#[path = "../../crates/logux-cli/src/jwt/key_set_fuzz.rs"]
mod key_set_fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| key_set_fuzz::key_set(data));
