//! Which deliveries leave in one message.

use logux::{Entry, action::logux::UNDO};
use smallvec::SmallVec;

use crate::hub::outbox::Delivery;

/// About how many bytes of actions one message carries at most, unless one action is larger.
const BYTES: usize = 16 * 1024;

/// What leaves in one message: one head, one confirmation, one deadline for all.
///
/// The reference sends live actions one by one. To its clients several are nothing new, as this is how they get what they missed; but with two changes of a record
/// in one message `createFilter` of `@logux/client` loses fields of it, since no store listens yet when the second is looked at. So changes of records, and
/// what takes changes back, leave alone.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    deliveries: SmallVec<[Delivery; 2]>,
    bytes: usize,
    leaves_alone: bool,
}

impl Batch {
    /// Puts a delivery in. What it may not go with comes back, to be sent first.
    #[must_use]
    pub(crate) fn add(&mut self, delivery: Delivery) -> Option<Self> {
        let bytes = delivery.entry.action.as_json().len();
        let leaves_alone = leaves_alone(delivery.entry.action.kind());
        let is_full = self.leaves_alone || leaves_alone || self.bytes + bytes > BYTES;
        let full = (is_full && !self.deliveries.is_empty()).then(|| core::mem::take(self));
        self.bytes += bytes;
        self.leaves_alone = leaves_alone;
        self.deliveries.push(delivery);
        full
    }

    /// The number of the last, which counts for all. `None` when nothing is in.
    pub(crate) fn added(&self) -> Option<u64> {
        self.deliveries.last().map(|delivery| delivery.added)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.deliveries.iter().map(|delivery| &*delivery.entry)
    }

    /// The numbers for whose confirmation the hub waits.
    pub(crate) fn unconfirmed(&self) -> impl Iterator<Item = u64> {
        self.deliveries.iter().filter(|delivery| delivery.confirm).map(|delivery| delivery.added)
    }
}

fn leaves_alone(kind: &str) -> bool {
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
        Delivery { added: 1, entry: Arc::new(entry), confirm: false }
    }

    fn go_together(first: &str, second: &str) -> bool {
        let mut batch = Batch::default();
        assert!(batch.add(delivery(first)).is_none());
        batch.add(delivery(second)).is_none()
    }

    #[test]
    fn changes_of_records_leave_alone() {
        let (note, change) =
            (r#"{"type":"note"}"#, r#"{"type":"posts/changed","id":"1","fields":{}}"#);
        assert!(go_together(note, note));
        assert!(!go_together(note, change));
        assert!(!go_together(change, note));
        assert!(!go_together(note, r#"{"type":"logux/undo","id":"1 10:a:b 0"}"#));
    }

    #[test]
    fn a_message_has_a_size() {
        let long = format!(r#"{{"type":"note","text":"{}"}}"#, "x".repeat(BYTES / 2));
        assert!(!go_together(&long, &long));
        assert!(go_together(&long, r#"{"type":"note"}"#));
    }
}
