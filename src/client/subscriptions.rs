//! The subscriptions of a client: counted by value, and requested again at each connection.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    Subscription, SubscriptionState,
    since::{since, with_since},
};
use crate::{
    action::{Action, ActionError, ActionId, Stamp},
    json::{Cursor, JsonError, key_is},
};

/// A change of a subscription, to tell the application.
pub(super) type Change = (Subscription, SubscriptionState);

/// The subscriptions that the application wants, by their [keys](Subscription::key).
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    wanted: IndexMap<String, Wanted>,
    /// The subscriptions of own `logux/subscribe` actions: those without an answer, and the last
    /// that was confirmed.
    keys: HashMap<ActionId, String>,
}

/// A subscription that the application wants.
#[derive(Debug)]
struct Wanted {
    subscription: Subscription,
    /// The JSON of the `logux/subscribe` without `since`.
    template: String,
    /// Whether the log keeps what the subscription brings.
    is_kept: bool,
    /// How many times the application has subscribed.
    count: usize,
    /// The requests without an answer.
    asked: Vec<ActionId>,
    /// The last confirmed request, with the stamp of its answer.
    confirmed: Option<(ActionId, Stamp)>,
    /// The `added` number up to which the client had received everything of the channel when the
    /// connection of the confirmed request ended.
    received: Option<u64>,
}

impl Wanted {
    const fn state(&self) -> SubscriptionState {
        match self.confirmed {
            Some(_) => SubscriptionState::Subscribed,
            None => SubscriptionState::Loading,
        }
    }
}

/// What an own `logux/unsubscribe` leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsubscription {
    /// The server has to know.
    Send,
    /// The application wants the subscription for another reason, so the server keeps it.
    StillWanted,
    /// The request is not sent yet: drop it.
    Drop(Vec<ActionId>),
}

impl Subscriptions {
    /// Records a `logux/subscribe` of the application, or a repeated request for one that it wants
    /// already.
    pub(super) fn asked(&mut self, id: &ActionId, action: &Action, is_new: bool) -> Option<Change> {
        let subscription = Subscription::of(action)?;
        let key = subscription.key();
        let wanted = self.wanted.entry(key.clone()).or_insert_with(|| Wanted {
            subscription,
            template: without_since(action),
            is_kept: false,
            count: 0,
            asked: Vec::new(),
            confirmed: None,
            received: None,
        });
        wanted.count += usize::from(is_new);
        wanted.asked.push(id.clone());
        self.keys.insert(id.clone(), key);
        let is_first = wanted.count == 1 && is_new;
        is_first.then(|| (wanted.subscription.clone(), SubscriptionState::Loading))
    }

    /// Records that the log keeps what a subscription brings.
    pub(super) fn keep(&mut self, subscription: &Subscription) {
        if let Some(wanted) = self.wanted.get_mut(&subscription.key()) {
            wanted.is_kept = true;
        }
    }

    /// Whether the log has everything that a subscription has brought: the log keeps it, and no
    /// request is without an answer.
    pub(super) fn has_all(&self, subscription: &Subscription) -> bool {
        let wanted = self.wanted.get(&subscription.key());
        wanted.is_some_and(|wanted| wanted.is_kept && wanted.asked.is_empty())
    }

    /// Decides about a `logux/unsubscribe` of the application. `is_unsent` returns `true` for
    /// requests that were never sent.
    pub(super) fn leave(
        &mut self,
        action: &Action,
        is_unsent: impl Fn(&ActionId) -> bool,
    ) -> Unsubscription {
        let key = Subscription::of(action).map(|left| left.key()).unwrap_or_default();
        let Some(wanted) = self.wanted.get_mut(&key) else { return Unsubscription::Send };
        wanted.count = wanted.count.saturating_sub(1);
        if wanted.count > 0 {
            // The timeline may be the one that leaves.
            wanted.is_kept = false;
            return Unsubscription::StillWanted;
        }
        let Some(left) = self.wanted.shift_remove(&key) else { return Unsubscription::Send };
        for id in left.asked.iter().chain(left.confirmed.iter().map(|(id, _)| id)) {
            self.keys.remove(id);
        }
        if left.confirmed.is_none() && left.asked.iter().all(is_unsent) {
            Unsubscription::Drop(left.asked)
        } else {
            Unsubscription::Send
        }
    }

    /// Records that the server has processed an own action.
    pub(super) fn processed(&mut self, id: &ActionId, answer: &Stamp) -> Option<Change> {
        let wanted = self.wanted.get_mut(self.keys.get(id)?)?;
        wanted.asked.retain(|asked| asked != id);
        let previous = wanted.confirmed.replace((id.clone(), answer.clone()));
        wanted.received = None;
        if let Some((previous, _)) = previous.filter(|(previous, _)| previous != id) {
            self.keys.remove(&previous);
        }
        Some((wanted.subscription.clone(), SubscriptionState::Subscribed))
    }

