//! The end of subscriptions and connections by the application.

use std::sync::Arc;

use super::{Hub, NO_FILTER};
use crate::{
    action::{
        Action, ActionId,
        logux::{SUBSCRIBE, UNDO, UNSUBSCRIBE, UNSUBSCRIBED},
    },
    json::Json,
    log::LogError,
    server::{Output, Recipients, SessionId, UndoRequest, pending_request::PendingRequest},
    store::Store,
    time::WallTime,
};

/// The reason of the undo of a subscription that the application has ended.
const REVOKED: &str = "revoked";

/// A subscription that is in effect.
struct ActiveSubscription {
    session: SessionId,
    channel: Arc<str>,
    filter: Arc<str>,
}

/// Returns the action of a subscription. The log forgets it when its answer is confirmed, but
/// clients recognize the undo of a subscription by its action.
fn subscribe_action(channel: &str, filter: &str) -> Option<Action> {
    let channel = Json::from_value(channel).ok()?;
    let filter = if filter == NO_FILTER { String::new() } else { format!(r#","filter":{filter}"#) };
    Action::new(format!(r#"{{"type":"{SUBSCRIBE}","channel":{channel}{filter}}}"#)).ok()
}

impl<S: Store> Hub<S> {
    /// Closes the connections of clients.
    pub(super) fn disconnect(&mut self, clients: &Recipients, is_final: bool) {
        for session in self.sessions_of(clients) {
            self.pending.push_back(Output::Disconnect { session, is_final });
        }
    }

    /// Ends the subscriptions of clients to a channel, also those that are not answered yet. The
    /// clients receive undos of them.
    pub(super) fn revoke(
        &mut self,
        now: WallTime,
        clients: &Recipients,
        channel: &str,
    ) -> Result<(), LogError<S::Error>> {
        for session in self.sessions_of(clients) {
            let Some(client) = self.sessions.get(session).map(|session| session.node.clone())
            else {
                continue;
            };
            let to_channel = |request: &&PendingRequest| {
                request.entry.action.str_field("channel").as_deref() == Some(channel)
            };
            let unanswered = self.requests.subscriptions_of(client.client_id()).filter(to_channel);
            let mut ids: Vec<_> = unanswered.map(|request| request.entry.meta.id.clone()).collect();
            // A subscription is in effect when it is approved, before it is answered.
            let active =
                self.sessions.get(session).map(|session| session.subscriptions_to(channel));
            for id in active.into_iter().flatten() {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            for id in ids {
                self.undo(now, UndoRequest::new(id, REVOKED))?;
            }
            for channel in self.own_subscriptions(session, channel) {
                self.unsubscribe_session(session, &channel, NO_FILTER);
            }
        }
        Ok(())
    }

    /// Returns the channels that the application itself has subscribed a client to, among a channel
    /// and those below it: a list of records comes with such subscriptions to the records.
    fn own_subscriptions(&self, session: SessionId, channel: &str) -> Vec<Arc<str>> {
        let Some(session) = self.sessions.get(session) else { return Vec::new() };
        let is_below = |other: &str| {
            other.strip_prefix(channel).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let channels = session.channels.iter().filter(|other| is_below(other));
        channels.filter(|other| session.subscriptions_to(other).is_empty()).cloned().collect()
    }

    /// Carries out what an action of the application means for subscriptions. Returns `true` if
    /// the action needs no delivery, because an undo of a subscription was sent.
    pub(super) fn apply_own(
        &mut self,
        now: WallTime,
        action: &Action,
        author: Option<&ActionId>,
        to: &Recipients,
    ) -> Result<bool, LogError<S::Error>> {
        match action.kind() {
            UNDO => {
                let Some(id) = action.str_field("id").and_then(|id| id.parse().ok()) else {
                    return Ok(false);
                };
                let is_subscription = self.active_subscription(&id).is_some()
                    || self
                        .requests
                        .subscriptions_of(id.node().client_id())
                        .any(|request| request.entry.meta.id == id);
                if is_subscription {
                    let reason = action.str_field("reason").unwrap_or(REVOKED.into()).into_owned();
                    self.undo(now, UndoRequest::new(id, reason).to(to.clone()))?;
                }
                Ok(is_subscription)
            }
            UNSUBSCRIBE | UNSUBSCRIBED => {
                let mut clients = to.clone();
                // The reference unsubscribes the author of the action.
                clients.nodes.extend(author.map(|id| id.node().as_str().into()));
                if let Some(channel) = action.str_field("channel") {
                    self.revoke(now, &clients, &channel)?;
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Ends a subscription if it is in effect, and returns its action. The caller sends its undo.
    pub(super) fn end_active(
        &mut self,
        id: &ActionId,
    ) -> Result<Option<Action>, LogError<S::Error>> {
        let Some(ActiveSubscription { session, channel, filter }) = self.active_subscription(id)
        else {
            return Ok(None);
        };
        self.unsubscribe_session(session, &channel, &filter);
        // The answer may not be confirmed; the subscription must not be processed again.
        if let Some(session) = self.sessions.get_mut(session)
            && session.unconfirmed.remove(id)
        {
            self.inbox.stop_waiting(&mut self.log, id)?;
        }
        Ok(subscribe_action(&channel, &filter))
    }

    fn active_subscription(&self, id: &ActionId) -> Option<ActiveSubscription> {
        let session = self.sessions.of_client(id.node().client_id())?;
        let (channel, filter) = self.sessions.get(session)?.subscription(id)?;
        Some(ActiveSubscription { session, channel, filter })
    }

    /// Returns the connections of clients, each once.
    fn sessions_of(&self, to: &Recipients) -> Vec<SessionId> {
        let sessions = &self.sessions;
        let nodes = to.nodes.iter().filter_map(|node| {
            let node = crate::action::NodeId::new(node.clone()).ok()?;
            sessions.of_node(&node)
        });
        let clients = to.clients.iter().filter_map(|client| sessions.of_client(client));
        let users = to.users.iter().flat_map(|user| sessions.of_user(user).iter().copied());
        let channels = to.channels.iter().flat_map(|channel| self.channels.subscribers(channel));
        let is_excluded = |id: &SessionId| {
            sessions.get(*id).is_some_and(|session| {
                let client = session.node.client_id();
                to.exclude_clients.iter().any(|excluded| **excluded == *client)
            })
        };
        let groups = users.chain(channels).filter(|id| !is_excluded(id));
        let mut found: Vec<_> = nodes.chain(clients).chain(groups).collect();
        found.sort_unstable_by_key(|id| id.0);
        found.dedup();
        found
    }
}
