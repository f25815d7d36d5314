//! What a client subscribes to, and what has become of it.

use super::subscriptions::canonical;
use crate::{
    action::{Action, ActionError, logux},
    json::Json,
};

/// What a client subscribes to: a channel, with a filter or without. Equality is by value: the
/// order of the keys of a filter does not matter, and an empty filter is none.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// The channel.
    pub channel: String,
    /// The filter, a JSON object.
    pub filter: Option<Json>,
}

/// What has become of a [`Subscription`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionState {
    /// The server was asked for it, or will be at the next connection.
    Loading,
    /// The server has sent the state of the channel, and sends what follows.
    Subscribed,
    /// The server has refused it, for this reason, such as `denied`. It is not requested again.
    Refused(String),
    /// The server has ended it, for this reason, such as `revoked`. It is not requested again.
    Ended(String),
}

impl Subscription {
    /// Creates a subscription without a filter.
    pub fn to(channel: impl Into<String>) -> Self {
        Self { channel: channel.into(), filter: None }
    }

    /// Returns the action that subscribes.
    ///
    /// # Errors
    /// If the filter cannot be written as JSON.
    ///
    /// ```
    /// use logux::client::Subscription;
    ///
    /// let notes = Subscription::to("notes/7");
    /// assert_eq!(notes.subscribe()?.as_json(), r#"{"type":"logux/subscribe","channel":"notes/7"}"#);
    /// # Ok::<(), logux::action::ActionError>(())
    /// ```
    pub fn subscribe(&self) -> Result<Action, ActionError> {
        self.action(logux::SUBSCRIBE)
    }

    /// Returns the action that ends the subscription.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn unsubscribe(&self) -> Result<Action, ActionError> {
        self.action(logux::UNSUBSCRIBE)
    }

    fn action(&self, kind: &str) -> Result<Action, ActionError> {
        #[derive(serde::Serialize)]
        struct Fields<'a> {
            channel: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            filter: Option<&'a Json>,
        }
        Action::typed(kind, &Fields { channel: &self.channel, filter: self.filter.as_ref() })
    }

    /// Returns what a `logux/subscribe` or `logux/unsubscribe` is about.
    pub(super) fn of(action: &Action) -> Option<Self> {
        let channel = action.str_field("channel")?.into_owned();
        let filter = action.field("filter").and_then(|json| Json::new(json).ok());
        Some(Self { channel, filter })
    }

    /// Returns a text that is the same for equal subscriptions.
    pub(super) fn key(&self) -> String {
        let channel = serde_json::Value::from(self.channel.as_str());
        format!("{} {channel}", self.filter_key())
    }

    fn filter_key(&self) -> String {
        self.filter.as_ref().map_or_else(|| "{}".to_owned(), |filter| canonical(filter.as_str()))
    }
}

impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        self.channel == other.channel
            && (self.filter == other.filter || self.filter_key() == other.filter_key())
    }
}

impl Eq for Subscription {}
