//! Filters and transformations of the actions that pass through a node.

use std::borrow::Cow;

use crate::store::Entry;

/// Filters and transforms the actions that a node sends and receives. Without I/O or waiting.
///
/// `()` passes all actions unchanged.
pub trait Policy {
    /// Returns the entry to send in place of `entry`. `None`: it is not sent.
    fn outgoing<'a>(&mut self, entry: &'a Entry) -> Option<Cow<'a, Entry>> {
        Some(Cow::Borrowed(entry))
    }

    /// Returns the entry to deliver in place of a received one. `None`: it is confirmed, but not
    /// delivered.
    fn incoming(&mut self, entry: Entry) -> Option<Entry> {
        Some(entry)
    }
}

impl Policy for () {}
