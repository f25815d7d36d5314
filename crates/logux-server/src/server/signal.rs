//! When the operating system wants the program to end.

/// Waits for an interrupt from the keyboard or, on Unix, a polite request to end (SIGTERM). The moment to call
/// [`RunningServer::shutdown`](crate::RunningServer::shutdown).
pub async fn stop_signal() {
    StopSignals::new().next().await;
}

/// Interrupts and requests to end, one after the other: a second one usually means at once.
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
    /// Begins to listen: signals from now on do not end the program by themselves. Has to be called within a runtime.
    #[cfg(unix)]
    pub fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
        }
    }

    /// Begins to listen: signals from now on do not end the program by themselves. Has to be called within a runtime.
    #[cfg(not(unix))]
    pub fn new() -> Self {
        Self {}
    }

    /// Waits for the next one.
    #[cfg(unix)]
    pub async fn next(&mut self) {
        async fn of(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = of(&mut self.terminate) => {}
            () = of(&mut self.interrupt) => {}
        }
    }

    /// Waits for the next one.
    #[cfg(not(unix))]
    pub async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
