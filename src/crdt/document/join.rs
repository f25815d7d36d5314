//! Operations on one text of a document that follow each other, as one.

use super::{DocumentOp, op::PartOp};
use crate::crdt::text::TextOp;

impl DocumentOp {
    /// Joins the next operation of the same author, if both change the same text and their
    /// operations of the text are one.
    pub(super) fn join(&mut self, next: &Self) -> bool {
        if self.path() != next.path() {
            return false;
        }
        let (PartOp::Text(mut joined), PartOp::Text(next)) = (self.part(), next.part()) else {
            return false;
        };
        if !joined.join(&next) {
            return false;
        }
        match (self, joined) {
            (Self::InsertText { text, .. }, TextOp::Insert { text: joined, .. }) => *text = joined,
            (Self::RemoveText { elements, .. }, TextOp::Remove { elements: joined }) => {
                *elements = joined;
            }
            _ => return false,
        }
        true
    }
}
