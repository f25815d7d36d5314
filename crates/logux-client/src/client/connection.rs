//! The connection of a client, and what it shows about it.

use std::time::Duration;

use logux::{
    Json,
    client::{DeviceEvent, Input, Status},
    sync::State,
};

use super::Client;
use crate::{StatusChanges, SyncError, events::Events, shared::End};

impl Client {
    /// Returns the state of the connection.
    pub fn state(&self) -> State {
        *self.shared.reports.state.borrow()
    }

    /// Waits until the connection has this state. Returns `false` if the client ends before.
    pub async fn reached(&self, state: State) -> bool {
        let mut states = self.shared.reports.state.subscribe();
        let mut end = self.shared.reports.end.subscribe();
        tokio::select! {
            biased;
            reached = states.wait_for(|now| *now == state) => reached.is_ok(),
            _ = end.wait_for(|end| matches!(end, End::Ended(_))) => false,
        }
    }

    /// Returns what an application shows about the connection and the user's actions, with the
    /// delays of `@logux/client`. [`status_changes`](Self::status_changes) waits for the next one.
    pub fn status(&self) -> Status {
        *self.shared.reports.status.borrow()
    }

    /// Returns the changes of the [`status`](Self::status) from now on. Keeps the latest 64 that
    /// are not read yet.
    ///
    /// ```no_run
    /// # use logux_client::{Client, Status};
    /// # async fn run(client: Client) {
    /// let mut changes = client.status_changes();
    /// while let Some(status) = changes.next().await {
    ///     match status {
    ///         Status::Wait => println!("offline, {} not saved", client.unconfirmed()),
    ///         Status::SynchronizedAfterWait => println!("saved"),
    ///         other => println!("{other}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn status_changes(&self) -> StatusChanges {
        StatusChanges(Events::new(&self.shared.reports.statuses, &self.shared.reports.end))
    }

    /// Returns the number of own actions that the server has not confirmed, without subscriptions:
    /// what would be lost with this device.
    pub fn unconfirmed(&self) -> usize {
        *self.shared.reports.unconfirmed.borrow()
    }

    /// Waits until the server has confirmed all own actions, or the time is over. Returns the
    /// number of those that it has not confirmed.
    pub async fn flush(&self, time: Duration) -> usize {
        let mut unconfirmed = self.shared.reports.unconfirmed.subscribe();
        let mut end = self.shared.reports.end.subscribe();
        let all_confirmed = async {
            tokio::select! {
                _ = unconfirmed.wait_for(|count| *count == 0) => {}
                _ = end.wait_for(|end| end.reason().is_some()) => {}
            }
        };
        let _ = tokio::time::timeout(time, all_confirmed).await;
        self.unconfirmed()
    }

    /// Sets the headers that the server receives, a JSON object, such as the language of the user:
    /// now, if the client is connected, and at each connection. They replace those of
    /// [`Builder::headers`](crate::Builder::headers).
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended.
    pub fn set_headers(&self, headers: Json) -> Result<(), SyncError> {
        self.command(|driver| driver.set_headers(headers))?.ok_or_else(|| self.stopped())
    }

    /// Returns the headers that the server has sent, a JSON object.
    pub fn server_headers(&self) -> Option<Json> {
        self.shared.reports.headers.borrow().clone()
    }

    /// Returns why the last attempt to connect has failed, or what error the server has reported.
    /// `None` after a successful attempt. Each is a warning in the log.
    pub fn last_error(&self) -> Option<String> {
        self.shared.reports.last_error.borrow().clone()
    }

    /// Connects, after [`pause`](Self::pause), after the server has refused the client, or when no
    /// more attempts were allowed.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended.
    pub fn resume(&self) -> Result<(), SyncError> {
        self.command(|driver| driver.resume())
    }

    /// Closes the connection, and makes no attempts until [`resume`](Self::resume). Actions are
    /// added and kept as without a network.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended.
    pub fn pause(&self) -> Result<(), SyncError> {
        self.command(|driver| driver.pause())
    }

    /// Tells the client what happens to the device. An application that learns from its system that
    /// there is a network again need not wait for the next attempt.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended.
    pub fn device_event(&self, event: DeviceEvent) -> Result<(), SyncError> {
        self.command(|driver| driver.handle(Input::Device(event)))
    }

    /// Waits until the client stops.
    pub(crate) async fn stops(&self) {
        let mut end = self.shared.reports.end.subscribe();
        let _ = end.wait_for(|end| end.reason().is_some()).await;
    }

    /// Waits until the client stops, and returns the reason: the server has refused it, no more
    /// attempts are allowed, its store has failed or the application has closed it. In the first
    /// two cases its log stays open: what the user does is kept, and [`resume`](Self::resume),
    /// [`set_token`](Self::set_token) and [`change_user`](Self::change_user) connect again.
    pub async fn ended(&self) -> String {
        let mut end = self.shared.reports.end.subscribe();
        let ended = end.wait_for(|end| end.reason().is_some()).await;
        let reason = ended.ok().and_then(|end| end.reason().map(ToOwned::to_owned));
        reason.unwrap_or_default()
    }

    /// Closes the connection and the store, and returns when both are closed: another client may
    /// open the file then. What was not sent yet stays in the store. Other handles of the client
    /// return [`SyncError::Stopped`] from now on.
    pub async fn close(self) {
        let _ = self.command(|driver| driver.close("the client was closed"));
        self.closed().await;
    }

    /// Waits until the store is closed.
    pub(super) async fn closed(&self) {
        let mut end = self.shared.reports.end.subscribe();
        let _ = end.wait_for(|end| matches!(end, End::Ended(_))).await;
    }
}
