//! The order of a client's actions, and which of them fail together.
//!
//! These are two decisions. A queue keeps actions in order; a fate key names what an action depends
//! on. An action that fails undoes the actions that wait after it in the same queue and have the
//! same fate key, because they may build on it; all others are processed in their order.

use core::fmt;
use std::sync::Arc;

use crate::action::Action;

/// The name of a queue of a client. Actions in one queue are processed one after the other, those
/// of different queues concurrently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueName(Option<Arc<str>>);

impl<T: Into<Arc<str>>> From<T> for QueueName {
    fn from(name: T) -> Self {
        Self(Some(name.into()))
    }
}

/// The rule that assigns actions to queues. Default: one queue for all actions of a client, which
/// keeps them in order.
#[derive(Clone, Default)]
pub struct Queues(Option<Arc<QueueFn>>);

type QueueFn = dyn Fn(&Action) -> QueueName + Send + Sync;

impl Queues {
    /// Creates a rule. It must be pure and fast: it is called for every action.
    pub fn by(rule: impl Fn(&Action) -> QueueName + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    /// Returns the queue of an action.
    pub fn name(&self, action: &Action) -> QueueName {
        self.0.as_ref().map_or_else(QueueName::default, |rule| rule(action))
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "by a rule" } else { "one" })
    }
}

/// The key of the actions in a queue that fail together, such as the record that they edit.
///
/// When an action fails, those that wait after it in the same queue and have the same key are
/// undone with the reason `error`. The default is the key of all actions without a name: a failure
/// of one of them undoes all later ones in the queue, as in the reference.
///
/// ```
/// use logux::server::FateKey;
/// let record = FateKey::from("tasks/10");
/// assert_ne!(record, FateKey::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FateKey(Fate);

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    #[default]
    Queue,
    Named(Arc<str>),
    Alone,
}

impl FateKey {
    /// The key of an action that fails alone, and that no other failure undoes.
    pub const fn none() -> Self {
        Self(Fate::Alone)
    }

    pub(super) const fn is_none(&self) -> bool {
        matches!(self.0, Fate::Alone)
    }
}

impl<T: Into<Arc<str>>> From<T> for FateKey {
    fn from(name: T) -> Self {
        Self(Fate::Named(name.into()))
    }
}

/// The rule that assigns fate keys to actions. Default: one key for all actions of a queue.
///
/// It does not apply to subscriptions: they have a position in their queue, but fail alone.
#[derive(Clone, Default)]
pub struct FateKeys(Option<Arc<FateKeyFn>>);

type FateKeyFn = dyn Fn(&Action) -> FateKey + Send + Sync;

impl FateKeys {
    /// Creates a rule. It must be pure and fast: it is called for every action.
    pub fn by(rule: impl Fn(&Action) -> FateKey + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    /// Returns the key of an action.
    pub fn key(&self, action: &Action) -> FateKey {
        self.0.as_ref().map_or_else(FateKey::default, |rule| rule(action))
    }
}

impl fmt::Debug for FateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "by a rule" } else { "by queue" })
    }
}
