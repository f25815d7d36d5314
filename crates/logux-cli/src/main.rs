//! The logux program.
fn main() {}
