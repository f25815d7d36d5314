//! Numbers about actions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use logux::{
    ActionId, Entry,
    action::logux::{SUBSCRIBE, UNSUBSCRIBE, is_logux},
    server::HubEvent,
};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::telemetry::metrics::seconds;

/// How many types have numbers of their own: those with handlers, and the first that were processed. Clients can name any type, so the
/// others are counted as one.
const MAX_TYPES: usize = 100;
/// What those are called. No application's type is: it would be counted among them.
const OTHER: &str = "other";
/// How many actions in progress are timed at most.
const MAX_FLIGHTS: usize = 100_000;
/// After this time an action is not timed any more: its client went away in the middle, most likely.
const MAX_FLIGHT: Duration = Duration::from_secs(3_600);

pub(super) struct Actions {
    outcomes: Family<[(&'static str, Arc<str>); 2], Counter>,
    seconds: Family<[(&'static str, Arc<str>); 1], Histogram>,
    waited: Histogram,
    duplicates: Counter,
    deliveries: Counter,
    receivers: Histogram,
    subscriptions: Counter,
    commands: Counter,
    rounds: Histogram,
    /// Only the hub's thread writes; a lock that nobody else wants costs next to nothing.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    types: HashMap<Box<str>, OfType>,
    flights: HashMap<ActionId, Instant>,
}

/// The numbers of one type that are counted most, at hand.
#[derive(Clone)]
struct OfType {
    name: Arc<str>,
    processed: Counter,
    seconds: Histogram,
}

impl Actions {
    pub(super) fn register(
        registry: &mut Registry,
        types: impl IntoIterator<Item = String>,
    ) -> Self {
        let new = Self {
            outcomes: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            waited: seconds(),
            duplicates: Counter::default(),
            deliveries: Counter::default(),
            receivers: Histogram::new([
                0.0, 1.0, 2.0, 5.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0,
            ]),
            subscriptions: Counter::default(),
            commands: Counter::default(),
            rounds: seconds(),
            state: Mutex::default(),
        };
        registry.register(
            "actions",
            "Actions that came to their end, by type and outcome",
            new.outcomes.clone(),
        );
        let seconds = "From the arrival of an action to its answer, by type";
        registry.register("action_seconds", seconds, new.seconds.clone());
        let waited = "How long actions waited until the application was asked";
        registry.register("action_wait_seconds", waited, new.waited.clone());
        registry.register("action_duplicates", "Actions that came again", new.duplicates.clone());
        registry.register(
            "deliveries",
            "Actions and answers sent, once for each client",
            new.deliveries.clone(),
        );
        registry.register(
            "action_receivers",
            "How many clients an action was sent to",
            new.receivers.clone(),
        );
        registry.register("subscribed", "Subscriptions that began", new.subscriptions.clone());
        registry.register("hub_commands", "Commands that the hub has done", new.commands.clone());
        registry.register(
            "hub_round_seconds",
            "Rounds of the hub: work and commit",
            new.rounds.clone(),
        );
        let mut state = new.state();
        for name in [SUBSCRIBE, UNSUBSCRIBE, OTHER]
            .map(str::to_owned)
            .into_iter()
            .chain(types)
            .take(MAX_TYPES)
        {
            new.own_numbers(&mut state, &name);
        }
        drop(state);
        new
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another holder leaves the maps whole: every change is one call.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, report: &HubEvent) {
        match report {
            // The application's own actions have no end unless it is asked about them.
            HubEvent::Added(entry) if !entry.meta.id.node().is_server() => {
                self.state().take_off(&entry.meta.id);
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
            HubEvent::Subscribed { .. } => {
                self.subscriptions.inc();
            }
            _ => {}
        }
    }

    /// The application is asked about an action.
    pub(super) fn requested(&self, entry: &Entry) {
        let since = self.state().take_off(&entry.meta.id);
        self.waited.observe(since.elapsed().as_secs_f64());
    }

    /// A round of the hub is over.
    pub(super) fn round(&self, commands: usize, took: Duration) {
        self.commands.inc_by(commands as u64);
        self.rounds.observe(took.as_secs_f64());
    }

    fn processed(&self, entry: &Entry) {
        let mut state = self.state();
        let began = state.flights.remove(&entry.meta.id);
        let kind = entry.action.kind();
        let of_type = match state.types.get(kind) {
            Some(known) => known,
            // Only the application can make types known: it has processed this one.
            None if state.types.len() < MAX_TYPES => self.own_numbers(&mut state, kind),
            None => match state.types.get(OTHER) {
                Some(other) => other,
                None => return,
            },
        };
        of_type.processed.inc();
        if let Some(began) = began {
            of_type.seconds.observe(began.elapsed().as_secs_f64());
        }
    }

    fn undone(&self, entry: &Entry, reason: &str) {
        let mut state = self.state();
        let began = state.flights.remove(&entry.meta.id);
        let of_type = state.types.get(entry.action.kind()).or_else(|| state.types.get(OTHER));
        let Some(of_type) = of_type else { return };
        let outcome = [("type", of_type.name.clone()), ("outcome", known_outcome(reason).into())];
        self.outcomes.get_or_create(&outcome).inc();
        if let Some(began) = began {
            of_type.seconds.observe(began.elapsed().as_secs_f64());
        }
    }

    fn own_numbers<'a>(&self, state: &'a mut State, kind: &str) -> &'a OfType {
        let name: Arc<str> = kind.into();
        let outcome = [("type", name.clone()), ("outcome", "processed".into())];
        let new = OfType {
            processed: self.outcomes.get_or_create_owned(&outcome),
            seconds: self.seconds.get_or_create_owned(&[("type", name.clone())]),
            name,
        };
        state.types.entry(kind.into()).or_insert(new)
    }
}

impl State {
    /// When an action came: now, if it is new.
    fn take_off(&mut self, id: &ActionId) -> Instant {
        let now = Instant::now();
        if self.flights.len() >= MAX_FLIGHTS && !self.flights.contains_key(id) {
            self.flights.retain(|_, began| began.elapsed() < MAX_FLIGHT);
            if self.flights.len() >= MAX_FLIGHTS {
                return now;
            }
        }
        *self.flights.entry(id.clone()).or_insert(now)
    }
}

/// One of few words, whatever reasons the application has.
fn known_outcome(reason: &str) -> &'static str {
    match reason {
        "denied" => "denied",
        "unknownType" => "unknownType",
        "wrongChannel" => "wrongChannel",
        "error" => "error",
        "notFound" => "notFound",
        "wrongTime" => "wrongTime",
        "wrongFormat" => "wrongFormat",
        "rateLimit" => "rateLimit",
        "backendUnavailable" => "backendUnavailable",
        _ => "undone",
    }
}
