//! Numbers about connections and logins.

use std::time::Duration;

use logux_net::CloseReason;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::telemetry::{
    event::{Event, Limit, RefusalReason},
    metrics::{ByLabel, seconds},
};

pub(super) struct Connections {
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

impl Connections {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let new = Self {
            open: Gauge::default(),
            opened: Counter::default(),
            refused: ByLabel::default(),
            ended: ByLabel::default(),
            logins: ByLabel::default(),
            login_seconds: seconds(),
            reconnects: Counter::default(),
            zombies: Counter::default(),
            client_errors: Counter::default(),
            limited: ByLabel::default(),
            errors: Counter::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
        };
        // Those that have not happened yet are 0, so that the first one is seen as a change.
        begin(
            &new.refused,
            "reason",
            &[RefusalReason::TooMany.as_str(), RefusalReason::Origin.as_str()],
        );
        begin(&new.ended, "reason", &["done", "timeout", "slowReader", "wrongFormat"]);
        begin(
            &new.logins,
            "outcome",
            &["welcome", "wrongCredentials", "wrongSubprotocol", "error"],
        );
        begin(&new.limited, "limit", &[Limit::WrongLogins.as_str(), Limit::Rate.as_str()]);
        registry.register("connections_open", "WebSockets that are open now", new.open.clone());
        registry.register("connections", "WebSockets that were opened", new.opened.clone());
        registry.register(
            "connections_refused",
            "Connections refused before that, by reason",
            new.refused.clone(),
        );
        registry.register(
            "connections_ended",
            "WebSockets that were closed, by reason",
            new.ended.clone(),
        );
        registry.register("logins", "Clients that wanted in, by outcome", new.logins.clone());
        registry.register(
            "login_seconds",
            "How long it took to let a client in or not",
            new.login_seconds.clone(),
        );
        registry.register(
            "reconnects",
            "Clients let in that had been here before",
            new.reconnects.clone(),
        );
        registry.register(
            "zombies",
            "Connections closed because their client came again",
            new.zombies.clone(),
        );
        registry.register(
            "client_errors",
            "Clients that sent what is wrong or were silent",
            new.client_errors.clone(),
        );
        registry.register("limited", "Clients that reached a limit, by limit", new.limited.clone());
        registry.register(
            "errors",
            "What did not work at this server, such as handlers",
            new.errors.clone(),
        );
        registry.register(
            "received_bytes",
            "Bytes of messages of clients",
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
            Event::Unauthenticated { reason, took, .. } => self.login(known_refusal(reason), *took),
            Event::Reconnected => {
                self.reconnects.inc();
            }
            Event::ClientError { .. } => {
                self.client_errors.inc();
            }
            Event::Disconnected { node, reason, .. } => {
                self.open.dec();
                count(&self.ended, "reason", known_end(reason));
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

fn begin(family: &ByLabel, label: &'static str, values: &[&'static str]) {
    for value in values {
        drop(family.get_or_create(&[(label, *value)]));
    }
}

fn count(family: &ByLabel, label: &'static str, value: &'static str) {
    family.get_or_create(&[(label, value)]).inc();
}

/// One of few words, whatever a back end may say.
fn known_refusal(reason: &str) -> &'static str {
    match reason {
        "wrong-credentials" => "wrongCredentials",
        "wrong-subprotocol" => "wrongSubprotocol",
        "error" => "error",
        _ => "other",
    }
}

/// One of few words, whatever a client may say.
fn known_end(reason: &CloseReason) -> &'static str {
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
