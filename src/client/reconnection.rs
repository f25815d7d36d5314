//! When a client connects: the attempts, their delays, and the reasons to make no more.

use core::{
    fmt,
    hash::{Hash, Hasher},
};
use std::collections::hash_map::DefaultHasher;

use super::Backoff;
use crate::{action::NodeId, time::MonoTime};

/// Kinds of errors of the server after which the same connection is refused again.
const FATAL_ERRORS: [&str; 3] = ["wrong-protocol", "wrong-subprotocol", WRONG_CREDENTIALS];

/// The kind of the error by which servers refuse a token.
pub(super) const WRONG_CREDENTIALS: &str = "wrong-credentials";

/// What happens to the device of a client, as far as it concerns the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceEvent {
    /// There may be a network again: the next attempt begins at once.
    Online,
    /// The device goes to sleep, or the application is frozen: the connection closes, and there are
    /// no attempts until [`Visible`](Self::Visible).
    Asleep,
    /// The device is awake, or the user sees the application again: the next attempt begins at
    /// once.
    Visible,
}

/// Why a client makes no more attempts to connect, until [`Client::resume`](super::Client::resume).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The server has refused the client with this kind of error: `wrong-protocol`,
    /// `wrong-subprotocol` or `wrong-credentials`.
    Refused(String),
    /// This number of consecutive attempts has failed: [`Backoff::attempts`].
    AttemptsExhausted(u32),
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(kind) => write!(f, "the server refuses this client: {kind}"),
            Self::AttemptsExhausted(attempts) => {
                write!(f, "no connection after {attempts} attempts")
            }
        }
    }
}

/// What the client has to do about its connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Begin an attempt.
    Connect,
    /// Close the connection, or cancel the attempt.
    Disconnect,
    /// Make no more attempts.
    Stop(StopReason),
}

/// Where the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is no connection, and no attempt.
    Idle,
    /// The next attempt begins at this time.
    Waiting(MonoTime),
    /// There is an attempt.
    Connecting,
    /// There is a connection.
    Open,
}

/// What a client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// The application wants no connection, or has never said so.
    None,
    /// The application wants a connection.
    Connection,
    /// As `None`, because the client has stopped by itself.
    Stopped,
}

/// The attempts of a client. Without [`resume`](Self::resume), the driver connects when it wants.
#[derive(Debug)]
pub(super) struct Reconnection {
    pub(super) backoff: Backoff,
    /// Whether the driver has a new token for each attempt.
    pub(super) renews_token: bool,
    phase: Phase,
    goal: Goal,
    is_asleep: bool,
    /// The attempts since the server has accepted the client.
    failed: u32,
    /// Whether the driver was told to end the connection or the attempt.
    is_leaving: bool,
    /// Whether the next attempt begins when the connection has ended.
    is_restarting: bool,
    /// All attempts, for the jitter.
    total: u64,
    /// Whether the server has accepted the client since it refused the last token.
    is_accepted: bool,
    /// The kind of the error that ends the connection.
    refused: Option<String>,
}

impl Default for Reconnection {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            renews_token: false,
            phase: Phase::Idle,
            goal: Goal::None,
            is_asleep: false,
            failed: 0,
            is_leaving: false,
            is_restarting: false,
            total: 0,
            is_accepted: true,
            refused: None,
        }
    }
}

impl Reconnection {
    pub(super) fn is_connecting(&self) -> bool {
        self.phase == Phase::Connecting && !self.is_leaving
    }

    pub(super) const fn next_attempt(&self) -> Option<MonoTime> {
        match self.phase {
            Phase::Waiting(at) => Some(at),
            _ => None,
        }
    }

    /// Begins to connect, whatever was before.
    pub(super) fn resume(&mut self) -> Option<Step> {
        self.goal = Goal::Connection;
        self.failed = 0;
        self.is_accepted = true;
        self.refused = None;
        self.is_restarting = self.is_leaving;
        self.try_now()
    }

    /// Ends the connection, and begins the next one at once, if the application wants one or has
    /// been refused.
    pub(super) fn restart(&mut self) -> Option<Step> {
        if self.goal == Goal::Stopped {
            return self.resume();
        }
        self.failed = 0;
        self.is_accepted = true;
        self.refused = None;
        match self.leave() {
            Some(step) => {
                self.is_restarting = true;
                Some(step)
            }
            None => self.try_now(),
        }
    }

    /// Records that there is another token: it has not been refused.
    pub(super) fn token_changed(&mut self) {
        if self.refused.take_if(|kind| *kind == WRONG_CREDENTIALS).is_some() {
            self.is_accepted = true;
            self.is_restarting = self.goal == Goal::Connection;
        }
    }

    /// Ends the connection and all attempts.
    pub(super) fn pause(&mut self) -> Option<Step> {
        self.goal = Goal::None;
        self.leave()
    }

