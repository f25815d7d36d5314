//! A request to the application that has not ended.

use std::sync::Arc;

use super::{FateKey, QueueName, Recipients, RequestKind, SessionId, replay::Replay};
use crate::{action::NodeId, store::Entry};

/// A request to the application that is waiting or running.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) subject: Subject,
    pub(super) entry: Arc<Entry>,
    /// The node that sent it. It may act for another tab of its client. After a restart, the
    /// author.
    pub(super) sender: NodeId,
    /// Who receives the action when it is approved, and its undo.
    pub(super) recipients: Recipients,
    /// Whether the action was approved: its recipients have received it.
    pub(super) is_approved: bool,
    /// The queue of its client that it belongs to.
    pub(super) queue: QueueName,
    /// The key of the requests of the queue that fail together.
    pub(super) fate_key: FateKey,
}

/// What a request is about, with the data of that kind.
#[derive(Debug)]
pub(super) enum Subject {
    /// An action of a client. It is in the inbox.
    Action,
    /// The same, after the application has replaced the action.
    ReplacedAction,
    /// An action of the application, with the ticket of its [`AddAction`](super::AddAction).
    OwnAction { ticket: Option<u64> },
    /// A subscription. It is in the inbox.
    Subscription(Subscription),
}

/// The channel and the filter of a subscription, which identify it among those of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SubscriptionKey {
    pub(super) channel: Arc<str>,
    /// The JSON of the filter.
    pub(super) filter: Arc<str>,
}

/// The data of a request that is a subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    /// `None` if the `logux/subscribe` has no channel.
    pub(super) key: Option<SubscriptionKey>,
    /// The connection that it is for.
    pub(super) session: Option<SessionId>,
    /// Whether the client has ended it already.
    pub(super) is_cancelled: bool,
    /// The number of actions that were sent as the state of the channel.
    pub(super) loaded: usize,
    /// The progress of sending the kept actions of the channel, if some are left.
    pub(super) replay: Option<Box<Replay>>,
    /// Whether all kept actions were sent. A handler that is called again does not send them
    /// again.
    pub(super) is_replayed: bool,
}

impl PendingRequest {
    pub(super) const fn kind(&self) -> RequestKind {
        match self.subject {
            Subject::Action | Subject::ReplacedAction => RequestKind::Action,
            Subject::OwnAction { .. } => RequestKind::OwnAction,
            Subject::Subscription(_) => RequestKind::Subscription,
        }
    }

    pub(super) const fn subscription(&self) -> Option<&Subscription> {
        match &self.subject {
            Subject::Subscription(subscription) => Some(subscription),
            Subject::Action | Subject::ReplacedAction | Subject::OwnAction { .. } => None,
        }
    }

    pub(super) const fn subscription_mut(&mut self) -> Option<&mut Subscription> {
        match &mut self.subject {
            Subject::Subscription(subscription) => Some(subscription),
            Subject::Action | Subject::ReplacedAction | Subject::OwnAction { .. } => None,
        }
    }

    /// Replaces the action.
    pub(super) fn replace(&mut self, entry: Arc<Entry>) {
        self.entry = entry;
        if matches!(self.subject, Subject::Action) {
            self.subject = Subject::ReplacedAction;
        }
    }

    /// Whether the action is another one than its client has.
    pub(super) const fn is_replaced(&self) -> bool {
        matches!(self.subject, Subject::ReplacedAction)
    }

    /// The key of a subscription with its node.
    pub(super) fn subscription_key(&self) -> Option<(NodeId, SubscriptionKey)> {
        let key = self.subscription()?.key.clone()?;
        Some((self.entry.meta.id.node().clone(), key))
    }

    /// Whether it is a subscription that the client has ended already.
    pub(super) fn is_cancelled(&self) -> bool {
        self.subscription().is_some_and(|subscription| subscription.is_cancelled)
    }

    /// The nodes of the author's client that have the action: the one that created it, and the one
    /// that sent it. Another node of the client may be a page that was reloaded without its log.
    pub(super) fn holders(&self) -> [&NodeId; 2] {
        [self.entry.meta.id.node(), &self.sender]
    }

    /// The connection of a subscription.
    pub(super) fn session(&self) -> Option<SessionId> {
        self.subscription()?.session
    }

    /// Whether it is a subscription that `node` sent.
    pub(super) fn is_from(&self, node: &NodeId) -> bool {
        self.subscription().is_some() && self.sender == *node
    }

    /// Cancels a subscription.
    pub(super) const fn cancel(&mut self) {
        if let Some(subscription) = self.subscription_mut() {
            subscription.is_cancelled = true;
        }
    }

    /// The same subscription for another connection, from the beginning.
    pub(super) fn for_session(mut self, session: Option<SessionId>) -> Self {
        if let Some(subscription) = self.subscription_mut() {
            subscription.session = session;
            (subscription.loaded, subscription.replay) = (0, None);
            subscription.is_replayed = false;
        }
        Self { is_approved: false, recipients: Recipients::default(), ..self }
    }

    /// The ticket of an action of the application.
    pub(super) const fn ticket(&self) -> Option<u64> {
        match self.subject {
            Subject::OwnAction { ticket } => ticket,
            Subject::Action | Subject::ReplacedAction | Subject::Subscription(_) => None,
        }
    }

    /// Whether the action is in the inbox, which all actions of clients are.
    pub(super) const fn is_in_inbox(&self) -> bool {
        !matches!(self.subject, Subject::OwnAction { .. })
    }
}
