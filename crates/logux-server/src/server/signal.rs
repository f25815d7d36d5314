//! The operating system's signals to stop.

/// Waits for an interrupt (Ctrl+C) or, on Unix, SIGTERM. Call
/// [`RunningServer::shutdown`](crate::RunningServer::shutdown) then.
pub async fn stop_signal() {
    StopSignals::new().next().await;
}

/// A stream of interrupts and, on Unix, SIGTERM. A second signal usually means to stop at once.
#[derive(Debug)]
pub struct StopSignals {
    #[cfg(unix)]
    terminate: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    interrupt: Option<tokio::signal::unix::Signal>,
}

impl Default for StopSignals {
    fn default() -> Self {
        Self::new()
    }
}

impl StopSignals {
    /// Starts to handle the signals: from now on, they do not end the program by themselves. Must
    /// be called within a tokio runtime.
    #[cfg(unix)]
    pub fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
        }
    }

    /// Starts to handle the signals: from now on, they do not end the program by themselves. Must
    /// be called within a tokio runtime.
    #[cfg(not(unix))]
    pub fn new() -> Self {
        Self {}
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    pub async fn next(&mut self) {
        async fn recv(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = recv(&mut self.terminate) => {}
            () = recv(&mut self.interrupt) => {}
        }
    }

    /// Waits for the next signal.
    #[cfg(not(unix))]
    pub async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
