//! The user of a client, and the token.

use logux::{Entry, action::IdError};

use super::Client;
use crate::{SyncError, builder::random_node, driver::Commands};

/// A client cannot change its user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeUserError {
    /// The user id is not valid.
    #[error(transparent)]
    UserId(#[from] IdError),
    /// The secret of an encrypted client is one of its user: log out, and start another client.
    #[error("an encrypted client keeps its user: log out, and start a client with another secret")]
    Encrypted,
    /// The client has ended, or its store fails.
    #[error(transparent)]
    Client(SyncError),
}

impl From<SyncError> for ChangeUserError {
    fn from(error: SyncError) -> Self {
        Self::Client(error)
    }
}

impl Client {
    /// Sets the token for the next connection, in place of
    /// [`Builder::token_by`](crate::Builder::token_by) too. If the server has refused the client,
    /// it connects now.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended.
    pub fn set_token(&self, token: impl Into<String>) -> Result<(), SyncError> {
        self.command(|driver| driver.set_token(token.into()))
    }

    /// Changes the user, and connects with this token, or the next one of
    /// [`Builder::token_by`](crate::Builder::token_by): after a login, or from an anonymous user to
    /// a named one. `user` is a user id, or a whole node id `user:client:tab`.
    ///
    /// Everything of the former user is removed from the store. Open documents stay open, empty,
    /// and load what the new user may see. Returns the actions of the former user that the server
    /// has not confirmed: to drop them, or to add them again for the new user.
    ///
    /// ```no_run
    /// # use logux_client::{ChangeUserError, Client};
    /// # async fn run(client: Client, token: String) -> Result<(), ChangeUserError> {
    /// for entry in client.change_user("10", Some(token)).await? {
    ///     client.sync(entry.action).kept().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ChangeUserError`]. The user is the former one if the id is not valid, or the client is
    /// encrypted.
    pub async fn change_user(
        &self,
        user: &str,
        token: Option<String>,
    ) -> Result<Vec<Entry>, ChangeUserError> {
        let (node, _) = random_node(user)?;
        if self.command(|driver| driver.is_encrypted())? {
            return Err(ChangeUserError::Encrypted);
        }
        Ok(self.change(|driver| driver.change_user(node, token)).await?)
    }

    /// Ends the client, and removes everything of the user from the store. Returns the actions that
    /// the server has not confirmed.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended, or the store fails.
    pub async fn log_out(self) -> Result<Vec<Entry>, SyncError> {
        let clean = |driver: &mut dyn Commands| {
            let left = driver.clean();
            // Other handles add nothing that the next user of the store would send.
            driver.close("the user has logged out");
            left
        };
        let left = self.change(clean).await?;
        self.closed().await;
        Ok(left)
    }
}
