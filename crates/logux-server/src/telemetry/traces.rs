#![doc = include_str!("../docs/traces.md")]
// Without a subscriber for these spans, nothing is stored and the cost is small.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use logux::{
    ActionId, Entry,
    action::logux::{PROCESSED, UNDO, UNSUBSCRIBE},
    name_excerpt,
    server::HubEvent,
};
use tracing::Span;

use crate::telemetry::event::Event;

/// The target of all spans and their events.
pub const TARGET: &str = "logux_server::traces";

/// The largest number of actions in progress with a span.
const MAX_ACTIONS: usize = 10_000;

/// Creates a span of the server, if a subscriber wants it.
macro_rules! span {
    ($($description:tt)*) => { tracing::debug_span!(target: "logux_server::traces", $($description)*) };
}
pub(crate) use span;

/// Emits an event in a span.
macro_rules! span_event {
    ($span:expr, $($description:tt)*) => {
        tracing::debug!(target: "logux_server::traces", parent: $span, $($description)*)
    };
}

/// The actions in progress that have a span.
#[derive(Debug, Default)]
pub(crate) struct Traces(Mutex<HashMap<ActionId, TracedAction>>);

#[derive(Debug)]
struct TracedAction {
    span: Span,
    /// Whether the action was added; a duplicate is not.
    is_added: bool,
}

impl Traces {
    fn traced(&self) -> MutexGuard<'_, HashMap<ActionId, TracedAction>> {
        // Every change is one call, so a panic of another holder leaves the map consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Continues the span of the action that an event is about.
    pub(crate) fn record(&self, event: &Event<'_>) {
        if !tracing::enabled!(target: "logux_server::traces", tracing::Level::DEBUG) {
            return;
        }
        match event {
            Event::Received(entries) => entries.iter().for_each(|entry| self.begin(entry)),
            Event::Requested(entry) => {
                self.begin(entry);
                self.with(&entry.meta.id, |traced| span_event!(&traced.span, "asked"));
            }
            Event::Hub(hub_event) => self.record_hub_event(hub_event),
            _ => {}
        }
    }

    /// Returns a span for the handlers of an action.
    pub(crate) fn application_span(&self, id: &ActionId) -> Span {
        if !tracing::enabled!(target: "logux_server::traces", tracing::Level::DEBUG) {
            return Span::none();
        }
        self.traced()
            .get(id)
            .map_or_else(Span::none, |traced| span!(parent: &traced.span, "application"))
    }

    fn begin(&self, Entry { action, meta }: &Entry) {
        let mut traced = self.traced();
        if traced.contains_key(&meta.id) || traced.len() >= MAX_ACTIONS {
            return;
        }
        let (id, node) = (meta.id.to_string(), meta.id.node().as_str());
        let span = span!(
            parent: None,
            "action",
            actionId = &*name_excerpt(&id),
            "type" = &*name_excerpt(action.kind()),
            nodeId = node,
            "otel.kind" = "server",
            outcome = tracing::field::Empty
        );
        traced.insert(meta.id.clone(), TracedAction { span, is_added: false });
    }

    fn with(&self, id: &ActionId, update: impl FnOnce(&mut TracedAction)) {
        if let Some(traced) = self.traced().get_mut(id) {
            update(traced);
        }
    }

    fn end(&self, id: &ActionId) {
        self.traced().remove(id);
    }

    fn record_hub_event(&self, hub_event: &HubEvent) {
        match hub_event {
            HubEvent::Added(entry) => self.with(&entry.meta.id, |traced| {
                traced.is_added = true;
                span_event!(&traced.span, kept = entry.meta.added.is_some(), "kept");
            }),
            HubEvent::Duplicate(id) => {
                let mut has_ended = false;
                self.with(id, |traced| {
                    span_event!(&traced.span, "came again");
                    has_ended = !traced.is_added;
                });
                if has_ended {
                    self.end(id);
                }
            }
            HubEvent::Sent(entry, clients) => match entry.action.kind() {
                PROCESSED | UNDO if entry.meta.id.node().is_server() => {
                    let id =
                        entry.action.str_field("id").and_then(|id| id.parse::<ActionId>().ok());
                    if let Some(id) = id {
                        self.with(&id, |traced| span_event!(&traced.span, clients, "delivered"));
                        self.end(&id);
                    }
                }
                _ => {
                    self.with(&entry.meta.id, |traced| span_event!(&traced.span, clients, "resent"))
                }
            },
            HubEvent::Processed(entry) => self.record_answer(entry, "processed"),
            HubEvent::Undone { entry, reason } => self.record_answer(entry, reason),
            _ => {}
        }
    }

    fn record_answer(&self, entry: &Entry, outcome: &str) {
        self.with(&entry.meta.id, |traced| {
            let outcome = &*name_excerpt(outcome);
            traced.span.record("outcome", outcome);
            span_event!(&traced.span, outcome, "answered");
        });
        // The answers to these actions go to one connection only, without a `Sent` event.
        if entry.meta.added.is_none()
            && (entry.action.kind() == UNSUBSCRIBE || !entry.meta.id.node().is_server())
        {
            self.end(&entry.meta.id);
        }
    }
}

/// Returns the W3C `traceparent` of a span, for the header of a request that belongs to it.
#[cfg(feature = "opentelemetry")]
pub(crate) fn traceparent(span: &Span) -> Option<hyper::header::HeaderValue> {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    let flags = context.trace_flags().to_u8();
    let text = format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id());
    context.is_valid().then(|| text.parse().ok()).flatten()
}

/// Without the feature `opentelemetry`, spans have no W3C trace context.
#[cfg(not(feature = "opentelemetry"))]
pub(crate) const fn traceparent(_: &Span) -> Option<hyper::header::HeaderValue> {
    None
}
