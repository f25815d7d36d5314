//! A Logux server for tokio.
