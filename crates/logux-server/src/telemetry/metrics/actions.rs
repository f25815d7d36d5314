//! Metrics of actions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use logux::{
    ActionId, Entry,
    action::logux::{SUBSCRIBE, UNSUBSCRIBE, is_logux},
    name_excerpt,
    server::HubEvent,
};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::telemetry::metrics::seconds_histogram;

/// The largest number of action types with metrics of their own: those with handlers, and the first
/// that were processed. Clients can send any type, so all others are counted as one.
const MAX_TYPES: usize = 100;
/// The label of all other types. Applications do not use it as a type; if one does, its actions are
/// counted here.
const OTHER: &str = "other";
/// The largest number of actions in progress that are timed.
const MAX_IN_PROGRESS: usize = 100_000;
/// An action is not timed any more after this time; usually its client has disconnected.
const MAX_DURATION: Duration = Duration::from_secs(3_600);

pub(super) struct ActionMetrics {
    outcomes: Family<[(&'static str, Arc<str>); 2], Counter>,
    seconds: Family<[(&'static str, Arc<str>); 1], Histogram>,
    waited: Histogram,
    duplicates: Counter,
    deliveries: Counter,
    receivers: Histogram,
    subscriptions: Counter,
    commands: Counter,
    rounds: Histogram,
    /// Only the hub's thread writes, so the lock is free and cheap.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    types: HashMap<Box<str>, TypeMetrics>,
    in_progress: HashMap<ActionId, Instant>,
}

/// The metrics of one type, without look-ups by label.
#[derive(Clone)]
struct TypeMetrics {
    name: Arc<str>,
    processed: Counter,
    seconds: Histogram,
}

impl ActionMetrics {
    pub(super) fn register(
        registry: &mut Registry,
        types: impl IntoIterator<Item = String>,
    ) -> Self {
        let new = Self {
            outcomes: Family::default(),
            seconds: Family::new_with_constructor(seconds_histogram),
            waited: seconds_histogram(),
            duplicates: Counter::default(),
            deliveries: Counter::default(),
            receivers: Histogram::new([
                0.0, 1.0, 2.0, 5.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0,
            ]),
            subscriptions: Counter::default(),
            commands: Counter::default(),
            rounds: seconds_histogram(),
            state: Mutex::default(),
        };
        registry.register(
            "actions",
            "Completed actions, by type and outcome",
            new.outcomes.clone(),
        );
        let seconds = "Time from the arrival of an action to its answer, by type";
        registry.register("action_seconds", seconds, new.seconds.clone());
        let waited = "Time that actions waited for their handler request";
        registry.register("action_wait_seconds", waited, new.waited.clone());
        registry.register(
            "action_duplicates",
            "Actions that were received again",
            new.duplicates.clone(),
        );
        registry.register(
            "deliveries",
            "Actions and answers that were sent, counted for each client",
            new.deliveries.clone(),
        );
        registry.register(
            "action_receivers",
            "Number of clients that an action was sent to",
            new.receivers.clone(),
        );
        registry.register(
            "subscribed",
            "Subscriptions that were started",
            new.subscriptions.clone(),
        );
        registry.register(
            "hub_commands",
            "Commands that the hub has executed",
            new.commands.clone(),
        );
        registry.register(
            "hub_round_seconds",
            "Time of a round of the hub, with its commit",
            new.rounds.clone(),
        );
        let mut state = new.state();
        for name in [SUBSCRIBE, UNSUBSCRIBE, OTHER]
            .map(str::to_owned)
            .into_iter()
            .chain(types)
            .take(MAX_TYPES)
        {
            new.add_type(&mut state, &name);
        }
        drop(state);
        new
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one call, so a panic of another holder leaves the maps consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, event: &HubEvent) {
        match event {
            // The server's own actions have no end unless a handler is called for them.
            HubEvent::Added(entry) if !entry.meta.id.node().is_server() => {
                self.state().start_time(&entry.meta.id);
            }
            HubEvent::Processed(entry) => self.processed(entry),
            HubEvent::Undone { entry, reason } => self.undone(entry, reason),
            HubEvent::Duplicate(_) => {
                self.duplicates.inc();
            }
            HubEvent::Sent(entry, clients) => {
                self.deliveries.inc_by(*clients as u64);
                if !is_logux(entry.action.kind()) {
                    self.receivers.observe(*clients as f64);
                }
            }
            HubEvent::Loaded { actions, .. } => {
                self.deliveries.inc_by(*actions as u64);
            }
            HubEvent::Subscribed { .. } => {
                self.subscriptions.inc();
            }
            _ => {}
        }
    }

    /// A handler request for an action was sent to the application.
    pub(super) fn requested(&self, entry: &Entry) {
        let started = self.state().start_time(&entry.meta.id);
        self.waited.observe(started.elapsed().as_secs_f64());
    }

    /// A round of the hub has ended.
    pub(super) fn round(&self, commands: usize, duration: Duration) {
        self.commands.inc_by(commands as u64);
        self.rounds.observe(duration.as_secs_f64());
    }

    fn processed(&self, entry: &Entry) {
        let mut state = self.state();
        let started = state.in_progress.remove(&entry.meta.id);
        let kind = &*name_excerpt(entry.action.kind());
        let metrics = match state.types.get(kind) {
            Some(known) => known,
            // Only types that the application has processed are added.
            None if state.types.len() < MAX_TYPES => self.add_type(&mut state, kind),
            None => match state.types.get(OTHER) {
                Some(other) => other,
                None => return,
            },
        };
        metrics.processed.inc();
        if let Some(started) = started {
            metrics.seconds.observe(started.elapsed().as_secs_f64());
        }
    }

    fn undone(&self, entry: &Entry, reason: &str) {
        let mut state = self.state();
        let started = state.in_progress.remove(&entry.meta.id);
        let metrics =
            state.types.get(&*name_excerpt(entry.action.kind())).or_else(|| state.types.get(OTHER));
        let Some(metrics) = metrics else { return };
        let outcome = [("type", metrics.name.clone()), ("outcome", outcome_label(reason).into())];
        self.outcomes.get_or_create(&outcome).inc();
        if let Some(started) = started {
            metrics.seconds.observe(started.elapsed().as_secs_f64());
        }
    }

    fn add_type<'a>(&self, state: &'a mut State, kind: &str) -> &'a TypeMetrics {
        let kind = &*name_excerpt(kind);
        let name: Arc<str> = kind.into();
        let outcome = [("type", name.clone()), ("outcome", "processed".into())];
        let new = TypeMetrics {
            processed: self.outcomes.get_or_create_owned(&outcome),
            seconds: self.seconds.get_or_create_owned(&[("type", name.clone())]),
            name,
        };
        state.types.entry(kind.into()).or_insert(new)
    }
}

impl State {
    /// Returns when an action was received; the current time if it is new.
    fn start_time(&mut self, id: &ActionId) -> Instant {
        let now = Instant::now();
        if self.in_progress.len() >= MAX_IN_PROGRESS && !self.in_progress.contains_key(id) {
            self.in_progress.retain(|_, started| started.elapsed() < MAX_DURATION);
            if self.in_progress.len() >= MAX_IN_PROGRESS {
                return now;
            }
        }
        *self.in_progress.entry(id.clone()).or_insert(now)
    }
}

/// Maps the reason of an undo to one of a few label values, whatever reasons the application uses.
fn outcome_label(reason: &str) -> &'static str {
    match reason {
        "denied" => "denied",
        "unknownType" => "unknownType",
        "wrongChannel" => "wrongChannel",
        "error" => "error",
        "notFound" => "notFound",
        "wrongTime" => "wrongTime",
        "wrongFormat" => "wrongFormat",
        "rateLimit" => "rateLimit",
        "tooLarge" => "tooLarge",
        "tooDeep" => "tooDeep",
        "wrongId" => "wrongId",
        "schema" => "schema",
        "deleted" => "deleted",
        "purged" => "purged",
        "tooOld" => "tooOld",
        "settled" => "settled",
        "documentTooLarge" => "documentTooLarge",
        "documentLimit" => "documentLimit",
        "userBytesLimit" => "userBytesLimit",
        _ => "undone",
    }
}
