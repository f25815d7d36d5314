//! Promises that a server makes, and how it breaks them.

use core::fmt;

use crate::action::ActionId;

/// A promise that was broken, or why a world does not come to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// Something still happens, or has to happen and does not, long after the last fault; what that is.
    Restless(String),
    /// The application was asked about an action whose author had got the answer already.
    AskedAgain(ActionId),
    /// The application was asked to do an action that it had done since the server's last start.
    AskedTwice(ActionId),
    /// The author of an action was told that it is done, and it was not.
    NotDone(ActionId),
    /// The author of an action was told that it is undone, and it was done.
    DoneAndUndone(ActionId),
    /// The author of an action was told both.
    TwoAnswers(ActionId),
    /// An action was done so many times, though the application keeps an inbox.
    DoneTwice(ActionId, usize),
    /// A device was never told how its action ended.
    Unanswered(usize, ActionId),
    /// A device does not know any more that it waits for the answer to its action, and has got none.
    Lost(usize, ActionId),
    /// The author of an action was never sent what it was to be sent besides the answer.
    NotSentBack(ActionId),
    /// The action of somebody else was sent twice over one connection, though its client has not subscribed again.
    SentTwice(u64, ActionId),
    /// A device is not subscribed to a channel.
    NotSubscribed(usize, String),
    /// A device is subscribed to a channel that its user has left.
    StillSubscribed(usize, String),
    /// What is seen on a device is not what is stored.
    Differs {
        /// Which device.
        device: usize,
        /// What is seen on it.
        seen: String,
        /// What is stored.
        stored: String,
    },
    /// The server still holds something that nobody waits for.
    LeftBehind(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restless(what) => write!(f, "it does not come to rest: {what}"),
            Self::AskedAgain(id) => {
                write!(f, "the application is asked about {id}, which was answered")
            }
            Self::AskedTwice(id) => {
                write!(f, "the application does {id} again without a crash in between")
            }
            Self::NotDone(id) => {
                write!(f, "the author of {id} is told that it is done, but it is not")
            }
            Self::DoneAndUndone(id) => {
                write!(f, "the author of {id} is told that it is undone, but it is done")
            }
            Self::TwoAnswers(id) => {
                write!(f, "the author of {id} is told that it is done, and that it is undone")
            }
            Self::DoneTwice(id, times) => write!(f, "{id} was done {times} times"),
            Self::Unanswered(device, id) => {
                write!(f, "device {device} still waits for the answer to {id}")
            }
            Self::Lost(device, id) => {
                write!(f, "device {device} has got no answer to {id}, and does not wait for one")
            }
            Self::NotSentBack(id) => {
                write!(f, "the author of {id} has not got what was sent back to it")
            }
            Self::SentTwice(connection, id) => {
                write!(f, "{id} is sent twice over connection {connection}")
            }
            Self::NotSubscribed(device, channel) => {
                write!(f, "device {device} is not subscribed to {channel}")
            }
            Self::StillSubscribed(device, channel) => {
                write!(f, "device {device} has left {channel} and is subscribed to it")
            }
            Self::Differs { device, seen, stored } => {
                write!(f, "device {device} shows {seen}\nbut what is stored is {stored}")
            }
            Self::LeftBehind(what) => write!(f, "the server still holds {what}"),
        }
    }
}

impl core::error::Error for Broken {}
