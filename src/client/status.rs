//! What an application shows about the connection and the user's actions.

use core::fmt;
use std::{collections::BTreeSet, time::Duration};

use super::reconnection::WRONG_CREDENTIALS;
use crate::{action::ActionId, sync::State, time::MonoTime};

/// How long an attempt lasts before it is shown.
const SHOW_CONNECTING_AFTER: Duration = Duration::from_millis(100);

/// How long all is processed before it is shown, so that the status does not flicker.
const SHOW_SYNCHRONIZED_AFTER: Duration = Duration::from_millis(500);

/// How long [`Status::SynchronizedAfterWait`] is shown.
const SHOW_SAVED_FOR: Duration = Duration::from_secs(3);

/// What an application shows about the connection and the user's actions: the values of `status()`
/// of `@logux/client`, with its delays.
///
/// The values with `AfterWait` follow [`Wait`](Self::Wait): the user has seen that actions are not
/// saved, and waits to see that they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// There is no connection, and no action waits for it.
    Disconnected,
    /// There is no connection, and the user has made actions since, or before the start.
    Wait,
    /// An attempt to connect has lasted 100 ms.
    Connecting,
    /// As `Connecting`.
    ConnectingAfterWait,
    /// The server has not confirmed all actions.
    Sending,
    /// As `Sending`.
    SendingAfterWait,
    /// For 500 ms, the server has processed all actions.
    Synchronized,
    /// The server has processed the actions that had to wait; for 3 s, then `Synchronized`.
    SynchronizedAfterWait,
    /// The server has undone an action, because the user may not do it.
    Denied,
    /// The server has undone an action for another reason.
    Error,
    /// The server has sent something that is not valid, or reports an error of this client.
    SyncError,
    /// The server refuses this version of the client. The user has to update it.
    ProtocolError,
    /// The server refuses the user or the token. The user has to log in again.
    WrongCredentials,
}

impl Status {
    /// Returns the name of the value in `@logux/client`, such as `connectingAfterWait`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Wait => "wait",
            Self::Connecting => "connecting",
            Self::ConnectingAfterWait => "connectingAfterWait",
            Self::Sending => "sending",
            Self::SendingAfterWait => "sendingAfterWait",
            Self::Synchronized => "synchronized",
            Self::SynchronizedAfterWait => "synchronizedAfterWait",
            Self::Denied => "denied",
            Self::Error => "error",
            Self::SyncError => "syncError",
            Self::ProtocolError => "protocolError",
            Self::WrongCredentials => "wrongCredentials",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value that is shown later, if nothing happens before.
#[derive(Clone, Copy, Debug)]
enum Later {
    Connecting,
    Synchronized,
}

/// Computes the [`Status`].
#[derive(Debug)]
pub(super) struct StatusTracker {
    status: Status,
    connection: State,
    /// Whether there was no connection since the last time that all was sent.
    is_offline: bool,
    /// Whether the user has seen that actions wait for a connection.
    has_waited: bool,
    /// Whether an error is shown until all is sent.
    has_error: bool,
    /// The own actions that the server has not answered.
    unanswered: BTreeSet<ActionId>,
    later: Option<(MonoTime, Later)>,
    changes: Vec<Status>,
}

impl StatusTracker {
    /// Creates the tracker of a client that is not connected.
    pub(super) fn new(has_unconfirmed: bool) -> Self {
        Self {
            status: if has_unconfirmed { Status::Wait } else { Status::Disconnected },
            connection: State::Disconnected,
            is_offline: true,
            has_waited: has_unconfirmed,
            has_error: false,
            unanswered: BTreeSet::new(),
            later: None,
            changes: Vec::new(),
        }
    }

    /// Forgets everything, for another user.
    pub(super) fn reset(&mut self) {
        self.set(Status::Disconnected);
        let changes = core::mem::take(&mut self.changes);
        *self = Self { changes, ..Self::new(false) };
    }

    pub(super) const fn status(&self) -> Status {
        self.status
    }

    /// Returns the changes since the last call.
    pub(super) fn take_changes(&mut self) -> impl Iterator<Item = Status> + use<> {
        core::mem::take(&mut self.changes).into_iter()
    }