    pub(super) fn device_event(&mut self, event: DeviceEvent) -> Option<Step> {
        match event {
            DeviceEvent::Online => self.try_now(),
            DeviceEvent::Visible => {
                self.is_asleep = false;
                self.is_restarting = self.is_leaving && self.goal == Goal::Connection;
                self.try_now()
            }
            DeviceEvent::Asleep => {
                self.is_asleep = true;
                self.leave()
            }
        }
    }

    /// Begins the attempt that is due.
    pub(super) fn wake(&mut self, now: MonoTime) -> Option<Step> {
        matches!(self.phase, Phase::Waiting(at) if at <= now).then(|| self.connect())
    }

    /// Records that there is a connection.
    pub(super) fn opened(&mut self) -> Option<Step> {
        self.phase = Phase::Open;
        // The attempt may have been faster than its end.
        self.is_leaving.then_some(Step::Disconnect)
    }

    /// Records that the server has accepted the client.
    pub(super) fn accepted(&mut self) {
        self.failed = 0;
        self.is_accepted = true;
    }

    /// Records an error that the server has reported.
    pub(super) fn peer_error(&mut self, kind: &str) {
        if FATAL_ERRORS.contains(&kind) {
            self.refused = Some(kind.to_owned());
        }
    }

    /// Records that the connection has ended, or that the attempt has failed.
    pub(super) fn closed(&mut self, now: MonoTime, node: &NodeId) -> Option<Step> {
        self.phase = Phase::Idle;
        self.is_leaving = false;
        let refused = self.refused.take();
        if core::mem::take(&mut self.is_restarting) {
            return self.try_now();
        }
        if self.goal != Goal::Connection {
            return None;
        }
        if let Some(kind) = refused {
            let may_renew = kind == WRONG_CREDENTIALS && self.renews_token;
            if may_renew && core::mem::take(&mut self.is_accepted) {
                return self.try_now();
            }
            return Some(self.stop(StopReason::Refused(kind)));
        }
        if self.is_asleep {
            return None;
        }
        if self.backoff.attempts.is_some_and(|most| self.failed >= most) {
            return Some(self.stop(StopReason::AttemptsExhausted(self.failed)));
        }
        let delay = self.backoff.delay(self.failed, self.jitter(node));
        if delay.is_zero() {
            return self.try_now();
        }
        self.phase = Phase::Waiting(now.after(delay));
        None
    }

    /// Begins an attempt, if there is no connection and the application wants one.
    fn try_now(&mut self) -> Option<Step> {
        let is_free = matches!(self.phase, Phase::Idle | Phase::Waiting(_));
        let is_due = is_free && self.goal == Goal::Connection && !self.is_asleep;
        is_due.then(|| self.connect())
    }

    fn stop(&mut self, reason: StopReason) -> Step {
        self.goal = Goal::Stopped;
        Step::Stop(reason)
    }

    fn connect(&mut self) -> Step {
        self.phase = Phase::Connecting;
        self.failed = self.failed.saturating_add(1);
        self.total += 1;
        Step::Connect
    }

    fn leave(&mut self) -> Option<Step> {
        self.is_restarting = false;
        self.is_leaving = matches!(self.phase, Phase::Connecting | Phase::Open);
        if !self.is_leaving {
            self.phase = Phase::Idle;
        }
        self.is_leaving.then_some(Step::Disconnect)
    }

