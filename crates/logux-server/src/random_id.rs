//! Random server ids.

/// Returns eight random hexadecimal digits.
pub(crate) fn random_id() -> String {
    format!("{:08x}", rand::random::<u32>())
}
