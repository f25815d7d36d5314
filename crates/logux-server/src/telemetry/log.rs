//! Events as log lines: `tracing` events of one target, with the names and fields of
//! `docs/events.md`.
//!
//! Untrusted strings are recorded as string fields, which subscribers quote, so that they cannot
//! forge log lines.

use std::{borrow::Cow, net::SocketAddr};

use logux::{ActionId, Entry, NodeId, excerpt, name_excerpt, server::HubEvent};
use logux_net::CloseReason;

use crate::telemetry::{
    event::{Event, Failure},
    log_throttle::SuppressedLines,
};

/// The largest part of an action that is shown, in bytes.
const MAX_ACTION: usize = 2_000;

/// Emits a `tracing` event with a name and the documented target.
macro_rules! log_event {
    ($level:ident, $event:literal, { $($fields:tt)* }, $message:literal) => {
        tracing::$level!(target: "logux_server::events", event = $event, $($fields)* $message)
    };
}

/// Returns whether a subscriber wants lines about actions that are removed from the log.
pub(super) fn records_cleaned() -> bool {
    tracing::enabled!(target: "logux_server::events", tracing::Level::DEBUG)
}

/// Writes an event. `development` shows the content of actions.
pub(super) fn write(event: &Event<'_>, development: bool) {
    match event {
        Event::Hub(hub_event) => write_hub_event(hub_event, development),
        Event::Failed { what, error } => write_failure(what, &error.to_string()),
        Event::Listening { .. }
        | Event::Stopping
        | Event::Fatal { .. }
        | Event::StoreUnavailable { .. }
        | Event::StoreAvailable { .. }
        | Event::CertificateRenewed { .. } => {
            write_lifecycle(event, development);
        }
        Event::BackendAsked { .. }
        | Event::BackendRepeated { .. }
        | Event::BackendDown { .. }
        | Event::BackendBack
        | Event::WrongControlIp { .. }
        | Event::WrongControlSecret { .. } => write_backend(event),
        Event::WrongFormat { id, error } => log_event!(warn, "wrongFormat", {
            actionId = shown_id(id),
            // The error quotes values of the action.
            error = development.then(|| error.to_string()),
        }, "Action does not fit its type"),
        Event::HandlerBlocked { entry, took } => log_event!(warn, "handlerBlocked", {
            actionId = shown_id(&entry.meta.id),
            "type" = &*name_excerpt(entry.action.kind()),
            took = took.as_millis(),
        }, "Handler blocks the hub's thread: await what takes long, or use spawn_blocking"),
        Event::HandlerRetried { id, error } => log_event!(warn, "handlerRetried", {
            actionId = shown_id(id),
            error = error.to_string(),
        }, "Handler is called again"),
        // These are too frequent for log lines, or of no interest to people.
        Event::Traffic { .. }
        | Event::Round { .. }
        | Event::Received(_)
        | Event::Requested(_)
        | Event::Reconnected => {}
        _ => write_connection(event),
    }
}

