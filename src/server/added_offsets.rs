//! Offsets of `added` numbers, for clients that know higher numbers than the log has given.
//!
//! Such a client received its numbers from another log, for example before the restart of a server
//! with its log in memory. A client keeps the highest number that it ever received, so the numbers
//! that it is sent are increased by an offset. Without it, the client would seem to have received
//! entries that it does not have.

use std::sync::Arc;

use indexmap::IndexMap;

/// The number of clients whose offset is remembered. For clients beyond it, lost answers may not be
/// sent again.
const MAX_CLIENTS: usize = 100_000;

/// The offsets of clients, by client id.
#[derive(Debug, Default)]
pub(super) struct AddedOffsets(IndexMap<Arc<str>, u64>);

impl AddedOffsets {
    /// Converts the `since` of a client to a number of this log. Returns it with the client's
    /// offset.
    pub(super) fn resolve(&mut self, client: &str, since: u64, last_added: u64) -> (u64, u64) {
        let offset = self.0.get(client).copied().unwrap_or_default();
        if since <= last_added.saturating_add(offset) {
            return (since.saturating_sub(offset), offset);
        }
        if self.0.len() == MAX_CLIENTS {
            self.0.swap_remove_index(0);
        }
        let offset = since - last_added;
        self.0.insert(client.into(), offset);
        (0, offset)
    }
}
