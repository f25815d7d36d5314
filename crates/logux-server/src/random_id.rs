//! Random ids for servers.

/// Eight characters that no other server is likely to have.
pub(crate) fn random_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // The standard library's keys are random for each process, which is all that telling servers apart needs.
    format!("{:08x}", RandomState::new().hash_one(std::process::id()) >> 32)
}
