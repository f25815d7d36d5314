//! When the operating system wants the program to end.

/// Waits for an interrupt from the keyboard or, on Unix, a polite request to end (SIGTERM). The moment to call
/// [`Running::shutdown`](crate::Running::shutdown).
pub async fn stop_signal() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
