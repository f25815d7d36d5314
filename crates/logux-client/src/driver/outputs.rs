//! What the machine outputs.

use logux::{
    ActionId, MonoTime,
    action::logux::SUBSCRIBED,
    client::{
        CipherError, DecryptRequest, DocumentEvent, EncryptRequest, EncryptionError, Fate, Input,
        Output, StopReason,
    },
    store::Store,
    sync::State,
};

use super::Driver;
use crate::{EncryptionFailure, ServerMessage, SyncError, shared::End};

/// What the task of a client has to do.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// The frames to send, before the connection closes.
    pub(crate) frames: Vec<String>,
    /// Whether to close the connection, or to cancel the attempt.
    pub(crate) disconnect: bool,
    /// Whether to begin an attempt.
    pub(crate) connect: bool,
    /// Whether frames may be read.
    pub(crate) wants_frames: bool,
    /// When to wake the machine.
    pub(crate) deadline: Option<MonoTime>,
    /// Why the client ends.
    pub(crate) end: Option<String>,
}

impl<St: Store + Send + 'static> Driver<St> {
    pub(super) fn take_turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        while let Some(output) = self.next_output() {
            self.execute(output, &mut turn);
        }
        turn.wants_frames = self.machine.wants_frames();
        turn.deadline = self.machine.next_deadline().map(|deadline| deadline.at);
        turn.end = self.end.clone();
        turn
    }

    /// Returns the next output. Commits when all outputs so far are executed, so that the responses
    /// to many requests for encryption share a commit.
    fn next_output(&mut self) -> Option<Output> {
        self.machine.poll_output().or_else(|| {
            self.commit_all();
            self.machine.poll_output()
        })
    }

    /// Makes everything durable so far, and tells who waits for it.
    pub(super) fn commit_all(&mut self) {
        while self.machine.needs_commit() && !self.has_failed {
            let committed = self.machine.commit(self.clock.now());
            self.check(committed);
        }
        // Confirming received actions may have led to the next ones.
        self.publish(false);
        if !self.has_failed {
            for kept in self.uncommitted.drain(..) {
                let _ = kept.send(Ok(()));
            }
        }
    }

    fn execute(&mut self, output: Output, turn: &mut Turn) {
        match output {
            Output::Send(frame) => turn.frames.push(frame),
            Output::Ignored(ignored) => self.reports.fault(&ignored.to_string()),
            Output::Disconnect(reason) => {
                if reason.is_violation() {
                    self.reports.fault(&reason.to_string());
                }
                tracing::debug!(%reason, "disconnecting");
                (turn.connect, turn.disconnect) = (false, true);
            }
            // The connection or the attempt to end has ended by itself.
            Output::Connect => (turn.connect, turn.disconnect) = (true, false),
            Output::Stopped(reason) => self.stop_connecting(&reason),
            Output::Added(entry) => {
                if entry.action.kind() == SUBSCRIBED {
                    self.covered(&entry.action);
                }
                let _ = self.reports.actions.send(entry);
            }
            Output::Fate(id, Fate::Processed) => self.resolve(&id, &Ok(())),
            Output::Fate(id, Fate::Dropped) => self.resolve(&id, &Err(SyncError::Dropped)),
            Output::Fate(id, Fate::Undone(undo)) => {
                self.resolve(&id, &Err(SyncError::Undone(undo)));
            }
            Output::Subscription(subscription, state) => {
                self.subscription_changed(&subscription, &state);
            }
            Output::Document(channel, DocumentEvent::Refused) => self.refused_changed(&channel),
            Output::Document(channel, _) => self.publish_document(&channel),
            Output::Presence(channel, event) => {
                let _ = self.reports.presence.send((channel, event));
            }
            Output::Encrypt(request) => self.encrypt(&request),
            Output::Decrypt(request) => self.decrypt(&request),
            Output::EncryptionFailed(id, error) => self.encryption_failed(id, error),
            Output::State(state) => {
                if state == State::Disconnected {
                    self.disconnected();
                }
                self.reports.state.send_replace(state);
            }
            Output::Status(status) => {
                self.reports.status.send_replace(status);
                let _ = self.reports.statuses.send(status);
            }
            Output::Headers(headers) => drop(self.reports.headers.send_replace(Some(headers))),
            Output::Refused(error) => {
                tracing::warn!(kind = error.kind, "the server refuses this client");
                self.reports.last_error.send_replace(Some(error.kind.clone()));
                let _ = self.reports.server_messages.send(ServerMessage::Error(error.kind));
            }
            Output::Debug(text) => {
                tracing::warn!(text, "debug message from the server");
                let _ = self.reports.server_messages.send(ServerMessage::Debug(text));
            }
            _ => {}
        }
    }

    /// Fails what waits for the server. What is added later is kept.
    fn stop_connecting(&mut self, reason: &StopReason) {
        let text = match reason {
            StopReason::Refused(kind) => kind.clone(),
            _ => {
                let last_error = self.reports.last_error.borrow().clone();
                last_error.unwrap_or_else(|| reason.to_string())
            }
        };
        self.stopped = Some(text.clone());
        self.fail_answers(&SyncError::Stopped(text.clone()));
        self.reports.end.send_replace(End::Stopped(text));
    }

    fn encrypt(&mut self, request: &EncryptRequest) {
        let encrypted = match &self.encryption {
            Some(encryption) => encryption.encrypt(request),
            None => Err(CipherError::Unavailable),
        };
        self.pass(Input::Encrypted(request.token, encrypted.as_ref().map_err(|error| *error)));
    }

    fn decrypt(&mut self, request: &DecryptRequest) {
        let decrypted = match &self.encryption {
            Some(encryption) => encryption.decrypt(request),
            None => Err(CipherError::Unavailable),
        };
        self.pass(Input::Decrypted(request.token, decrypted.as_deref().map_err(|error| *error)));
    }

    /// Passes an input to the machine, and publishes what has changed.
    pub(super) fn pass(&mut self, input: Input<'_>) {
        let handled = self.machine.handle(self.clock.now(), input);
        self.check(handled);
        self.publish(false);
    }

    fn encryption_failed(&mut self, id: ActionId, error: EncryptionError) {
        tracing::warn!(%id, %error, "encryption");
        if let EncryptionError::ServerDocument(_) = error {
            self.resolve(&id, &Err(SyncError::NotEncrypted(error.clone())));
        }
        let _ = self.reports.encryption_failures.send(EncryptionFailure { id, error });
    }
}
