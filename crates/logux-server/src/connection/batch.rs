//! Combines deliveries into messages.

use logux::{Entry, action::logux::UNDO};
use smallvec::SmallVec;

use crate::hub::outbox::Delivery;

/// The largest size of the actions in one message, in bytes. One action may be larger.
const MAX_BYTES: usize = 16 * 1024;

/// The deliveries of one message, which have one confirmation and one deadline.
///
/// The reference sends live actions one by one. Its clients also accept several in one message, as
/// they receive missed actions this way. But if a message has two changes of one record,
/// `createFilter` of `@logux/client` loses fields: when it handles the second change, no store
/// listens yet. So changes of records and undos are sent alone.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    deliveries: SmallVec<[Delivery; 2]>,
    bytes: usize,
    is_exclusive: bool,
}

impl Batch {
    /// Adds a delivery. If it cannot be in the same message as the previous ones, returns those, to
    /// be sent first.
    #[must_use]
    pub(crate) fn add(&mut self, delivery: Delivery) -> Option<Self> {
        let bytes = delivery.entry.action.as_json().len();
        let is_exclusive = is_exclusive(delivery.entry.action.kind());
        let is_full = self.is_exclusive || is_exclusive || self.bytes + bytes > MAX_BYTES;
        let full = (is_full && !self.deliveries.is_empty()).then(|| core::mem::take(self));
        self.bytes += bytes;
        self.is_exclusive = is_exclusive;
        self.deliveries.push(delivery);
        full
    }

    /// Returns the added number of the message, that of its last delivery. `None` if it is empty.
    pub(crate) fn added(&self) -> Option<u64> {
        self.deliveries.last().map(|delivery| delivery.added)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.deliveries.iter().map(|delivery| &*delivery.entry)
    }

    /// Returns the added numbers for whose confirmation the hub waits.
    pub(crate) fn unconfirmed(&self) -> impl Iterator<Item = u64> {
        self.deliveries.iter().filter(|delivery| delivery.confirm).map(|delivery| delivery.added)
    }
}

/// Returns `true` for the types of actions that are sent alone.
fn is_exclusive(kind: &str) -> bool {
    const CHANGES: [&str; 6] =
        ["/create", "/created", "/change", "/changed", "/delete", "/deleted"];
    kind == UNDO || CHANGES.iter().any(|change| kind.ends_with(change))
}

#[cfg(test)]
mod tests {
    use logux::{Action, ActionId, action::Meta};

    use std::sync::Arc;

    use super::*;

    fn delivery(action: &str) -> Delivery {
        let id: ActionId = "1 10:a:b 0".parse().unwrap();
        let entry = Entry::new(Action::new(action).unwrap(), Meta::new(id));
        Delivery { added: 1, entry: Arc::new(entry), confirm: false, is_requested: false }
    }

    fn share_a_message(first: &str, second: &str) -> bool {
        let mut batch = Batch::default();
        assert!(batch.add(delivery(first)).is_none());
        batch.add(delivery(second)).is_none()
    }

    #[test]
    fn changes_of_records_and_undos_are_sent_alone() {
        let (note, change) =
            (r#"{"type":"note"}"#, r#"{"type":"posts/changed","id":"1","fields":{}}"#);
        assert!(share_a_message(note, note));
        assert!(!share_a_message(note, change));
        assert!(!share_a_message(change, note));
        assert!(!share_a_message(note, r#"{"type":"logux/undo","id":"1 10:a:b 0"}"#));
    }

    #[test]
    fn the_size_of_a_message_is_bounded() {
        let long = format!(r#"{{"type":"note","text":"{}"}}"#, "x".repeat(MAX_BYTES / 2));
        assert!(!share_a_message(&long, &long));
        assert!(share_a_message(&long, r#"{"type":"note"}"#));
    }
}
