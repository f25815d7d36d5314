//! Who is in a channel, and what each shows of itself.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use logux::{Json, NodeId, client::PresenceEvent};

use crate::{Client, SyncError, events::Events};

/// Who is in a channel, and what each shows of itself, such as a name, a colour and cursors:
/// [`Client::presence`], [`DocumentHandle::presence`](crate::DocumentHandle::presence).
///
/// The own state is shown to others while this client is connected and subscribed to the channel,
/// until [`leave`](Self::leave) or the end of the subscription; it does not end with this value. It
/// is sent at most 10 times in a second, and others receive the latest 5 times in a second. It is
/// neither kept nor encrypted; a client with [encryption](crate::Encryption) sends none.
///
/// ```no_run
/// use logux::{client::PresenceEvent, crdt::Document};
/// use serde_json::json;
/// # use logux_client::{Client, SyncError};
///
/// # async fn run(client: Client) -> Result<(), SyncError> {
/// let note = client.document::<Document>("notes", "7").await?;
/// let mut people = note.presence();
/// people.set(json!({"name": "Ada", "cursors": []}))?;
/// while let Some(event) = people.changed().await {
///     match event {
///         PresenceEvent::Changed => println!("{:?}", people.others()?),
///         PresenceEvent::Refused(reason) => println!("nobody sees you: {reason}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Presence {
    client: Client,
    channel: Arc<str>,
    events: Events<(Arc<str>, PresenceEvent)>,
}

impl Presence {
    pub(crate) const fn new(
        client: Client,
        channel: Arc<str>,
        events: Events<(Arc<str>, PresenceEvent)>,
    ) -> Self {
        Self { client, channel, events }
    }

    /// Sets what this client shows of itself: any JSON value of at most 2 KiB. In channels with
    /// more than 100 nodes, the member `cursors` of an object may be left out.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped.
    pub fn set(&self, state: impl Into<Json>) -> Result<(), SyncError> {
        self.change(Some(state.into()))
    }

    /// Shows nothing any more.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn leave(&self) -> Result<(), SyncError> {
        self.change(None)
    }

    fn change(&self, state: Option<Json>) -> Result<(), SyncError> {
        self.client.command(|driver| driver.set_presence(&self.channel, state)).map(drop)
    }

    /// Returns the other nodes in the channel with their states. None without a connection.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn others(&self) -> Result<Vec<(NodeId, Json)>, SyncError> {
        self.client.command(|driver| driver.presence(&self.channel))
    }

    /// Waits until the states of others have changed, or the server has refused the own one, since
    /// the last call. Returns `None` when the client has ended.
    pub async fn changed(&mut self) -> Option<PresenceEvent> {
        loop {
            // A cell would make the future one that cannot be spawned.
            let has_missed = AtomicBool::new(false);
            let (channel, event) =
                self.events.next(|_| has_missed.store(true, Ordering::Relaxed)).await?;
            if channel == self.channel {
                return Some(event);
            }
            if has_missed.load(Ordering::Relaxed) {
                return Some(PresenceEvent::Changed);
            }
        }
    }
}
