//! From when on a subscription needs actions: those before are in the log.

use super::{Client, Subscription};
use crate::{
    action::{Action, ActionError, ActionId, Stamp, logux::Since},
    json::Json,
    log::{Draft, Log, LogError, Observer},
    store::Store,
    time::Now,
};

/// Returns the name of the store's value with the stamp of the last answer to a subscription.
fn name(subscription: &Subscription) -> String {
    format!("since {}", subscription.key())
}

pub(super) fn write<S: Store, O: Observer>(
    log: &mut Log<S, O>,
    subscription: &Subscription,
    answer: &Stamp,
) -> Result<(), LogError<S::Error>> {
    // An id and a number can always be written.
    let json = Json::from_value(&since(answer)).ok();
    log.set_value(&name(subscription), json.as_ref().map(Json::as_str))
}

/// Returns the field `since` of a subscription that needs what follows an answer.
pub(super) fn since(answer: &Stamp) -> Since {
    Since { id: answer.id().to_string(), time: answer.time().as_millis() }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Subscribes as a [`sync`](Self::sync) of `logux/subscribe` does, to what the log keeps: an
    /// open document, or open records. The store remembers up to which answer the server has sent
    /// it, so that the next start receives only what is new. Keep the timeline open while the
    /// subscription lasts.
    ///
    /// # Errors
    /// If the store fails; the inner result, if the filter cannot be written.
    pub fn subscribe_kept(
        &mut self,
        now: Now,
        subscription: &Subscription,
    ) -> Result<Result<ActionId, ActionError>, LogError<S::Error>> {
        self.subscribe_since(now, subscription, None)
    }

    /// As [`subscribe_kept`](Self::subscribe_kept), for a list of records of which the log has some
    /// from other subscriptions: if the store does not remember an answer, the server is asked for
    /// everything and also for the deletions, by a `since` with an own id.
    ///
    /// # Errors
    /// As [`subscribe_kept`](Self::subscribe_kept).
    pub fn subscribe_known(
        &mut self,
        now: Now,
        subscription: &Subscription,
    ) -> Result<Result<ActionId, ActionError>, LogError<S::Error>> {
        let own = Since { id: self.next_id(now.wall).to_string(), time: 0 };
        self.subscribe_since(now, subscription, Json::from_value(&own).ok())
    }

    fn subscribe_since(
        &mut self,
        now: Now,
        subscription: &Subscription,
        otherwise: Option<Json>,
    ) -> Result<Result<ActionId, ActionError>, LogError<S::Error>> {
        let since = self.log.value(&name(subscription))?.and_then(|json| Json::new(json).ok());
        let since = since.or(otherwise);
        let action = subscription.subscribe().and_then(|action| match since {
            Some(since) => with_since(action.as_json(), &since),
            None => Ok(action),
        });
        let action = match action {
            Ok(action) => action,
            Err(error) => return Ok(Err(error)),
        };
        let id = self.sync_with(now, action, Draft::default())?;
        self.subscriptions.keep(subscription);
        Ok(Ok(id))
    }
}

/// Returns the action whose JSON is that of a `logux/subscribe` without `since`.
pub(super) fn with_since(json: &str, since: &Json) -> Result<Action, ActionError> {
    let fields = json.strip_suffix('}').unwrap_or(json);
    Action::new(format!("{fields},\"since\":{since}}}"))
}
