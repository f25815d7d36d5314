//! A Logux client for tokio.
