//! A relay of actions that are encrypted by `encryptActions` of the official client.

use logux::{
    ActionId,
    server::{FateKey, Recipients, Retention},
    store::Store,
};
use serde::Deserialize;

use crate::{error::HandlerError, server::builder::Builder};

/// The action `{"type":"0/clean","id":ID}`.
#[derive(Deserialize)]
struct Clean {
    id: String,
}

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Forwards encrypted actions to the other clients of their user, and keeps them for clients
    /// that are not connected. The server learns who sends actions, when, and their size, but not
    /// their content.
    ///
    /// `encryptActions` of the official client creates these actions, of the type `0`. They are
    /// kept until a client sends `0/clean`, as it does when its own log no longer needs them, but
    /// at most the last `max_kept` of each user, and temporarily up to a quarter more. Several
    /// people can share actions through one user id that all of them log in with. Clients without a
    /// user have no access.
    ///
    /// ```
    /// # use logux_server::Server;
    /// let server = Server::builder()
    ///     .auth(|login| async move { Ok(login.token.is_some()) })
    ///     .relay(10_000);
    /// ```
    #[must_use]
    pub fn relay(self, max_kept: u64) -> Self {
        self.action_type("0", move |action| {
            action
                .access(|context| async move { Ok(context.user_id().is_some()) })
                .resend(|context| async move {
                    Ok(Recipients::user(context.user_id().unwrap_or_default()))
                })
                // What an encrypted action depends on is not known, and only clients without a user
                // are denied.
                .fate_key(|_| FateKey::none())
                .keep_by(move |_, meta| {
                    Some(Retention::last(&format!("relay/{}", meta.id.node().user_id()?), max_kept))
                })
        })
        .action_type("0/clean", |action| {
            action
                .typed::<Clean>()
                .access(|context, clean| async move {
                    let id: ActionId = clean.id.parse()?;
                    Ok(context.user_id().is_some() && context.user_id() == id.node().user_id())
                })
                .process(|context, clean| async move {
                    context.server().forget(clean.id.parse()?).await;
                    Ok::<_, HandlerError>(())
                })
                .fate_key(|_| FateKey::none())
        })
    }
}
