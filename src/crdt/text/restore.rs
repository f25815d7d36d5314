//! The operations from one text to another.

use super::{Delta, DeltaItem, MAX_INSERTION, Text, TextError, TextOp, delta, smallest_edits};
use crate::{
    action::NodeId,
    crdt::{crdt::Crdt, sequence::Unit},
};

impl Text {
    /// Makes the operations by which `author` turns the text into another one, of any length.
    pub(in crate::crdt) fn ops_to(
        &self,
        text: &str,
        author: &NodeId,
    ) -> Result<Vec<TextOp>, TextError> {
        let edits = smallest_edits::between(&self.to_string(), text);
        let edits = edits.0.into_iter().flat_map(|item| match item {
            DeltaItem::Insert(text) if text.len() > MAX_INSERTION => insertions(&text),
            item => vec![item],
        });
        self.delta_ops(&Delta(edits.collect()), Unit::Scalars, author)
    }

    /// Makes the operations by which `author` turns the text, of which nothing is shown in its
    /// document, into another one that is shown, also an empty one.
    pub(in crate::crdt) fn new_ops(
        &self,
        text: &str,
        author: &NodeId,
    ) -> Result<Vec<TextOp>, TextError> {
        if !text.is_empty() {
            return self.ops_to(text, author);
        }
        let mut copy = self.clone();
        let insertion = copy.insert_op(0, " ", Unit::Scalars, author)?;
        copy.apply(&insertion, &delta::copy_stamp(author));
        Ok([insertion].into_iter().chain(copy.remove_op(0..1, Unit::Scalars, author)?).collect())
    }
}

/// Splits an insertion that is too long for an operation.
fn insertions(text: &str) -> Vec<DeltaItem> {
    let mut items = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.floor_char_boundary(MAX_INSERTION));
        items.push(DeltaItem::Insert(part.to_owned()));
        rest = after;
    }
    items
}
