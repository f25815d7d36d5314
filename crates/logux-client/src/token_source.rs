//! Where a client gets its token from before each connection.

use core::{fmt, pin::Pin};
use std::sync::Arc;

/// A function that returns the token for the next connection.
#[derive(Clone)]
pub(crate) struct TokenSource(pub(crate) Arc<dyn Fn() -> TokenFuture + Send + Sync>);

/// The future of a token.
pub(crate) type TokenFuture = Pin<Box<dyn Future<Output = String> + Send>>;

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}