    pub(super) fn next_change(&self) -> Option<MonoTime> {
        self.later.map(|(at, _)| at)
    }

    /// Handles a state of the connection, changed or not.
    pub(super) fn connection(&mut self, now: MonoTime, state: State) {
        if core::mem::replace(&mut self.connection, state) == state {
            return;
        }
        self.later = None;
        match state {
            State::Synchronized => {
                self.has_error = false;
                self.is_offline = false;
                self.all_processed(now);
            }
            State::Disconnected => {
                self.is_offline = true;
                if !self.has_error {
                    self.set(if self.has_waited { Status::Wait } else { Status::Disconnected });
                }
            }
            _ if self.has_error => {}
            State::Connecting => {
                self.later = Some((now.after(SHOW_CONNECTING_AFTER), Later::Connecting));
            }
            State::Sending if self.has_waited => self.set(Status::SendingAfterWait),
            State::Sending => self.set(Status::Sending),
        }
    }

    /// Handles an own action that the server has not answered.
    pub(super) fn added(&mut self, id: ActionId) {
        self.unanswered.insert(id);
        if self.is_offline && !self.has_waited {
            self.has_waited = true;
            self.set(Status::Wait);
        }
    }

    /// Handles an own action that the server has processed, or that was dropped.
    pub(super) fn processed(&mut self, now: MonoTime, id: &ActionId) {
        self.unanswered.remove(id);
        if self.connection == State::Synchronized {
            self.all_processed(now);
        }
    }

    /// Handles an action, own or not, that the server or another client has undone.
    pub(super) fn undone(&mut self, id: &ActionId, reason: &str) {
        self.unanswered.remove(id);
        self.set(if reason == "denied" { Status::Denied } else { Status::Error });
    }

    /// Handles an error that the server has reported.
    pub(super) fn peer_error(&mut self, kind: &str) {
        self.has_error |= kind != "timeout";
        match kind {
            "wrong-protocol" | "wrong-subprotocol" => self.set(Status::ProtocolError),
            WRONG_CREDENTIALS => self.set(Status::WrongCredentials),
            "timeout" => {}
            _ => self.set(Status::SyncError),
        }
    }

    /// Handles something from the server that is not valid.
    pub(super) fn invalid(&mut self) {
        self.has_error = true;
        self.set(Status::SyncError);
    }

    /// Forgets the error of the last connection: there is another user, or another token.
    pub(super) fn forget_error(&mut self) {
        self.has_error = false;
    }

    pub(super) fn wake(&mut self, now: MonoTime) {
        let Some((_, later)) = self.later.take_if(|(at, _)| *at <= now) else { return };
        self.set(match later {
            Later::Connecting if self.has_waited => Status::ConnectingAfterWait,
            Later::Connecting => Status::Connecting,
            Later::Synchronized => Status::Synchronized,
        });
    }

    fn all_processed(&mut self, now: MonoTime) {
        if !self.unanswered.is_empty() {
            return;
        }
        let mut delay = SHOW_SYNCHRONIZED_AFTER;
        if core::mem::take(&mut self.has_waited) {
            self.set(Status::SynchronizedAfterWait);
            delay = SHOW_SAVED_FOR;
        }
        self.later = Some((now.after(delay), Later::Synchronized));
    }

