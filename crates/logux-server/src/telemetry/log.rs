//! Events as log lines: `tracing` events of one target, with the names and fields that `docs/events.md` lists.
//!
//! Texts that come from outside are given as strings, which subscribers quote: nobody can break out of a line.

use std::borrow::Cow;

use logux::{Entry, NodeId, server::HubEvent};
use logux_net::CloseReason;

use crate::telemetry::event::{Event, Failure};

/// How much of an action is shown, in bytes.
const MAX_ACTION: usize = 2_000;

/// A `tracing` event with a name. The target is that of the documentation.
macro_rules! say {
    ($level:ident, $event:literal, { $($fields:tt)* }, $message:literal) => {
        tracing::$level!(target: "logux_server::events", event = $event, $($fields)* $message)
    };
}

/// Whether there are lines about actions that leave the log.
pub(super) fn records_cleaned() -> bool {
    tracing::enabled!(target: "logux_server::events", tracing::Level::DEBUG)
}

/// Writes what happened. `development` shows what is in actions.
pub(super) fn write(event: &Event<'_>, development: bool) {
    match event {
        Event::Hub(report) => write_report(report, development),
        Event::Failed { what, error } => write_failure(what, &error.to_string()),
        Event::Listening { .. }
        | Event::Stopping
        | Event::Fatal { .. }
        | Event::CertificateRenewed { .. } => {
            write_life(event, development);
        }
        Event::BackendAsked { .. }
        | Event::BackendRepeated { .. }
        | Event::BackendDown { .. }
        | Event::BackendBack
        | Event::WrongControlIp { .. }
        | Event::WrongControlSecret { .. } => write_backend(event),
        Event::WrongFormat { id, error } => say!(warn, "wrongFormat", {
            actionId = id.to_string(),
            // It quotes values of the action.
            error = development.then(|| error.to_string()),
        }, "Action does not fit its type"),
        Event::HandlerBlocked { entry, took } => say!(warn, "handlerBlocked", {
            actionId = entry.meta.id.to_string(),
            "type" = entry.action.kind(),
            took = took.as_millis(),
        }, "Handler blocks the hub's thread: await what takes long, or use spawn_blocking"),
        // Those that happen too often for lines, or say nothing to people.
        Event::Traffic { .. }
        | Event::Round { .. }
        | Event::Received(_)
        | Event::Requested(_)
        | Event::Reconnected => {}
        _ => write_connection(event),
    }
}

fn write_life(event: &Event<'_>, development: bool) {
    match event {
        Event::Listening { url, metrics, node, subprotocol, min_subprotocol } => {
            say!(info, "listen", {
            listen = url,
            healthCheck = url.starts_with("ws").then(|| format!("{}/health", url.replacen("ws", "http", 1))),
            inspector = (development && url.starts_with("ws")).then(|| url.replacen("ws", "http", 1)),
            metrics = metrics.map(|address| format!("http://{address}/metrics")),
            nodeId = node.as_str(),
            environment = if development { "development" } else { "production" },
            loguxServer = env!("CARGO_PKG_VERSION"),
            subprotocol,
            minSubprotocol = min_subprotocol,
        }, "Logux server is listening")
        }
        Event::CertificateRenewed { cert } => say!(info, "certificateRenewed", {
            cert = cert.to_string(),
        }, "New connections get the new certificate"),
        Event::Stopping => say!(info, "destroy", {}, "Shutting down Logux server"),
        Event::Fatal { error } => {
            say!(error, "fatal", { error = error.to_string(), }, "Logux server cannot go on")
        }
        _ => {}
    }
}

