#![doc = include_str!("../docs/traces.md")]
// Nothing is remembered and next to nothing done unless a subscriber wants these spans.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use logux::{
    ActionId, Entry,
    action::logux::{PROCESSED, UNDO, UNSUBSCRIBE},
    server::HubEvent,
};
use tracing::Span;

use crate::telemetry::event::Event;

/// The target of all spans and moments.
pub const TARGET: &str = "logux_server::traces";

/// How many actions in progress are followed at most.
const MAX_ACTIONS: usize = 10_000;

/// A span of the server's, if a subscriber wants it.
macro_rules! span {
    ($($description:tt)*) => { tracing::debug_span!(target: "logux_server::traces", $($description)*) };
}
pub(crate) use span;

/// A moment in a span.
macro_rules! moment {
    ($span:expr, $($description:tt)*) => {
        tracing::debug!(target: "logux_server::traces", parent: $span, $($description)*)
    };
}

/// Actions in progress that are followed.
#[derive(Debug, Default)]
pub(crate) struct Traces(Mutex<HashMap<ActionId, Followed>>);

#[derive(Debug)]
struct Followed {
    span: Span,
    /// Whether it was taken in; what came again was not.
    is_in: bool,
}

impl Traces {
    fn followed(&self) -> MutexGuard<'_, HashMap<ActionId, Followed>> {
        // Every change is one call: a panic of another holder leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with the span of an action.
    pub(crate) fn record(&self, event: &Event<'_>) {
        if !tracing::enabled!(target: "logux_server::traces", tracing::Level::DEBUG) {
            return;
        }
        match event {
            Event::Received(entries) => entries.iter().for_each(|entry| self.begin(entry)),
            Event::Requested(entry) => {
                self.begin(entry);
                self.with(&entry.meta.id, |followed| moment!(&followed.span, "asked"));
            }
            Event::Hub(report) => self.report(report),
            _ => {}
        }
    }

    /// A span for what the application does about an action.
    pub(crate) fn of_application(&self, id: &ActionId) -> Span {
        if !tracing::enabled!(target: "logux_server::traces", tracing::Level::DEBUG) {
            return Span::none();
        }
        self.followed()
            .get(id)
            .map_or_else(Span::none, |followed| span!(parent: &followed.span, "application"))
    }

    fn begin(&self, Entry { action, meta }: &Entry) {
        let mut followed = self.followed();
        if followed.contains_key(&meta.id) || followed.len() >= MAX_ACTIONS {
            return;
        }
        let (id, node) = (meta.id.to_string(), meta.id.node().as_str());
        let span = span!(
            parent: None,
            "action",
            actionId = id,
            "type" = action.kind(),
            nodeId = node,
            "otel.kind" = "server",
            outcome = tracing::field::Empty
        );
        followed.insert(meta.id.clone(), Followed { span, is_in: false });
    }

    fn with(&self, id: &ActionId, send_command: impl FnOnce(&mut Followed)) {
        if let Some(followed) = self.followed().get_mut(id) {
            send_command(followed);
        }
    }

    fn end(&self, id: &ActionId) {
        self.followed().remove(id);
    }

    fn report(&self, report: &HubEvent) {
        match report {
            HubEvent::Added(entry) => self.with(&entry.meta.id, |followed| {
                followed.is_in = true;
                moment!(&followed.span, kept = entry.meta.added.is_some(), "kept");
            }),
            HubEvent::Duplicate(id) => {
                let mut is_over = false;
                self.with(id, |followed| {
                    moment!(&followed.span, "came again");
                    is_over = !followed.is_in;
                });
                if is_over {
                    self.end(id);
                }
            }
            HubEvent::Sent(entry, clients) => match entry.action.kind() {
                PROCESSED | UNDO => {
                    let id =
                        entry.action.str_field("id").and_then(|id| id.parse::<ActionId>().ok());
                    if let Some(id) = id {
                        self.with(&id, |followed| moment!(&followed.span, clients, "delivered"));
                        self.end(&id);
                    }
                }
                _ => {
                    self.with(&entry.meta.id, |followed| moment!(&followed.span, clients, "resent"))
                }
            },
            HubEvent::Processed(entry) => self.answered(entry, "processed"),
            HubEvent::Undone { entry, reason } => self.answered(entry, reason),
            _ => {}
        }
    }

    fn answered(&self, entry: &Entry, outcome: &str) {
        self.with(&entry.meta.id, |followed| {
            followed.span.record("outcome", outcome);
            moment!(&followed.span, outcome, "answered");
        });
        // The answers to these go to one connection, and are not reported as sent.
        if entry.meta.added.is_none()
            && (entry.action.kind() == UNSUBSCRIBE || !entry.meta.id.node().is_server())
        {
            self.end(&entry.meta.id);
        }
    }
}

/// The W3C `traceparent` of a span, for the header of a request that belongs to it.
#[cfg(feature = "opentelemetry")]
pub(crate) fn traceparent(span: &Span) -> Option<hyper::header::HeaderValue> {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let told = span.span_context();
    let flags = told.trace_flags().to_u8();
    let text = format!("00-{}-{}-{flags:02x}", told.trace_id(), told.span_id());
    told.is_valid().then(|| text.parse().ok()).flatten()
}

/// Nobody has given the span a place in a trace of W3C's kind.
#[cfg(not(feature = "opentelemetry"))]
pub(crate) const fn traceparent(_: &Span) -> Option<hyper::header::HeaderValue> {
    None
}
