//! From when on a subscription needs actions: those before are in the log.
//!
//! A position is the answer to an earlier subscription, and the `added` number of the server up to
//! which the client has received everything of the channel. While the server sends the channel,
//! this is the number that the whole exchange has reached, so the store only has a mark: a client
//! that is killed knows its position at the next start.

use core::ops::ControlFlow;

use super::{Client, Subscription};
use crate::{
    action::{Action, ActionError, ActionId, Stamp, logux::Since},
    json::Json,
    log::{Draft, Log, LogError, Observer},
    store::Store,
    time::Now,
};

/// The prefix of the names of the store's values with the positions of subscriptions.
const SINCE: &str = "since ";
/// The prefix of the names of the marks of subscriptions whose channels the server sends.
const LIVE: &str = "live ";

/// Records that the server has answered a subscription, and sends everything from now on.
pub(super) fn begin<S: Store, O: Observer>(
    log: &mut Log<S, O>,
    subscription: &Subscription,
    answer: &Stamp,
) -> Result<(), LogError<S::Error>> {
    let key = subscription.key();
    write(log, &key, &since(answer, None))?;
    log.set_value(&format!("{LIVE}{key}"), Some(""))
}

/// Records that a subscription has everything that was received so far, and nothing later.
pub(super) fn pause<S: Store, O: Observer>(
    log: &mut Log<S, O>,
    key: &str,
) -> Result<(), LogError<S::Error>> {
    let is_live = log.value(&format!("{LIVE}{key}"))?.is_some();
    if is_live {
        if let Some(position) = read(log, key)? {
            write(log, key, &position)?;
        }
        end(log, key)?;
    }
    Ok(())
}

/// Does the same for all subscriptions, because their connection has ended: at a new connection,
/// before anything is received in it, and at the start. Returns whether there were any.
pub(super) fn pause_all<S: Store, O: Observer>(
    log: &mut Log<S, O>,
) -> Result<bool, LogError<S::Error>> {
    let mut live = Vec::new();
    log.walk_values(LIVE, |name, _| {
        live.extend(name.strip_prefix(LIVE).map(str::to_owned));
        ControlFlow::Continue(())
    })?;
    live.iter().try_for_each(|key| pause(log, key))?;
    Ok(!live.is_empty())
}

/// Records that the server does not send a channel any more. Since when is not known.
pub(super) fn end<S: Store, O: Observer>(
    log: &mut Log<S, O>,
    key: &str,
) -> Result<(), LogError<S::Error>> {
    log.set_value(&format!("{LIVE}{key}"), None)
}

/// Returns the position of a subscription.
fn read<S: Store, O: Observer>(
    log: &Log<S, O>,
    key: &str,
) -> Result<Option<Since>, LogError<S::Error>> {
    let saved = log.value(&format!("{SINCE}{key}"))?.and_then(|json| Json::new(json).ok());
    let Some(mut position) = saved.and_then(|json| json.parse::<Since>().ok()) else {
        return Ok(None);
    };
    if log.value(&format!("{LIVE}{key}"))?.is_some() {
        position.added = Some(log.synced()?.received);
    }
    Ok(Some(position))
}

fn write<S: Store, O: Observer>(
    log: &mut Log<S, O>,
    key: &str,
    position: &Since,
) -> Result<(), LogError<S::Error>> {
    // An id and numbers can always be written.
    let json = Json::from_value(position).ok();
    log.set_value(&format!("{SINCE}{key}"), json.as_ref().map(Json::as_str))
}

/// Returns the field `since` of a subscription that needs what follows an answer, or an `added`
/// number.
pub(super) fn since(answer: &Stamp, added: Option<u64>) -> Since {
    Since { id: answer.id().to_string(), time: answer.time().as_millis(), added }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Subscribes as a [`sync`](Self::sync) of `logux/subscribe` does, to what the log keeps: an
    /// open document, or open records. The store remembers up to where the server has sent it, also
    /// if the client is killed, so that the next start receives only what is new. Keep the timeline
    /// open while the subscription lasts.
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
        let own = Since { id: self.next_id(now.wall).to_string(), time: 0, added: None };
        self.subscribe_since(now, subscription, Some(own))
    }

    fn subscribe_since(
        &mut self,
        now: Now,
        subscription: &Subscription,
        otherwise: Option<Since>,
    ) -> Result<Result<ActionId, ActionError>, LogError<S::Error>> {
        let position = read(&self.log, &subscription.key())?.or(otherwise);
        let action = subscription.subscribe().and_then(|action| match position {
            Some(position) => with_since(action.as_json(), &position),
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
pub(super) fn with_since(json: &str, position: &Since) -> Result<Action, ActionError> {
    let position = Json::from_value(position).map_err(ActionError::Write)?;
    let fields = json.strip_suffix('}').unwrap_or(json);
    Action::new(format!("{fields},\"since\":{position}}}"))
}