fn write_lifecycle(event: &Event<'_>, development: bool) {
    match event {
        Event::Listening { url, metrics, node, subprotocol, min_subprotocol } => {
            log_event!(info, "listen", {
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
        Event::CertificateRenewed { cert } => log_event!(info, "certificateRenewed", {
            cert = cert.to_string(),
        }, "New connections get the new certificate"),
        Event::StoreUnavailable { error } => log_event!(error, "storeUnavailable", {
            error = error.to_string(),
        }, "Log cannot be written: nothing is confirmed until it can"),
        Event::StoreAvailable { took } => log_event!(info, "storeAvailable", {
            took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }, "Log can be written again"),
        Event::Stopping => log_event!(info, "destroy", {}, "Shutting down Logux server"),
        Event::Fatal { error } => {
            log_event!(error, "fatal", { error = error.to_string(), }, "Logux server cannot go on")
        }
        _ => {}
    }
}

fn write_connection(event: &Event<'_>) {
    match event {
        Event::Refused { remote, why } => log_event!(warn, "refused", {
            ipAddress = shown_ip(*remote),
            reason = why.as_str(),
            origin = why.origins().map(|(page, _)| page),
            allowed = why.origins().map(|(_, allowed)| allowed),
        }, "Connection was refused"),
        Event::Connected { session, remote } => log_event!(info, "connect", {
            connectionId = session.0,
            ipAddress = shown_ip(*remote),
        }, "Client was connected"),
        Event::Authenticated { session, remote, node, subprotocol, took } => {
            log_event!(info, "authenticated", {
            connectionId = session.0,
            ipAddress = shown_ip(*remote),
            nodeId = node.as_str(),
            subprotocol = subprotocol.to_string(),
            latency = took.as_millis(),
        }, "User was authenticated")
        }
        Event::Unauthenticated { session, remote, node, reason, error, took } => {
            log_event!(warn, "unauthenticated", {
            connectionId = session.0,
            ipAddress = shown_ip(*remote),
            nodeId = node.as_str(),
            reason,
            error,
            latency = took.as_millis(),
        }, "Bad authentication")
        }
        Event::ClientError { session, remote, node, error } => log_event!(warn, "clientError", {
            connectionId = session.0,
            ipAddress = shown_ip(*remote),
            nodeId = node.map(NodeId::as_str),
            error = error.to_string(),
        }, "Client error"),
        Event::Disconnected { node: Some(node), reason: CloseReason::Replaced, .. } => {
            log_event!(warn, "zombie", {
            nodeId = node.as_str(),
        }, "Zombie client was disconnected")
        }
        Event::Disconnected { session, node, reason, .. } => log_event!(info, "disconnect", {
            connectionId = session.0,
            nodeId = node.map(NodeId::as_str),
            reason = reason.to_string(),
        }, "Client was disconnected"),
        Event::SlowReader { session, node, messages, bytes } => log_event!(warn, "slowReader", {
            connectionId = session.0,
            nodeId = node.map(NodeId::as_str),
            messages,
            bytes,
        }, "Client does not read what it is sent"),
        Event::Limited { node, address, limit } => log_event!(warn, "limited", {
            nodeId = node.map(NodeId::as_str),
            ipAddress = address.map(|address| address.to_string()),
            limit = limit.as_str(),
        }, "Client has reached a limit"),
        _ => {}
    }
}

/// Writes how many lines of a kind were left out.
pub(super) fn write_suppressed(suppressed: &SuppressedLines) {
    let SuppressedLines { kind, lines, address } = suppressed;
    let address = address.map(|address| address.to_string());
    if kind.is_usual() {
        log_event!(info, "suppressed", {
            of = kind.event,
            reason = kind.reason,
            lines,
            ipAddress = address,
        }, "Further lines of this event were not written");
    } else {
        log_event!(warn, "suppressed", {
            of = kind.event,
            reason = kind.reason,
            lines,
            ipAddress = address,
        }, "Further lines of this event were not written");
    }
}

fn write_failure(what: &Failure<'_>, error: &str) {
    match what {
        Failure::Action(id) => {
            log_event!(error, "error", { actionId = shown_id(id), error, }, "Handler failed")
        }
        Failure::Unsubscription { node, channel } => log_event!(error, "error", {
            nodeId = node.as_str(),
            channel = &*name_excerpt(channel),
            error,
        }, "Handler of an unsubscription failed"),
        Failure::Settlement { channel } => log_event!(error, "error", {
            channel = &*name_excerpt(channel),
            error,
        }, "A document was not settled"),
        Failure::Access { channel } => log_event!(error, "error", {
            channel = &*name_excerpt(channel),
            error,
        }, "Subscribers were not told what they may do now"),
        Failure::Json { channel } => log_event!(error, "error", {
            channel = &*name_excerpt(channel),
            error,
        }, "Subscribers were not told what has changed in a document"),
        Failure::Change { kind } => log_event!(error, "error", {
            kind = &*name_excerpt(kind),
            error,
        }, "The hook after a change of a document failed"),
        Failure::Catalog { kind } => log_event!(error, "error", {
            kind = &*name_excerpt(kind),
            error,
        }, "The catalog of documents was not updated"),
        Failure::Purge { kind } => log_event!(error, "error", {
            kind = &*name_excerpt(kind),
            error,
        }, "Deleted documents were not purged"),
        Failure::OnConnect { node } => log_event!(error, "error", {
            nodeId = node.as_str(),
            error,
        }, "Actions for a new client were not found"),
        Failure::Login { session, node } => log_event!(error, "error", {
            connectionId = session.0,
            nodeId = node.as_str(),
            error,
        }, "Authentication failed"),
        Failure::Accept => log_event!(error, "error", { error, }, "Connection cannot be accepted"),
        Failure::Stop => {
            log_event!(error, "error", { error, }, "Actions were not finished in time")
        }
        Failure::Disconnect => {
            log_event!(error, "error", { error, }, "Connections did not end in time")
        }
        Failure::Route { path } => {
            log_event!(error, "error", { path, error, }, "Handler of an HTTP route failed")
        }
        Failure::Certificate => {
            log_event!(error, "error", { error, }, "New certificate cannot be used: the old one stays in use");
        }
    }
}

fn write_backend(event: &Event<'_>) {
    match event {
        Event::WrongControlIp { address } => log_event!(warn, "wrongControlIp", {
            ipAddress = address.map(|address| address.to_string()),
        }, "Control request was sent from an address outside of the control mask"),
        Event::WrongControlSecret { address } => log_event!(warn, "wrongControlSecret", {
            ipAddress = address.map(|address| address.to_string()),
        }, "Control request has a wrong secret"),
        Event::BackendRepeated { error } => log_event!(warn, "backendRepeated", {
            error = error.to_string(),
        }, "Back end is asked again"),
        Event::BackendDown { pause } => log_event!(error, "backendDown", {
            pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        }, "Back end is down: actions are undone at once"),
        Event::BackendBack => log_event!(info, "backendBack", {}, "Back end is back"),
        Event::BackendAsked { command, outcome, took } => log_event!(debug, "backendAsked", {
            command,
            outcome,
            latency = took.as_millis(),
        }, "Back end was asked"),
        _ => {}
    }
}

fn write_hub_event(hub_event: &HubEvent, development: bool) {
    let shown_json =
        |entry: &Entry| development.then(|| shown_json(entry.action.as_json()).into_owned());
    match hub_event {
        HubEvent::Added(entry) if entry.meta.added.is_some() => log_event!(info, "add", {
            actionId = shown_id(&entry.meta.id),
            "type" = &*name_excerpt(entry.action.kind()),
            action = shown_json(entry),
        }, "Action was added"),
        HubEvent::Added(entry) => log_event!(info, "addClean", {
            actionId = shown_id(&entry.meta.id),
            "type" = &*name_excerpt(entry.action.kind()),
            action = shown_json(entry),
        }, "Action was added and cleaned"),
        HubEvent::Useless(entry) => log_event!(warn, "useless", {
            actionId = shown_id(&entry.meta.id),
            "type" = &*name_excerpt(entry.action.kind()),
        }, "Useless action"),
        HubEvent::Loaded { entry, actions } => log_event!(info, "loaded", {
            actionId = shown_id(&entry.meta.id),
            channel = entry.action.str_field("channel").as_deref().map(name_excerpt).as_deref(),
            actions,
        }, "State was loaded"),
        HubEvent::Processed(entry) => log_event!(info, "processed", {
            actionId = shown_id(&entry.meta.id),
            "type" = &*name_excerpt(entry.action.kind()),
        }, "Action was processed"),
        HubEvent::Undone { entry, reason } => write_undone(entry, reason),
        HubEvent::Duplicate(id) => {
            log_event!(info, "duplicate", { actionId = shown_id(id), }, "Action came again")
        }
        HubEvent::Subscribed { id, node, channel } => log_event!(info, "subscribed", {
            actionId = id.as_ref().map(shown_id),
            nodeId = node.as_str(),
            channel = &*name_excerpt(channel),
        }, "Client was subscribed"),
        HubEvent::Unsubscribed { node, channel } => log_event!(info, "unsubscribed", {
            nodeId = node.as_str(),
            channel = &*name_excerpt(channel),
        }, "Client was unsubscribed"),
        HubEvent::Cleaned(entry) => log_event!(debug, "clean", {
            actionId = shown_id(&entry.meta.id),
            "type" = &*name_excerpt(entry.action.kind()),
        }, "Action was cleaned"),
        HubEvent::Sent(entry, clients) => log_event!(debug, "send", {
            actionId = shown_id(&entry.meta.id),
            "type" = &*name_excerpt(entry.action.kind()),
            clients,
        }, "Action was sent"),
        _ => {}
    }
}

fn write_undone(entry: &Entry, reason: &str) {
    let (id, kind) = (&entry.meta.id, name_excerpt(entry.action.kind()));
    match reason {
        "denied" => {
            log_event!(warn, "denied", { actionId = shown_id(id), "type" = &*kind, }, "Action was denied")
        }
        // An unknown type of the server's own action is an error of the application, not of a
        // client.
        "unknownType" if id.node().is_server() => log_event!(error, "unknownType", {
            actionId = shown_id(id),
            "type" = &*kind,
        }, "Action with unknown type"),
        "unknownType" => log_event!(warn, "unknownType", {
            actionId = shown_id(id),
            "type" = &*kind,
        }, "Action with unknown type"),
        "wrongChannel" => log_event!(warn, "wrongChannel", {
            actionId = shown_id(id),
            channel = entry.action.str_field("channel").as_deref().map(name_excerpt).as_deref(),
        }, "Wrong channel name"),
        _ => log_event!(warn, "undone", {
            actionId = shown_id(id),
            "type" = &*kind,
            reason = &*name_excerpt(reason),
        }, "Action was undone"),
    }
}

fn shown_ip(remote: Option<SocketAddr>) -> Option<String> {
    remote.map(|remote| remote.ip().to_string())
}

/// Returns the beginning of an id. Clients choose the node in it.
fn shown_id(id: &ActionId) -> String {
    name_excerpt(&id.to_string()).into_owned()
}

/// Returns the beginning of an action, without anything that looks like a token.
fn shown_json(json: &str) -> Cow<'_, str> {
    const TOKEN_PREFIX: &str = "Bearer ";
    let shown = excerpt(json, MAX_ACTION);
    if !shown.contains(TOKEN_PREFIX) {
        return shown;
    }
    let mut rest = &*shown;
    let mut text = String::with_capacity(shown.len());
    while let Some(at) = rest.find(TOKEN_PREFIX) {
        let after_prefix = &rest[at + TOKEN_PREFIX.len()..];
        text.push_str(&rest[..at]);
        text.push_str("[SECRET]");
        rest =
            &after_prefix[after_prefix.find([' ', '"', '\\', '…']).unwrap_or(after_prefix.len())..];
    }
    text.push_str(rest);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_event_is_documented() {
        let document = include_str!("../docs/events.md");
        // The program's own events are compared by its tests.
        let (document, _) = document.split_once("# The program").expect("the last section");
        let documented = document
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .filter(|name| *name != "event")
            .collect::<BTreeSet<_>>();
        let written = include_str!("log.rs")
            .split_once("#[cfg(test)]")
            .map_or("", |(code, _)| code)
            .split("log_event!(")
            .filter_map(|call| Some(call.split_once(", \"")?.1.split_once('"')?.0))
            .filter(|name| name.chars().all(char::is_alphabetic))
            .collect::<BTreeSet<_>>();
        assert!(written.len() > 20);
        assert_eq!(documented, written);
    }

    #[test]
    fn actions_are_truncated_and_their_tokens_hidden() {
        assert_eq!(shown_json(r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(
            shown_json(r#"{"a":"Bearer x.y","b":"Bearer z"}"#),
            r#"{"a":"[SECRET]","b":"[SECRET]"}"#
        );
        let long = format!("{}Bearer {}", "ä".repeat(990), "x".repeat(9_000));
        let short = shown_json(&long);
        assert!(short.ends_with("ä[SECRET]…") && short.len() < 2_100, "{short}");
    }

    #[test]
    fn names_are_cut_in_every_line() {
        // Fields with these names have values that clients choose.
        let code = include_str!("log.rs").split_once("#[cfg(test)]").map_or("", |(code, _)| code);
        for (name, value) in [("\"type\" = ", "&*"), ("channel = ", ""), ("actionId = ", "")] {
            for (at, _) in code.match_indices(name) {
                let field = code[at..].split([',', '}']).next().unwrap_or_default();
                let is_cut = ["name_excerpt(", "(name_excerpt)", "shown_id", "&*kind"]
                    .iter()
                    .any(|cut| field.contains(cut));
                assert!(is_cut && field.contains(value), "not cut: {field}");
            }
        }
    }
}