    /// Returns a number in 0.0..1.0 that differs between clients and attempts, so that the clients
    /// of a restarted server do not connect all at once. It is the same in each run of a
    /// simulation.
    fn jitter(&self, node: &NodeId) -> f64 {
        let mut hasher = DefaultHasher::new();
        (node.as_str(), self.total).hash(&mut hasher);
        // The upper 32 bits fit into a `f64`.
        let upper = u32::try_from(hasher.finish() >> 32).unwrap_or_default();
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn node() -> NodeId {
        NodeId::new("10:laptop:tab").unwrap_or_else(|_| unreachable!("a valid id"))
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_millis(ms)
    }

    fn started() -> Reconnection {
        let mut it = Reconnection::default();
        assert_eq!(it.resume(), Some(Step::Connect));
        it
    }

    /// Returns the delay before the next attempt, in milliseconds.
    fn lose(it: &mut Reconnection, now: u64) -> u64 {
        assert_eq!(it.closed(at(now), &node()), None);
        it.next_attempt().map_or(u64::MAX, |at| at.as_millis() - now)
    }

    #[test]
    fn the_delay_grows_until_the_server_accepts_the_client() {
        let mut it = started();
        assert_eq!(it.opened(), None);
        it.accepted();
        assert!((900..=1_500).contains(&lose(&mut it, 0)));
        assert_eq!(it.wake(at(10)), None);
        assert_eq!(it.wake(at(1_500)), Some(Step::Connect));
        assert!((1_800..=3_000).contains(&lose(&mut it, 1_500)));
        assert_eq!(it.wake(at(4_500)), Some(Step::Connect));
        // A connection that is open is not an accepted client.
        assert_eq!(it.opened(), None);
        assert!((3_600..=5_000).contains(&lose(&mut it, 4_500)));
        assert_eq!(it.wake(at(9_500)), Some(Step::Connect));
        it.accepted();
        assert!((900..=1_500).contains(&lose(&mut it, 9_500)));
    }

    #[test]
    fn clients_and_attempts_have_different_delays() {
        let other = NodeId::new("11:laptop:tab").unwrap_or_else(|_| unreachable!("a valid id"));
        let mut it = started();
        let (one, two) = (it.jitter(&node()), it.jitter(&other));
        assert!((0.0..1.0).contains(&one) && one.to_bits() != two.to_bits());
        it.connect();
        assert_ne!(one.to_bits(), it.jitter(&node()).to_bits());
    }

    #[test]
    fn device_events_replace_the_delay() {
        let mut it = started();
        lose(&mut it, 0);
        assert_eq!(it.device_event(DeviceEvent::Online), Some(Step::Connect));
        assert_eq!(it.device_event(DeviceEvent::Online), None, "there is an attempt");
        assert_eq!(it.opened(), None);
        assert_eq!(it.device_event(DeviceEvent::Asleep), Some(Step::Disconnect));
        assert_eq!(it.closed(at(1), &node()), None);
        assert_eq!((it.next_attempt(), it.device_event(DeviceEvent::Online)), (None, None));
        assert_eq!(it.device_event(DeviceEvent::Visible), Some(Step::Connect));
        // It was asleep for a moment only.
        it.opened();
        assert_eq!(it.device_event(DeviceEvent::Asleep), Some(Step::Disconnect));
        assert_eq!(it.device_event(DeviceEvent::Visible), None);
        assert_eq!(it.closed(at(2), &node()), Some(Step::Connect));
    }

    #[test]
    fn a_token_that_is_set_after_a_refusal_is_tried() {
        let mut it = started();
        it.opened();
        it.peer_error(WRONG_CREDENTIALS);
        it.token_changed();
        assert_eq!(it.closed(at(0), &node()), Some(Step::Connect));
        it.opened();
        it.peer_error("wrong-protocol");
        it.token_changed();
        assert!(matches!(it.closed(at(0), &node()), Some(Step::Stop(_))));
    }

    #[test]
    fn a_pause_ends_attempts_and_connections() {
        let mut it = started();
        assert_eq!(it.pause(), Some(Step::Disconnect));
        // The attempt was faster than its cancellation.
        assert_eq!(it.opened(), Some(Step::Disconnect));
        assert_eq!(it.closed(at(0), &node()), None);
        assert_eq!((it.next_attempt(), it.device_event(DeviceEvent::Online)), (None, None));
        assert_eq!(it.resume(), Some(Step::Connect));
    }

    #[test]
    fn a_refused_client_stops_and_a_renewed_token_is_tried_once() {
        for kind in FATAL_ERRORS {
            let mut it = started();
            it.peer_error("wrong-format");
            it.peer_error(kind);
            let refused = Some(Step::Stop(StopReason::Refused(kind.to_owned())));
            assert_eq!(it.closed(at(0), &node()), refused);
            assert_eq!(it.device_event(DeviceEvent::Online), None);
            assert_eq!(it.resume(), Some(Step::Connect));
        }
        let mut it = Reconnection { renews_token: true, ..started() };
        it.peer_error(WRONG_CREDENTIALS);
        assert_eq!(it.closed(at(0), &node()), Some(Step::Connect), "the token may have expired");
        // A lost connection in between does not allow another refusal.
        lose(&mut it, 0);
        assert_eq!(it.wake(at(5_000)), Some(Step::Connect));
        it.peer_error(WRONG_CREDENTIALS);
        assert!(matches!(it.closed(at(0), &node()), Some(Step::Stop(_))));
        it.resume();
        it.accepted();
        it.peer_error(WRONG_CREDENTIALS);
        assert_eq!(it.closed(at(0), &node()), Some(Step::Connect));
    }

    #[test]
    fn attempts_are_limited() {
        let backoff =
            Backoff { attempts: Some(2), min_delay: Duration::ZERO, ..Default::default() };
        let mut it = Reconnection { backoff, ..started() };
        assert_eq!(it.closed(at(0), &node()), Some(Step::Connect));
        let stop = Step::Stop(StopReason::AttemptsExhausted(2));
        assert_eq!(it.closed(at(0), &node()), Some(stop));
        assert_eq!(it.next_attempt(), None);
    }
}
