//! The starts of servers over a log, by which the positions of clients are checked.
//!
//! A client that subscribes again names the `added` number up to which it has received everything.
//! The number is one of the log that the client was sent then. A log in memory begins again with
//! each start, and a database may be restored from a backup: the same numbers have other entries
//! then. So the log has a list of the starts that it knows, each with its last number at that time.
//! A number that was given after a start is one of this log up to the number at the next start.

use serde::{Deserialize, Serialize};

use super::HubLog;
use crate::{
    action::{ActionId, NodeId},
    log::LogError,
    store::Store,
    time::WallTime,
};

/// The name of the value of the store.
const NAME: &str = "starts";
/// The number of starts that are remembered. The positions of earlier ones are not known.
const MAX_STARTS: usize = 64;

/// One start of a server.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Start {
    node: NodeId,
    /// When the first client has joined, in milliseconds since the epoch.
    time: i64,
    /// The last number of the log before it.
    added: u64,
}

/// The starts over a log, oldest first.
#[derive(Debug, Default)]
pub(super) struct LogStarts {
    starts: Vec<Start>,
    /// The last number of the log at this start, until it is recorded.
    unrecorded: Option<u64>,
}

impl LogStarts {
    /// Reads the earlier starts.
    pub(super) fn read<S: Store>(log: &HubLog<S>) -> Result<Self, LogError<S::Error>> {
        let saved = log.value(NAME)?;
        let starts = saved.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        Ok(Self { starts, unrecorded: Some(log.last_added()?) })
    }

    /// Records this start in the next commit, if it is not recorded.
    pub(super) fn record<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        now: WallTime,
    ) -> Result<(), LogError<S::Error>> {
        let Some(added) = self.unrecorded.take() else { return Ok(()) };
        if self.starts.len() >= MAX_STARTS {
            self.starts.remove(0);
        }
        self.starts.push(Start { node: log.node_id().clone(), time: now.as_millis(), added });
        // Ids and numbers can always be written as JSON.
        let Ok(json) = serde_json::to_string(&self.starts) else { return Ok(()) };
        log.set_value(NAME, Some(&json))
    }

    /// Returns the number up to which a client has received everything, of the entries that this
    /// log has. `answer` is the answer of a server that the client had received, and `added` the
    /// number that it had reached later in the same connection. `None` if the answer is not one of
    /// this log. O(starts).
    ///
    /// A server that keeps its node id between starts, and whose clock is set back, may be taken
    /// for an earlier start. The number is then too low, and nothing is lost.
    pub(super) fn position(&self, answer: &ActionId, added: u64) -> Option<u64> {
        let is_before =
            |start: &Start| start.node == *answer.node() && start.time <= answer.time().as_millis();
        let start = self.starts.iter().rposition(is_before)?;
        let end = self.starts.get(start + 1).map_or(u64::MAX, |next| next.added);
        Some(added.min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(of: &[(&str, i64, u64)]) -> LogStarts {
        let start = |&(node, time, added): &(&str, i64, u64)| Start {
            node: node.parse().expect("a node id"),
            time,
            added,
        };
        LogStarts { starts: of.iter().map(start).collect(), unrecorded: None }
    }

    fn id(text: &str) -> ActionId {
        text.parse().expect("an id")
    }

    #[test]
    fn a_number_counts_up_to_the_next_start() {
        let log = starts(&[("server:a", 10, 0), ("server:b", 20, 100), ("server:c", 30, 150)]);
        assert_eq!(log.position(&id("15 server:a 0"), 90), Some(90));
        // The log was restored from a backup, which had 100 entries.
        assert_eq!(log.position(&id("15 server:a 0"), 120), Some(100));
        assert_eq!(log.position(&id("25 server:b 0"), 120), Some(120));
        assert_eq!(log.position(&id("35 server:c 0"), 999), Some(999));
    }

    #[test]
    fn an_answer_of_another_log_has_no_position() {
        let log = starts(&[("server:a", 10, 0)]);
        assert_eq!(log.position(&id("15 server:b 0"), 5), None);
        assert_eq!(log.position(&id("9 server:a 0"), 5), None, "an earlier log of the same node");
    }

    #[test]
    fn starts_of_one_node_differ_by_time() {
        let log = starts(&[("server:a", 10, 0), ("server:a", 20, 100)]);
        assert_eq!(log.position(&id("19 server:a 0"), 120), Some(100));
        assert_eq!(log.position(&id("20 server:a 0"), 120), Some(120));
    }
}
