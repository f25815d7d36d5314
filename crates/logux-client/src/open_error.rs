//! The error of a client's store when it is opened.

use logux::action::IdError;

/// A client cannot use a store: see [`Builder::store`](crate::Builder::store). The store is
/// unchanged. The application may go on in memory, or with another store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError<E: std::error::Error + 'static> {
    /// The store has the data of another user.
    #[error(
        "the store has the data of the user {found}, expected {expected}: \
         choose another store, or remove the data of {found}"
    )]
    OtherUser {
        /// The user of the builder.
        expected: String,
        /// The user whose data the store has.
        found: String,
    },
    /// The store cannot be opened, or has failed.
    #[error(transparent)]
    Store(E),
    /// The client id in the store is not one.
    #[error("the client id in the store is damaged: {0}")]
    ClientId(#[from] IdError),
}