    /// Records that an own action was undone by the server, or was dropped because it was never
    /// sent.
    pub(super) fn undone(&mut self, id: &ActionId, reason: &str) -> Option<Change> {
        let key = self.keys.remove(id)?;
        let wanted = self.wanted.get_mut(&key)?;
        let was_confirmed = wanted.confirmed.take_if(|(confirmed, _)| confirmed == id).is_some();
        wanted.asked.retain(|asked| asked != id);
        if !wanted.asked.is_empty() {
            // Another request for the same is on its way.
            wanted.count = wanted.count.saturating_sub(1).max(1);
            return None;
        }
        let left = self.wanted.shift_remove(&key)?;
        if let Some((confirmed, _)) = &left.confirmed {
            self.keys.remove(confirmed);
        }
        let reason = reason.to_owned();
        let state = if was_confirmed {
            SubscriptionState::Ended(reason)
        } else {
            SubscriptionState::Refused(reason)
        };
        Some((left.subscription, state))
    }

    /// Returns the actions that subscribe again at a new connection: one for each confirmed
    /// subscription, with `since` of its last confirmation. `received` is the `added` number that
    /// the client has received in earlier connections. Requests without an answer are in the log,
    /// and sent again from there.
    pub(super) fn resubscriptions(&mut self, received: u64) -> Vec<Result<Action, ActionError>> {
        let idle = self.wanted.values_mut().filter(|wanted| wanted.asked.is_empty());
        let resubscribe = |wanted: &mut Wanted| {
            let (_, last) = wanted.confirmed.as_ref()?;
            let received = *wanted.received.get_or_insert(received);
            Some(with_since(&wanted.template, &since(last, Some(received))))
        };
        idle.filter_map(resubscribe).collect()
    }

    /// Returns the subscriptions that the application wants, with their states.
    pub(super) fn states(&self) -> impl Iterator<Item = (&Subscription, SubscriptionState)> {
        self.wanted.values().map(|wanted| (&wanted.subscription, wanted.state()))
    }

    /// Returns `true` if the server has confirmed a subscription to a channel in this connection.
    pub(super) fn is_subscribed(&self, channel: &str) -> bool {
        let mut of_channel =
            self.wanted.values().filter(|wanted| wanted.subscription.channel == channel);
        of_channel.any(|wanted| wanted.confirmed.is_some() && wanted.asked.is_empty())
    }

    /// Returns `true` if the application wants a subscription to a channel.
    pub(super) fn is_wanted(&self, channel: &str) -> bool {
        self.wanted.values().any(|wanted| wanted.subscription.channel == channel)
    }

    /// Returns the state of a subscription that the application wants.
    pub(super) fn state_of(&self, subscription: &Subscription) -> Option<SubscriptionState> {
        self.wanted.get(&subscription.key()).map(Wanted::state)
    }
}

/// Returns the JSON of an action without the field `since`.
fn without_since(action: &Action) -> String {
    let mut json = String::from("{");
    let walked: Result<_, JsonError> = Cursor::new(action.as_json()).object(|cursor, key| {
        let value = cursor.value()?;
        if !key_is(key, "since") {
            if json.len() > 1 {
                json.push(',');
            }
            json.extend([key, ":", value]);
        }
        Ok(())
    });
    // The JSON of an action was checked when the action was created.
    debug_assert!(walked.is_ok(), "an action is a JSON object");
    json.push('}');
    json
}

/// Returns the form of a JSON value in which equal values have equal texts: the keys of objects are
/// sorted, strings have no unnecessary escapes, and whole numbers no fraction.
pub(super) fn canonical(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    match serde_json::from_str(json) {
        Ok(value) => write_canonical(&value, &mut text),
        // A value that Rust's strings cannot hold is only equal to the same text.
        Err(_) => text.push_str(json),
    }
    text
}

/// The largest whole number below which every whole number is a different `f64`.
const MAX_WHOLE: f64 = 9_007_199_254_740_991.0;

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write_canonical(&Value::from(name.as_str()), text);
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() <= MAX_WHOLE => {
                // `-0` is equal to 0.
                text.push_str(&format!("{}", float + 0.0));
            }
            _ => text.push_str(&number.to_string()),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_canonical_form() {
        for (one, other) in [
            (r#"{"a":1,"b":{"d":2,"c":[1,2]}}"#, r#"{ "b":{"c":[1, 2],"d":2.0},"a":1e0}"#),
            (r#"{"a":"\u0041/"}"#, r#"{"\u0061":"A\/"}"#),
            ("[0,-0.0,10]", "[-0,0,1e1]"),
        ] {
            assert_eq!(canonical(one), canonical(other));
        }
        for (one, other) in [
            ("[1,2]", "[2,1]"),
            ("1", "\"1\""),
            ("9007199254740993", "9007199254740992"),
            ("1.5", "1.25"),
            ("null", "{}"),
        ] {
            assert_ne!(canonical(one), canonical(other));
        }
    }
}
