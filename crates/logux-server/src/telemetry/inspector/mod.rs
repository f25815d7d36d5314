//! A page for developers: who is connected, which channels there are, what became of each action.
//!
//! [`Inspector`] hears of every event and remembers the latest ones; [`answers`] gives them to the page, if the [`InspectorAccess`] allows. Only in
//! development: actions are shown as they are.

mod actions;
pub(crate) mod clients;
mod event_log;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::server::{HubEvent, SessionId};
use logux_net::drive::Clock;
use serde::Serialize;

use actions::{Actions, ShownAction};
use event_log::{EventLog, LoggedEvent};

use crate::telemetry::event::{Event, Failure};

/// How many connections are remembered at most.
const MAX_CONNECTIONS: usize = 5_000;

/// What the page shows.
#[derive(Debug)]
pub(crate) struct Inspector {
    clock: Clock,
    started: u64,
    seen: Mutex<InspectorState>,
}

#[derive(Debug, Default)]
struct InspectorState {
    /// Grows with each change, so that the page can ask for what is new.
    change: u64,
    actions: Actions,
    told: EventLog,
    connections: HashMap<SessionId, ConnectionView>,
}

/// What is known about a connection from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionView {
    pub(crate) since: u64,
    pub(crate) remote: Option<SocketAddr>,
}

/// What has changed since the page asked last.
#[derive(Debug, Serialize)]
pub(crate) struct InspectorUpdate {
    /// When the server was started, ms since the epoch.
    started: u64,
    /// When this was put together.
    now: u64,
    /// For the next question.
    change: u64,
    actions: Vec<ShownAction>,
    events: Vec<LoggedEvent>,
}

impl Inspector {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, started: millis(clock), seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, InspectorState> {
        // What a panic of another holder leaves is shown as it is.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what happened.
    pub(crate) fn record(&self, event: &Event<'_>) {
        if matches!(event, Event::Traffic { .. } | Event::Round { .. } | Event::Received(_)) {
            return;
        }
        let mut seen = self.seen();
        seen.change += 1;
        let change = seen.change;
        match event {
            Event::Hub(report) => seen.actions.record(change, millis(self.clock), report),
            Event::Requested(entry) => seen.actions.requested(change, &entry.meta.id),
            Event::Failed { what: Failure::Action(id), error } => {
                seen.actions.failed(change, id, error)
            }
            Event::Connected { session, remote } if seen.connections.len() < MAX_CONNECTIONS => {
                seen.connections.insert(
                    *session,
                    ConnectionView { since: millis(self.clock), remote: *remote },
                );
            }
            Event::Disconnected { session, .. } => {
                seen.connections.remove(session);
            }
            _ => {}
        }
        if !matches!(event, Event::Hub(HubEvent::Sent(..))) {
            seen.told.record(change, millis(self.clock), event);
        }
    }

    /// What has changed after this number.
    pub(crate) fn news(&self, after: u64) -> InspectorUpdate {
        let seen = self.seen();
        InspectorUpdate {
            started: self.started,
            now: millis(self.clock),
            change: seen.change,
            actions: seen.actions.after(after),
            events: seen.told.after(after),
        }
    }

    /// What is known about a connection.
    pub(crate) fn connection(&self, session: SessionId) -> Option<ConnectionView> {
        self.seen().connections.get(&session).copied()
    }
}

/// Milliseconds since the epoch.
fn millis(clock: Clock) -> u64 {
    u64::try_from(clock.now().wall.as_millis()).unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
