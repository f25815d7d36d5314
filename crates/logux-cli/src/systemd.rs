//! The service manager's protocols: readiness and watchdog notifications (`sd_notify`) and socket
//! activation. They have no effect when the process was not started by a service manager.

use std::{io, time::Duration};

use logux_server::{Handle, Listener};

/// Returns the listening sockets that the process inherited (`LISTEN_FDS`). Their queues may
/// already contain connections.
#[cfg(unix)]
pub(crate) fn inherited_listeners() -> io::Result<Vec<Listener>> {
    let mut sockets = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..sockets.len() {
        // A socket of another kind stays available, so it can be taken as a Unix socket.
        match sockets.take_tcp_listener(index) {
            Ok(Some(tcp)) => listeners.push(tcp.into()),
            _ => listeners.extend(sockets.take_unix_listener(index)?.map(Listener::from)),
        }
    }
    Ok(listeners)
}

#[cfg(not(unix))]
pub(crate) fn inherited_listeners() -> io::Result<Vec<Listener>> {
    Ok(Vec::new())
}

/// Notifies the service manager that the server accepts connections.
pub(crate) fn notify_ready() {
    notify(ServiceState::Ready);
}

/// Notifies the service manager that the server is shutting down.
pub(crate) fn notify_stopping() {
    notify(ServiceState::Stopping);
}

/// Sends watchdog notifications at half of the requested interval while the server responds.
/// Returns when it no longer does, or at once if no watchdog is enabled.
pub(crate) async fn run_watchdog(server: Handle) {
    let Some(interval) = watchdog_interval() else { return };
    while server.responds().await {
        notify(ServiceState::Watchdog);
        tokio::time::sleep(interval / 2).await;
    }
}

#[derive(Clone, Copy)]
enum ServiceState {
    Ready,
    Stopping,
    Watchdog,
}

#[cfg(unix)]
fn notify(state: ServiceState) {
    let state = match state {
        ServiceState::Ready => sd_notify::NotifyState::Ready,
        ServiceState::Stopping => sd_notify::NotifyState::Stopping,
        ServiceState::Watchdog => sd_notify::NotifyState::Watchdog,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "Cannot notify the service manager");
    }
}

#[cfg(unix)]
fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(not(unix))]
fn notify(_: ServiceState) {}

#[cfg(not(unix))]
fn watchdog_interval() -> Option<Duration> {
    None
}
