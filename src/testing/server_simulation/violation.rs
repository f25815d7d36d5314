//! The guarantees of a server, and their violations.

use core::fmt;

use crate::action::ActionId;

/// A violated guarantee, or the reason why a world does not settle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Long after the last failure, this work is still pending.
    NotSettled(String),
    /// The application received a request for an action whose author had the answer already.
    RequestAfterAnswer(ActionId),
    /// The application processed an action a second time without a crash of the server in between.
    ProcessedAgain(ActionId),
    /// The author received `logux/processed`, but the action was not processed.
    NotProcessed(ActionId),
    /// The author received `logux/undo`, but the action was processed.
    ProcessedAndUndone(ActionId),
    /// The author received both `logux/processed` and `logux/undo`.
    ConflictingAnswers(ActionId),
    /// An action or subscription was undone with the reason `error`, although no action that it
    /// shares its fate with failed.
    UndoneByAnother(ActionId),
    /// An answer was sent to a new node of a client, although another node of the client had
    /// confirmed it.
    AnsweredAgain(ActionId),
    /// An action was processed this number of times, although the application keeps an inbox.
    ProcessedTwice(ActionId, usize),
    /// A device never received the answer to its action.
    Unanswered(usize, ActionId),
    /// A device received no answer to its action, and no longer waits for one.
    Lost(usize, ActionId),
    /// A device dropped an action as unsent, but the application has processed it.
    DroppedAfterSending(ActionId),
    /// The author of an action did not receive an action of
    /// [`send_back`](super::Application::send_back).
    NotSentBack(ActionId),
    /// An action of another client was sent twice over one connection, although its client did not
    /// subscribe again.
    SentTwice(u64, ActionId),
    /// A device is not subscribed to a channel.
    NotSubscribed(usize, String),
    /// A device is subscribed to a channel that it has unsubscribed from.
    StillSubscribed(usize, String),
    /// The state of a device differs from the content of the database.
    Differs {
        /// The index of the device.
        device: usize,
        /// [`shown`](super::Application::shown) of the device's state.
        shown: String,
        /// [`stored`](super::Application::stored) of the database.
        stored: String,
    },
    /// The hub still has parked actions or disconnected clients: its statistics.
    Leaked(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSettled(pending) => write!(f, "the world does not settle: {pending}"),
            Self::RequestAfterAnswer(id) => {
                write!(f, "the application receives a request for {id}, which was answered")
            }
            Self::ProcessedAgain(id) => {
                write!(f, "the application processes {id} again without a crash in between")
            }
            Self::NotProcessed(id) => {
                write!(f, "the author of {id} receives `logux/processed`, but it is not processed")
            }
            Self::ProcessedAndUndone(id) => {
                write!(f, "the author of {id} receives `logux/undo`, but it is processed")
            }
            Self::ConflictingAnswers(id) => {
                write!(f, "the author of {id} receives `logux/processed` and `logux/undo`")
            }
            Self::UndoneByAnother(id) => {
                write!(f, "{id} is undone, but no action that it shares its fate with failed")
            }
            Self::AnsweredAgain(id) => {
                write!(f, "a reloaded device receives {id} again, which its client has confirmed")
            }
            Self::ProcessedTwice(id, times) => write!(f, "{id} was processed {times} times"),
            Self::Unanswered(device, id) => {
                write!(f, "device {device} still waits for the answer to {id}")
            }
            Self::Lost(device, id) => {
                write!(f, "device {device} has no answer to {id}, and does not wait for one")
            }
            Self::DroppedAfterSending(id) => {
                write!(f, "{id} was dropped as unsent, but it is processed")
            }
            Self::NotSentBack(id) => {
                write!(f, "the author of {id} has not received the actions sent back to it")
            }
            Self::SentTwice(connection, id) => {
                write!(f, "{id} is sent twice over connection {connection}")
            }
            Self::NotSubscribed(device, channel) => {
                write!(f, "device {device} is not subscribed to {channel}")
            }
            Self::StillSubscribed(device, channel) => {
                write!(f, "device {device} is still subscribed to {channel}")
            }
            Self::Differs { device, shown, stored } => {
                write!(f, "device {device} shows {shown}\nbut the database has {stored}")
            }
            Self::Leaked(stats) => write!(f, "the hub still has {stats}"),
        }
    }
}

impl core::error::Error for Violation {}
