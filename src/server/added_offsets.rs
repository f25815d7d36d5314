//! Clients that know higher numbers than our log has given.
//!
//! The log was another one when they got them, as after the restart of a server that keeps its log in memory. A client keeps the highest number
//! that it was ever told, so for it the new log's numbers are told higher by as much: otherwise it would seem to have got what it has not.

use std::sync::Arc;

use indexmap::IndexMap;

/// How many such clients to know. Of one beyond that, answers that are lost may not be sent again.
const MAX_CLIENTS: usize = 100_000;

/// By how much numbers are higher for some clients.
#[derive(Debug, Default)]
pub(super) struct AddedOffsets(IndexMap<Arc<str>, u64>);

impl AddedOffsets {
    /// What a client has got by our numbers, and by how much they have to be higher for it.
    pub(super) fn read(&mut self, client: &str, since: u64, last_added: u64) -> (u64, u64) {
        let ahead = self.0.get(client).copied().unwrap_or_default();
        if since <= last_added.saturating_add(ahead) {
            return (since.saturating_sub(ahead), ahead);
        }
        if self.0.len() == MAX_CLIENTS {
            self.0.swap_remove_index(0);
        }
        let ahead = since - last_added;
        self.0.insert(client.into(), ahead);
        (0, ahead)
    }
}
