//! Log lines for people or for programs.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::options::Logger;

/// Begins to write log lines to standard output. `RUST_LOG` says how many; information and worse unless it is set.
pub(crate) fn start(logger: Logger) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Colours are for terminals, not for files and pipes.
    let colours = std::io::stdout().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(colours);
    match logger {
        Logger::Human => lines.compact().init(),
        Logger::Json => lines.json().flatten_event(true).init(),
    }
}
