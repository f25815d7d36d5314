//! A relay of actions that it cannot read: `encryptActions` of the official client.

use logux::{
    ActionId,
    server::{Recipients, Retention},
    store::Store,
};
use serde::Deserialize;

use crate::{error::HandlerError, server::builder::Builder};

/// `{"type":"0/clean","id":ID}`.
#[derive(Deserialize)]
struct Clean {
    id: String,
}

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Passes encrypted actions (`0`, as `encryptActions` of the official client makes them) on to the other devices of their user, and keeps them for those
    /// that are away, until a device takes them back (`0/clean`), as it does when its own log does not need them any more. The last `kept` of each
    /// user, and for a while up to a quarter more. The server learns who sends when and how much, not what.
    ///
    /// A room for several people is a user id that all of them log in with. Clients without a user may send nothing.
    ///
    /// ```
    /// # use logux_server::Server;
    /// let server = Server::builder().auth(|login| async move { Ok(login.token.is_some()) }).relay(10_000);
    /// ```
    #[must_use]
    pub fn relay(self, kept: u64) -> Self {
        self.action_type("0", move |action| {
            action
                .access(|context| async move { Ok(context.user_id().is_some()) })
                .resend(|context| async move {
                    Ok(Recipients::user(context.user_id().unwrap_or_default()))
                })
                .keep_by(move |_, meta| {
                    Some(Retention::last(&format!("relay/{}", meta.id.node().user_id()?), kept))
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
        })
    }
}