fn write_connection(event: &Event<'_>) {
    match event {
        Event::Refused { remote, why } => say!(warn, "refused", {
            ipAddress = remote.map(|remote| remote.ip().to_string()),
            reason = why.as_str(),
        }, "Connection was refused"),
        Event::Connected { session, remote } => say!(info, "connect", {
            connectionId = session.0,
            ipAddress = remote.map(|remote| remote.ip().to_string()),
        }, "Client was connected"),
        Event::Authenticated { session, node, subprotocol, took } => say!(info, "authenticated", {
            connectionId = session.0,
            nodeId = node.as_str(),
            subprotocol = subprotocol.to_string(),
            latency = took.as_millis(),
        }, "User was authenticated"),
        Event::Unauthenticated { session, node, reason, took } => say!(warn, "unauthenticated", {
            connectionId = session.0,
            nodeId = node.as_str(),
            reason,
            latency = took.as_millis(),
        }, "Bad authentication"),
        Event::ClientError { session, node, error } => say!(warn, "clientError", {
            connectionId = session.0,
            nodeId = node.map(NodeId::as_str),
            error = error.to_string(),
        }, "Client error"),
        Event::Disconnected { node: Some(node), reason: CloseReason::Replaced, .. } => {
            say!(warn, "zombie", {
            nodeId = node.as_str(),
        }, "Zombie client was disconnected")
        }
        Event::Disconnected { session, node, reason } => say!(info, "disconnect", {
            connectionId = session.0,
            nodeId = node.map(NodeId::as_str),
            reason = reason.to_string(),
        }, "Client was disconnected"),
        Event::SlowReader { session, node, messages, bytes } => say!(warn, "slowReader", {
            connectionId = session.0,
            nodeId = node.map(NodeId::as_str),
            messages,
            bytes,
        }, "Client does not read what it is sent"),
        Event::Limited { node, address, limit } => say!(warn, "limited", {
            nodeId = node.map(NodeId::as_str),
            ipAddress = address.map(|address| address.to_string()),
            limit = limit.as_str(),
        }, "Client has reached a limit"),
        _ => {}
    }
}

fn write_failure(what: &Failure<'_>, error: &str) {
    match what {
        Failure::Action(id) => {
            say!(error, "error", { actionId = id.to_string(), error, }, "Handler failed")
        }
        Failure::Unsubscription { node, channel } => say!(error, "error", {
            nodeId = node.as_str(),
            channel,
            error,
        }, "Handler of an unsubscription failed"),
        Failure::OnConnect { node } => say!(error, "error", {
            nodeId = node.as_str(),
            error,
        }, "Actions for a new client were not found"),
        Failure::Login { session, node } => say!(error, "error", {
            connectionId = session.0,
            nodeId = node.as_str(),
            error,
        }, "Authentication failed"),
        Failure::Accept => say!(error, "error", { error, }, "Connection cannot be accepted"),
        Failure::Stop => say!(error, "error", { error, }, "Actions were not finished in time"),
        Failure::Disconnect => say!(error, "error", { error, }, "Connections did not end in time"),
        Failure::Route { path } => {
            say!(error, "error", { path, error, }, "Handler of an HTTP route failed")
        }
        Failure::Certificate => {
            say!(error, "error", { error, }, "New certificate cannot be used: the old one stays in use");
        }
    }
}

fn write_backend(event: &Event<'_>) {
    match event {
        Event::WrongControlIp { address } => say!(warn, "wrongControlIp", {
            ipAddress = address.map(|address| address.to_string()),
        }, "Control request was sent from an address outside of the control mask"),
        Event::WrongControlSecret { address } => say!(warn, "wrongControlSecret", {
            ipAddress = address.map(|address| address.to_string()),
        }, "Control request has a wrong secret"),
        Event::BackendRepeated { error } => say!(warn, "backendRepeated", {
            error = error.to_string(),
        }, "Back end is asked again"),
        Event::BackendDown { pause } => say!(error, "backendDown", {
            pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        }, "Back end is down: actions are undone at once"),
        Event::BackendBack => say!(info, "backendBack", {}, "Back end is back"),
        Event::BackendAsked { command, outcome, took } => say!(debug, "backendAsked", {
            command,
            outcome,
            latency = took.as_millis(),
        }, "Back end was asked"),
        _ => {}
    }
}

