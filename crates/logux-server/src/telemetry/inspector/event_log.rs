//! The latest events that do not concern one action only.

use std::collections::VecDeque;

use logux::{name_excerpt, server::HubEvent};
use logux_net::CloseReason;
use serde::Serialize;

use crate::telemetry::event::{Event, Failure};

/// The largest number of remembered events.
const MAX_EVENTS: usize = 300;
/// The largest number of characters of an event's text.
const MAX_TEXT: usize = 500;

#[derive(Debug, Default)]
pub(super) struct EventLog(VecDeque<LoggedEvent>);

/// An event as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LoggedEvent {
    /// Its change number.
    change: u64,
    /// Its time, in milliseconds since the epoch.
    time: u64,
    /// Its name, as in log lines.
    event: &'static str,
    /// Whether it is a problem.
    is_bad: bool,
    text: String,
}

impl EventLog {
    pub(super) fn record(&mut self, change: u64, time: u64, event: &Event<'_>) {
        let Some((event, is_bad, text)) = describe(event) else { return };
        if self.0.len() >= MAX_EVENTS {
            self.0.pop_front();
        }
        let text = text.chars().take(MAX_TEXT).collect();
        self.0.push_back(LoggedEvent { change, time, event, is_bad, text });
    }

    /// Returns the events after this change number, oldest first.
    pub(super) fn after(&self, change: u64) -> Vec<LoggedEvent> {
        self.0.iter().filter(|event| event.change > change).cloned().collect()
    }
}

/// Returns the name of an event, whether it is a problem, and its subject.
fn describe(event: &Event<'_>) -> Option<(&'static str, bool, String)> {
    Some(match event {
        Event::Listening { url, .. } => ("listen", false, (*url).to_owned()),
        Event::Stopping => ("destroy", false, String::new()),
        Event::Refused { remote, why } => {
            ("refused", true, format!("{} {}", why.as_str(), or_empty(remote.as_ref())))
        }
        Event::Connected { session, remote } => {
            ("connect", false, format!("connection {} {}", session.0, or_empty(remote.as_ref())))
        }
        Event::Authenticated { session, node, .. } => {
            ("authenticated", false, format!("{} on connection {}", node.as_str(), session.0))
        }
        Event::Unauthenticated { node, reason, .. } => {
            ("unauthenticated", true, format!("{} {reason}", node.as_str()))
        }
        Event::ClientError { session, node, error, .. } => {
            let node = or_empty(node.map(logux::NodeId::as_str));
            ("clientError", true, format!("{node} on connection {}: {error}", session.0))
        }
        Event::Disconnected { node: Some(node), reason: CloseReason::Replaced, .. } => {
            ("zombie", false, node.as_str().to_owned())
        }
        Event::Disconnected { session, node, reason, .. } => {
            let node = or_empty(node.map(logux::NodeId::as_str));
            ("disconnect", false, format!("{node} connection {}: {reason}", session.0))
        }
        Event::HandlerBlocked { entry, took } => {
            let (kind, id) = (name_excerpt(entry.action.kind()), &entry.meta.id);
            ("handlerBlocked", true, format!("{kind} {id} took {} ms", took.as_millis()))
        }
        Event::Hub(HubEvent::Subscribed { node, channel, .. }) => {
            ("subscribed", false, format!("{} to {}", node.as_str(), name_excerpt(channel)))
        }
        Event::Hub(HubEvent::Unsubscribed { node, channel }) => {
            ("unsubscribed", false, format!("{} from {}", node.as_str(), name_excerpt(channel)))
        }
        Event::Hub(HubEvent::Useless(entry)) => {
            ("useless", true, name_excerpt(entry.action.kind()).into_owned())
        }
        Event::Failed { what, error } => {
            ("error", true, format!("{}{error}", failure_subject(what)))
        }
        Event::Fatal { error } => ("fatal", true, error.to_string()),
        Event::WrongFormat { id, error } => ("wrongFormat", true, format!("action {id}: {error}")),
        Event::Limited { node, limit, .. } => (
            "limited",
            true,
            format!("{} {}", or_empty(node.map(logux::NodeId::as_str)), limit.as_str()),
        ),
        Event::WrongControlIp { address } => ("wrongControlIp", true, or_empty(address.as_ref())),
        Event::WrongControlSecret { address } => {
            ("wrongControlSecret", true, or_empty(address.as_ref()))
        }
        Event::BackendAsked { command, outcome, took } => (
            "backendAsked",
            false,
            format!("{command}: {outcome} in {} ms", super::milliseconds(*took)),
        ),
        Event::BackendRepeated { error } => ("backendRepeated", true, error.to_string()),
        Event::BackendDown { .. } => ("backendDown", true, String::new()),
        Event::BackendBack => ("backendBack", false, String::new()),
        _ => return None,
    })
}

fn failure_subject(what: &Failure<'_>) -> String {
    match what {
        Failure::Action(id) => format!("action {id}: "),
        Failure::Unsubscription { node, channel } => {
            format!("{} unsubscribing from {}: ", node.as_str(), name_excerpt(channel))
        }
        Failure::Settlement { channel } => format!("settling {}: ", name_excerpt(channel)),
        Failure::OnConnect { node } | Failure::Login { node, .. } => format!("{}: ", node.as_str()),
        _ => String::new(),
    }
}

fn or_empty(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
