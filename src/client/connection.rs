//! The connection of a client: when there is one, and what is shown about it.

use std::sync::Arc;

use super::{Backoff, Client, Output, Secret, Status, reconnection::Step};
use crate::{
    json::Json,
    log::{LogError, Observer},
    store::Store,
    sync::{self, Disconnect, State, TimeoutKind},
    time::{Deadline, Now},
};

/// The kind of a deadline of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineKind {
    /// A deadline of the connection.
    Connection(TimeoutKind),
    /// The next attempt to connect.
    Connect,
    /// The next change of the status.
    Status,
    /// The end of a burst of typing.
    Burst,
    /// The next state of presence to send.
    Presence,
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Sets the delays between attempts to connect and their number. Default:
    /// [`Backoff::default`].
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.reconnection.backoff = backoff;
        self
    }

    /// Tells that the driver has a new token for each attempt ([`set_token`](Self::set_token)): if
    /// the server refuses one, it may have expired, so the client asks for another one and tries
    /// again at once; a second refusal without an accepted connection in between is final.
    #[must_use]
    pub const fn with_token_renewal(mut self) -> Self {
        self.reconnection.renews_token = true;
        self
    }

    /// Sets the credentials for the next connection. If the server has refused the former ones in a
    /// connection that has not ended yet, the next attempt begins right after.
    pub fn set_token(&mut self, token: Option<Secret>) {
        self.token = token;
        self.reconnection.token_changed();
    }

    /// Sets the headers that the server receives, a JSON object: now, if it is connected, and at
    /// each connection.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_headers(&mut self, now: Now, headers: Json) -> Result<(), LogError<S::Error>> {
        let config = sync::Config { headers: Some(headers.clone()), ..(*self.node_config).clone() };
        self.node_config = Arc::new(config);
        self.node.handle(now, sync::Input::SetHeaders(headers));
        self.execute_outputs(now)
    }

    /// Returns the state of the connection.
    pub fn state(&self) -> State {
        self.node.state()
    }

    /// Returns what an application shows about the connection and the user's actions.
    pub const fn status(&self) -> Status {
        self.status.status()
    }

    /// Begins to connect: [`Output::Connect`]. The client stays connected, with attempts after
    /// delays that grow, until [`pause`](Self::pause) or [`Output::Stopped`].
    ///
    /// A driver that never calls this connects whenever it wants:
    /// [`Input::Opened`](super::Input::Opened).
    pub fn resume(&mut self, now: Now) {
        self.status.forget_error();
        let step = self.reconnection.resume();
        self.take_step(step);
        self.update_status(now);
    }

    /// Closes the connection, and makes no attempts until [`resume`](Self::resume). Actions are
    /// added and kept as without a network.
    pub fn pause(&mut self, now: Now) {
        let step = self.reconnection.pause();
        self.take_step(step);
        self.update_status(now);
    }

    /// Closes the connection, and connects again at once.
    pub(super) fn restart_connection(&mut self, now: Now) {
        let step = self.reconnection.restart();
        self.take_step(step);
        self.update_status(now);
    }

    pub(super) fn take_step(&mut self, step: Option<Step>) {
        self.pending.extend(step.map(|step| match step {
            Step::Connect => Output::Connect,
            Step::Disconnect => Output::Disconnect(Disconnect::Paused),
            Step::Stop(reason) => Output::Stopped(reason),
        }));
    }

    /// Computes the status after an input, and outputs its changes.
    pub(super) fn update_status(&mut self, now: Now) {
        let connection = match self.node.state() {
            State::Disconnected if self.reconnection.is_connecting() => State::Connecting,
            state => state,
        };
        self.status.connection(now.mono, connection);
        self.status.wake(now.mono);
        self.pending.extend(self.status.take_changes().map(Output::Status));
    }

    /// Returns the latest time for the next [`Input::Wake`](super::Input::Wake), and its
    /// reason.
    pub fn next_deadline(&self) -> Option<Deadline<DeadlineKind>> {
        let connection = self.node.next_deadline();
        let own = [
            (self.reconnection.next_attempt(), DeadlineKind::Connect),
            (self.status.next_change(), DeadlineKind::Status),
            (self.bursts.end(), DeadlineKind::Burst),
            (self.presence.next_deadline(), DeadlineKind::Presence),
        ];
        let own = own.into_iter().filter_map(|(at, kind)| at.map(|at| Deadline { at, kind }));
        let connection = connection
            .map(|Deadline { at, kind }| Deadline { at, kind: DeadlineKind::Connection(kind) });
        own.chain(connection).reduce(|one, other| one.earlier(Some(other)))
    }
}
