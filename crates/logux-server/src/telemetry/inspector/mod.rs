//! The inspector, a page for developers: connected clients, channels, records, and the outcome of
//! each action.
//!
//! [`Inspector`] observes every event and remembers the latest ones, as `actions`, `records` and
//! `event_log`; `clients` is the list of connected clients, and who shows itself in channels.
//! `http::inspector_endpoint` serves them to requests that
//! [`InspectorAccess`](crate::InspectorAccess) allows, and documents, which `documents::inspected`
//! reads. Only in development, because actions are shown as they are.

mod actions;
pub(crate) mod clients;
mod event_log;
mod records;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::server::{HubEvent, SessionId};
use logux_net::drive::Clock;
use serde::Serialize;

use actions::{ActionHistory, ShownAction};
use event_log::{EventLog, LoggedEvent};
use records::{RecordHistory, ShownRecord};

use crate::telemetry::event::{Event, Failure};

/// The largest number of remembered connections.
const MAX_CONNECTIONS: usize = 5_000;

/// The events that the page shows.
#[derive(Debug)]
pub(crate) struct Inspector {
    clock: Clock,
    started: u64,
    state: Mutex<InspectorState>,
}

#[derive(Debug, Default)]
struct InspectorState {
    /// Increases with each change, so that the page can request only what is new.
    change: u64,
    actions: ActionHistory,
    records: RecordHistory,
    event_log: EventLog,
    connections: HashMap<SessionId, ConnectionView>,
}

/// What is stored about a connection from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionView {
    /// The time of the connection, in milliseconds since the epoch.
    pub(crate) since: u64,
    pub(crate) remote: Option<SocketAddr>,
}

/// The changes after a change number.
#[derive(Debug, Serialize)]
pub(crate) struct InspectorUpdate {
    /// The start of the server, in milliseconds since the epoch.
    started: u64,
    /// The time of this update, in milliseconds since the epoch.
    now: u64,
    /// The change number for the next request.
    change: u64,
    actions: Vec<ShownAction>,
    records: Vec<ShownRecord>,
    events: Vec<LoggedEvent>,
}

impl Inspector {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, started: epoch_millis(clock), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, InspectorState> {
        // After a panic of another holder, the state is shown as it is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event.
    pub(crate) fn record(&self, event: &Event<'_>) {
        if matches!(event, Event::Traffic { .. } | Event::Round { .. } | Event::Received(_)) {
            return;
        }
        let mut state = self.state();
        state.change += 1;
        let change = state.change;
        match event {
            Event::Hub(hub_event) => {
                let now = epoch_millis(self.clock);
                state.actions.record(change, now, hub_event);
                state.records.record(change, now, hub_event);
            }
            Event::Requested(entry) => state.actions.requested(change, &entry.meta.id),
            Event::Failed { what: Failure::Action(id), error } => {
                state.actions.failed(change, id, error)
            }
            Event::Connected { session, remote } if state.connections.len() < MAX_CONNECTIONS => {
                state.connections.insert(
                    *session,
                    ConnectionView { since: epoch_millis(self.clock), remote: *remote },
                );
            }
            Event::Disconnected { session, .. } => {
                state.connections.remove(session);
            }
            _ => {}
        }
        if !matches!(event, Event::Hub(HubEvent::Sent(..))) {
            state.event_log.record(change, epoch_millis(self.clock), event);
        }
    }

    /// Returns the changes after this change number.
    pub(crate) fn changes_after(&self, after: u64) -> InspectorUpdate {
        let state = self.state();
        InspectorUpdate {
            started: self.started,
            now: epoch_millis(self.clock),
            change: state.change,
            actions: state.actions.after(after),
            records: state.records.after(after),
            events: state.event_log.after(after),
        }
    }

    /// Returns what is stored about a connection.
    pub(crate) fn connection(&self, session: SessionId) -> Option<ConnectionView> {
        self.state().connections.get(&session).copied()
    }
}

/// Returns the current time in milliseconds since the epoch.
fn epoch_millis(clock: Clock) -> u64 {
    u64::try_from(clock.now().wall.as_millis()).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