fn write_report(report: &HubEvent, development: bool) {
    let shown = |entry: &Entry| development.then(|| shown(entry.action.as_json()).into_owned());
    match report {
        HubEvent::Added(entry) if entry.meta.added.is_some() => say!(info, "add", {
            actionId = entry.meta.id.to_string(),
            "type" = entry.action.kind(),
            action = shown(entry),
        }, "Action was added"),
        HubEvent::Added(entry) => say!(info, "addClean", {
            actionId = entry.meta.id.to_string(),
            "type" = entry.action.kind(),
            action = shown(entry),
        }, "Action was added and cleaned"),
        HubEvent::Useless(entry) => say!(warn, "useless", {
            actionId = entry.meta.id.to_string(),
            "type" = entry.action.kind(),
        }, "Useless action"),
        HubEvent::Processed(entry) => say!(info, "processed", {
            actionId = entry.meta.id.to_string(),
            "type" = entry.action.kind(),
        }, "Action was processed"),
        HubEvent::Undone { entry, reason } => write_undone(entry, reason),
        HubEvent::Duplicate(id) => {
            say!(info, "duplicate", { actionId = id.to_string(), }, "Action came again")
        }
        HubEvent::Subscribed { id, node, channel } => say!(info, "subscribed", {
            actionId = id.as_ref().map(ToString::to_string),
            nodeId = node.as_str(),
            channel = &**channel,
        }, "Client was subscribed"),
        HubEvent::Unsubscribed { node, channel } => say!(info, "unsubscribed", {
            nodeId = node.as_str(),
            channel = &**channel,
        }, "Client was unsubscribed"),
        HubEvent::Cleaned(entry) => say!(debug, "clean", {
            actionId = entry.meta.id.to_string(),
            "type" = entry.action.kind(),
        }, "Action was cleaned"),
        HubEvent::Sent(entry, clients) => say!(debug, "send", {
            actionId = entry.meta.id.to_string(),
            "type" = entry.action.kind(),
            clients,
        }, "Action was sent"),
        _ => {}
    }
}

fn write_undone(entry: &Entry, reason: &str) {
    let (id, kind) = (&entry.meta.id, entry.action.kind());
    match reason {
        "denied" => {
            say!(warn, "denied", { actionId = id.to_string(), "type" = kind, }, "Action was denied")
        }
        // One of the server's own is a mistake here, not a client's.
        "unknownType" if id.node().is_server() => say!(error, "unknownType", {
            actionId = id.to_string(),
            "type" = kind,
        }, "Action with unknown type"),
        "unknownType" => say!(warn, "unknownType", {
            actionId = id.to_string(),
            "type" = kind,
        }, "Action with unknown type"),
        "wrongChannel" => say!(warn, "wrongChannel", {
            actionId = id.to_string(),
            channel = entry.action.str_field("channel").as_deref(),
        }, "Wrong channel name"),
        _ => say!(warn, "undone", {
            actionId = id.to_string(),
            "type" = kind,
            reason,
        }, "Action was undone"),
    }
}

/// An action as far as it may be seen: its beginning, without what looks like a token.
fn shown(json: &str) -> Cow<'_, str> {
    const MARK: &str = "Bearer ";
    let end = json.floor_char_boundary(MAX_ACTION);
    let mut rest = &json[..end];
    if end == json.len() && !rest.contains(MARK) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(end);
    while let Some(at) = rest.find(MARK) {
        let secret = &rest[at + MARK.len()..];
        text.push_str(&rest[..at]);
        text.push_str("[SECRET]");
        rest = &secret[secret.find([' ', '"', '\\']).unwrap_or(secret.len())..];
    }
    text.push_str(rest);
    if end < json.len() {
        text.push('…');
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_event_is_documented() {
        let documented = include_str!("../docs/events.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .filter(|name| *name != "event")
            .collect::<BTreeSet<_>>();
        let written = include_str!("log.rs")
            .split_once("#[cfg(test)]")
            .map_or("", |(code, _)| code)
            .split("say!(")
            .filter_map(|call| Some(call.split_once(", \"")?.1.split_once('"')?.0))
            .filter(|name| name.chars().all(char::is_alphabetic))
            .collect::<BTreeSet<_>>();
        assert!(written.len() > 20);
        assert_eq!(documented, written);
    }

    #[test]
    fn actions_are_shown_without_tokens_and_in_part() {
        assert_eq!(shown(r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(
            shown(r#"{"a":"Bearer x.y","b":"Bearer z"}"#),
            r#"{"a":"[SECRET]","b":"[SECRET]"}"#
        );
        let long = format!("{}Bearer {}", "ä".repeat(990), "x".repeat(9_000));
        let short = shown(&long);
        assert!(short.ends_with("ä[SECRET]…") && short.len() < 2_100, "{short}");
    }
}
