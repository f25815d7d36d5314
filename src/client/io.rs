//! What goes into a client and what comes out.

use crate::{
    action::{ActionId, logux::Undo},
    store::Entry,
    sync::{Disconnect, State},
    wire::ErrorMessage,
};

/// What happens to a client.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The connection is open: frames can go both ways.
    Opened,
    /// A frame came.
    Frame(&'a str),
    /// The connection is gone.
    Closed,
    /// Time has passed: a deadline may be reached.
    Wake,
}

/// What has to happen because of an input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send this frame.
    Send(String),
    /// Close the connection. Frames that came out before go out first.
    Disconnect(Disconnect),
    /// An action of somebody else, or the server's answer to one of ours, was added to the log.
    Added(Entry),
    /// The server has done what our action asked for.
    Processed(ActionId),
    /// The server has taken our action back.
    Undone(ActionId, Box<Undo>),
    /// The clock differs from the server's by so many milliseconds. To be kept with the log, for [`Config::time_fix`](super::Config::time_fix).
    TimeFix(i64),
    /// The connection's state is another now.
    State(State),
    /// The server says why it cannot go on. After `wrong-protocol`, `wrong-subprotocol` and `wrong-credentials` there is no use in
    /// connecting again.
    Refused(ErrorMessage),
    /// The server shows a text to the developer.
    Debug(String),
}
