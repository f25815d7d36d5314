//! What may pass a node, and in which form.

use std::borrow::Cow;

use crate::store::Entry;

/// Decides for each action whether and how it leaves and enters through a node. Pure: no I/O, no waiting.
///
/// `()` lets everything pass as it is.
pub trait Policy {
    /// An own entry is about to be sent: `None` keeps it here.
    fn outgoing<'a>(&mut self, entry: &'a Entry) -> Option<Cow<'a, Entry>> {
        Some(Cow::Borrowed(entry))
    }

    /// An entry of the other end came: `None` drops it. It is confirmed all the same.
    fn incoming(&mut self, entry: Entry) -> Option<Entry> {
        Some(entry)
    }
}

impl Policy for () {}
