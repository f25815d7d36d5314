//! The limit of open files, which also limits connections.

/// The files that a server needs besides its connections: databases, logs, listeners, connections
/// to the back end and the collector, and new connections that are refused.
const RESERVED: usize = 128;

/// Raises the limit of open files of this process to what the system allows. Returns the limit;
/// `None` if there is none or it is unknown.
#[cfg(unix)]
pub(crate) fn raise_limit() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    if limits.current != limits.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "Cannot raise the limit of open files");
    }
    let current = getrlimit(Resource::Nofile).current?;
    Some(usize::try_from(current).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
pub(crate) const fn raise_limit() -> Option<usize> {
    None
}

/// Returns the number of connections that a limit of open files allows, if `wanted` are configured.
pub(crate) fn max_connections(wanted: usize, open_files: Option<usize>) -> usize {
    // With a very low limit, half of the files are for connections.
    open_files
        .map_or(wanted, |files| wanted.min(files.saturating_sub(RESERVED).max(files / 2)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_server() {
        assert_eq!(max_connections(100_000, None), 100_000);
        assert_eq!(max_connections(100_000, Some(1_024)), 896);
        assert_eq!(max_connections(500, Some(1_024)), 500);
        assert_eq!(max_connections(100_000, Some(100)), 50);
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_is_that_of_the_system() {
        use rustix::process::{Resource, getrlimit};
        raise_limit();
        let limits = getrlimit(Resource::Nofile);
        assert_eq!(limits.current, limits.maximum);
    }
}
