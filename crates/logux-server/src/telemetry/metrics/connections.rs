//! Metrics of connections and logins.

use std::time::Duration;

use logux_net::CloseReason;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::telemetry::{
    event::{Event, Limit, RefusalReason},
    metrics::{ByLabel, seconds_histogram},
};

pub(super) struct ConnectionMetrics {
    open: Gauge,
    opened: Counter,
    refused: ByLabel,
    ended: ByLabel,
    logins: ByLabel,
    login_seconds: Histogram,
    reconnects: Counter,
    zombies: Counter,
    client_errors: Counter,
    limited: ByLabel,
    errors: Counter,
    bytes_received: Counter,
    bytes_sent: Counter,
}

impl ConnectionMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let new = Self {
            open: Gauge::default(),
            opened: Counter::default(),
            refused: ByLabel::default(),
            ended: ByLabel::default(),
            logins: ByLabel::default(),
            login_seconds: seconds_histogram(),
            reconnects: Counter::default(),
            zombies: Counter::default(),
            client_errors: Counter::default(),
            limited: ByLabel::default(),
            errors: Counter::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
        };
        // Start all counters at 0, so that their first increase is visible.
        start_at_zero(&new.refused, "reason", &RefusalReason::NAMES);
        start_at_zero(&new.ended, "reason", &["done", "timeout", "slowReader", "wrongFormat"]);
        start_at_zero(
            &new.logins,
            "outcome",
            &["welcome", "wrongCredentials", "wrongSubprotocol", "error"],
        );
        start_at_zero(&new.limited, "limit", &Limit::ALL.map(Limit::as_str));
        registry.register("connections_open", "Open WebSockets", new.open.clone());
        registry.register("connections", "Opened WebSockets", new.opened.clone());
        registry.register(
            "connections_refused",
            "Connections that were refused before the WebSocket was opened, by reason",
            new.refused.clone(),
        );
        registry.register("connections_ended", "Closed WebSockets, by reason", new.ended.clone());
        registry.register("logins", "Authentication requests, by outcome", new.logins.clone());
        registry.register("login_seconds", "Time of an authentication", new.login_seconds.clone());
        registry.register(
            "reconnects",
            "Authenticated clients that had been connected before",
            new.reconnects.clone(),
        );
        registry.register(
            "zombies",
            "Connections that were closed because their client connected again",
            new.zombies.clone(),
        );
        registry.register(
            "client_errors",
            "Clients that sent an invalid message or timed out",
            new.client_errors.clone(),
        );
        registry.register(
            "limited",
            "Limits that clients have reached, by limit",
            new.limited.clone(),
        );
        registry.register(
            "errors",
            "Failures in this server, such as errors of handlers",
            new.errors.clone(),
        );
        registry.register(
            "received_bytes",
            "Bytes of messages from clients",
            new.bytes_received.clone(),
        );
        registry.register("sent_bytes", "Bytes of messages to clients", new.bytes_sent.clone());
        new
    }

    pub(super) fn record(&self, event: &Event<'_>) {
        match event {
            Event::Refused { why, .. } => count(&self.refused, "reason", why.as_str()),
            Event::Connected { .. } => {
                self.open.inc();
                self.opened.inc();
            }
            Event::Authenticated { took, .. } => self.login("welcome", *took),
            Event::Unauthenticated { reason, took, .. } => self.login(refusal_label(reason), *took),
            Event::Reconnected => {
                self.reconnects.inc();
            }
            Event::ClientError { .. } => {
                self.client_errors.inc();
            }
            Event::Disconnected { node, reason, .. } => {
                self.open.dec();
                count(&self.ended, "reason", close_label(reason));
                if node.is_some() && **reason == CloseReason::Replaced {
                    self.zombies.inc();
                }
            }
            Event::Limited { limit, .. } => count(&self.limited, "limit", limit.as_str()),
            Event::Failed { .. } | Event::Fatal { .. } => {
                self.errors.inc();
            }
            Event::Traffic { received, sent } => {
                self.bytes_received.inc_by(*received);
                self.bytes_sent.inc_by(*sent);
            }
            _ => {}
        }
    }

    fn login(&self, outcome: &'static str, took: Duration) {
        count(&self.logins, "outcome", outcome);
        self.login_seconds.observe(took.as_secs_f64());
    }
}

fn start_at_zero(family: &ByLabel, label: &'static str, values: &[&'static str]) {
    for value in values {
        drop(family.get_or_create(&[(label, *value)]));
    }
}

fn count(family: &ByLabel, label: &'static str, value: &'static str) {
    family.get_or_create(&[(label, value)]).inc();
}

/// Maps the reason of a refused login to one of a few label values, whatever a back end sends.
fn refusal_label(reason: &str) -> &'static str {
    match reason {
        "wrong-credentials" => "wrongCredentials",
        "wrong-subprotocol" => "wrongSubprotocol",
        "error" => "error",
        _ => "other",
    }
}

/// Maps the reason of a close to one of a few label values, whatever a client sends.
fn close_label(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Done => "done",
        CloseReason::Shutdown => "shutdown",
        CloseReason::WrongFormat => "wrongFormat",
        CloseReason::Refused => "refused",
        CloseReason::Timeout => "timeout",
        CloseReason::Replaced => "replaced",
        CloseReason::SlowReader => "slowReader",
        CloseReason::TooLarge => "tooLarge",
        CloseReason::Internal => "internal",
        CloseReason::Overloaded => "overloaded",
        _ => "other",
    }
}
