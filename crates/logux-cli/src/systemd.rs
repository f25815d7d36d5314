//! What systemd and its like want to know from a service, and give to it: readiness, a watchdog, sockets. Without them nothing here does anything.

use std::time::Duration;

use logux_server::{Handle, Listener};

use crate::talk::Failed;

/// The sockets that this process was started with (`LISTEN_FDS`). Connections may wait in them already.
#[cfg(unix)]
pub(crate) fn inherited() -> Result<Vec<Listener>, Failed> {
    let mut sockets = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for place in 0..sockets.len() {
        // One that is of another kind is given back, and can be asked for as what it is.
        match sockets.take_tcp_listener(place) {
            Ok(Some(tcp)) => listeners.push(tcp.into()),
            _ => listeners.extend(sockets.take_unix_listener(place)?.map(Listener::from)),
        }
    }
    Ok(listeners)
}

#[cfg(not(unix))]
pub(crate) fn inherited() -> Result<Vec<Listener>, Failed> {
    Ok(Vec::new())
}

/// The server serves: what is ordered after it may begin.
pub(crate) fn ready() {
    tell(State::Ready);
}

/// The server drains.
pub(crate) fn stopping() {
    tell(State::Stopping);
}

/// Gives signs of life as often as is wanted, as long as the server answers. Ends with the server.
pub(crate) async fn keep_watchdog_quiet(server: Handle) {
    let Some(patience) = watchdog() else { return };
    while server.responds().await {
        tell(State::Alive);
        tokio::time::sleep(patience / 2).await;
    }
}

#[derive(Clone, Copy)]
enum State {
    Ready,
    Stopping,
    Alive,
}

#[cfg(unix)]
fn tell(state: State) {
    let state = match state {
        State::Ready => sd_notify::NotifyState::Ready,
        State::Stopping => sd_notify::NotifyState::Stopping,
        State::Alive => sd_notify::NotifyState::Watchdog,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell the service manager how it stands");
    }
}

#[cfg(unix)]
fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(not(unix))]
fn tell(_: State) {}

#[cfg(not(unix))]
fn watchdog() -> Option<Duration> {
    None
}
