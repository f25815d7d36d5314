//! A page for developers: who is connected, which channels there are, what became of each action.
//!
//! [`Inspector`] hears of every event and remembers the latest ones; [`answers`] gives them to the page, if the [`Audience`] allows. Only in
//! development: actions are shown as they are.

mod actions;
pub(crate) mod clients;
mod told;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use logux::server::{Report, SessionId};
use serde::Serialize;

use actions::{Actions, ShownAction};
use told::{Told, ToldEvent};

use crate::telemetry::event::{Event, Failure};

/// How many connections are remembered at most.
const MAX_CONNECTIONS: usize = 5_000;

/// What the page shows.
#[derive(Debug)]
pub(crate) struct Inspector {
    started: u64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Grows with each change, so that the page can ask for what is new.
    change: u64,
    actions: Actions,
    told: Told,
    connections: HashMap<SessionId, Connection>,
}

/// What is known about a connection from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) since: u64,
    pub(crate) remote: Option<SocketAddr>,
}

/// What has changed since the page asked last.
#[derive(Debug, Serialize)]
pub(crate) struct News {
    /// When the server was started, ms since the epoch.
    started: u64,
    /// When this was put together.
    now: u64,
    /// For the next question.
    change: u64,
    actions: Vec<ShownAction>,
    events: Vec<ToldEvent>,
}

impl Inspector {
    pub(crate) fn new() -> Self {
        Self { started: now(), seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // What a panic of another holder leaves is shown as it is.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what happened.
    pub(crate) fn note(&self, event: &Event<'_>) {
        if matches!(event, Event::Traffic { .. } | Event::Round { .. } | Event::Received(_)) {
            return;
        }
        let mut seen = self.seen();
        seen.change += 1;
        let change = seen.change;
        match event {
            Event::Hub(report) => seen.actions.note(change, now(), report),
            Event::Asked(entry) => seen.actions.asked(change, &entry.meta.id),
            Event::Failed { what: Failure::Action(id), error } => {
                seen.actions.failed(change, id, error)
            }
            Event::Connected { session, remote } if seen.connections.len() < MAX_CONNECTIONS => {
                seen.connections.insert(*session, Connection { since: now(), remote: *remote });
            }
            Event::Disconnected { session, .. } => {
                seen.connections.remove(session);
            }
            _ => {}
        }
        if !matches!(event, Event::Hub(Report::Sent(..))) {
            seen.told.note(change, now(), event);
        }
    }

    /// What has changed after this number.
    pub(crate) fn news(&self, after: u64) -> News {
        let seen = self.seen();
        News {
            started: self.started,
            now: now(),
            change: seen.change,
            actions: seen.actions.after(after),
            events: seen.told.after(after),
        }
    }

    /// What is known about a connection.
    pub(crate) fn connection(&self, session: SessionId) -> Option<Connection> {
        self.seen().connections.get(&session).copied()
    }
}

/// Milliseconds since the epoch.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