    fn set(&mut self, status: Status) {
        let is_event = matches!(status, Status::Denied | Status::Error);
        if is_event || status != self.status {
            self.status = status;
            self.changes.push(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Status::*, *};

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_millis(ms)
    }

    fn id(number: u32) -> ActionId {
        format!("{number} 10:a 0").parse().unwrap_or_else(|_| unreachable!("a valid id"))
    }

    /// Returns the changes up to this time.
    fn until(tracker: &mut StatusTracker, ms: u64) -> Vec<Status> {
        while tracker.next_change().is_some_and(|due| due <= at(ms)) {
            tracker.wake(at(ms));
        }
        tracker.take_changes().collect()
    }

    /// Connects within no time at `ms`.
    fn connect(tracker: &mut StatusTracker, ms: u64) {
        tracker.connection(at(ms), State::Connecting);
        tracker.connection(at(ms), State::Synchronized);
    }

    #[test]
    fn a_connection_is_shown_with_delays() {
        let mut it = StatusTracker::new(false);
        assert_eq!(it.status(), Disconnected);
        it.connection(at(0), State::Connecting);
        assert_eq!(until(&mut it, 99), []);
        assert_eq!(until(&mut it, 100), [Connecting]);
        it.connection(at(200), State::Synchronized);
        assert_eq!(until(&mut it, 699), []);
        assert_eq!(until(&mut it, 700), [Synchronized]);
        it.added(id(1));
        it.connection(at(1_000), State::Sending);
        assert_eq!(until(&mut it, 1_000), [Sending]);
        it.connection(at(1_100), State::Synchronized);
        assert_eq!(until(&mut it, 9_000), [], "it is not processed");
        it.processed(at(9_000), &id(1));
        assert_eq!(until(&mut it, 9_499), []);
        assert_eq!(until(&mut it, 9_500), [Synchronized]);
        it.connection(at(10_000), State::Disconnected);
        assert_eq!(until(&mut it, 20_000), [Disconnected]);
    }

    #[test]
    fn actions_without_a_connection_wait() {
        let mut it = StatusTracker::new(false);
        it.added(id(1));
        it.added(id(2));
        assert_eq!(until(&mut it, 0), [Wait]);
        it.connection(at(0), State::Connecting);
        assert_eq!(until(&mut it, 100), [ConnectingAfterWait]);
        it.connection(at(200), State::Disconnected);
        assert_eq!(until(&mut it, 200), [Wait]);
        it.connection(at(300), State::Sending);
        assert_eq!(until(&mut it, 300), [SendingAfterWait]);
        it.processed(at(350), &id(1));
        it.connection(at(400), State::Synchronized);
        assert_eq!(until(&mut it, 400), []);
        it.processed(at(500), &id(2));
        assert_eq!(until(&mut it, 3_499), [SynchronizedAfterWait]);
        assert_eq!(until(&mut it, 3_500), [Synchronized]);
    }

    #[test]
    fn actions_of_an_earlier_start_wait() {
        let mut it = StatusTracker::new(true);
        assert_eq!(it.status(), Wait);
        connect(&mut it, 0);
        assert_eq!(until(&mut it, 3_000), [SynchronizedAfterWait, Synchronized]);
    }

    #[test]
    fn each_refused_action_is_shown() {
        let mut it = StatusTracker::new(false);
        connect(&mut it, 0);
        until(&mut it, 500);
        it.undone(&id(1), "denied");
        it.undone(&id(2), "denied");
        it.undone(&id(3), "error");
        assert_eq!(until(&mut it, 9_000), [Denied, Denied, Error]);
        it.processed(at(9_000), &id(4));
        assert_eq!(until(&mut it, 9_500), [Synchronized]);
    }

    #[test]
    fn an_error_stays_until_the_connection_works() {
        for (kind, status) in [
            ("wrong-protocol", ProtocolError),
            ("wrong-subprotocol", ProtocolError),
            ("wrong-credentials", WrongCredentials),
            ("wrong-format", SyncError),
        ] {
            let mut it = StatusTracker::new(false);
            it.connection(at(0), State::Connecting);
            it.peer_error(kind);
            it.connection(at(0), State::Disconnected);
            it.connection(at(1_000), State::Connecting);
            assert_eq!(until(&mut it, 2_000), [status]);
            connect(&mut it, 3_000);
            assert_eq!(until(&mut it, 9_000), [Synchronized]);
        }
        // The next attempt is too slow, which says nothing about the error.
        let mut it = StatusTracker::new(false);
        it.peer_error("wrong-credentials");
        it.connection(at(0), State::Connecting);
        it.peer_error("timeout");
        it.connection(at(50), State::Disconnected);
        assert_eq!(until(&mut it, 1_000), [WrongCredentials]);
        let mut it = StatusTracker::new(false);
        it.peer_error("timeout");
        it.peer_error("wrong-credentials");
        it.forget_error();
        it.connection(at(0), State::Connecting);
        assert_eq!(until(&mut it, 100), [WrongCredentials, Connecting]);
    }
}
