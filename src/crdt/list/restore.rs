//! The operations from one list to another.

use std::collections::BTreeSet;

use super::{List, ListError, ListOp, MAX_ITEMS};
use crate::{
    action::NodeId,
    crdt::{
        crdt::Crdt,
        element::ElementId,
        restore::{OpCollector, PartEditor, RestoreError, longest_increasing},
        view::is_equal,
    },
    json::Json,
};

impl List {
    pub(super) fn ops_to(
        &self,
        target: &Self,
        author: &NodeId,
    ) -> Result<Vec<ListOp>, RestoreError> {
        if self.to_json() == target.to_json() {
            return Ok(Vec::new());
        }
        let mut collector = OpCollector::new(self, author);
        let items = restore_items(&mut collector, target, |_, value| value.clone())?;
        for (index, (own, id)) in items.into_iter().enumerate() {
            let [Some(before), Some(after)] = [collector.state.item(&own), target.item(&id)]
                .map(|item| item.map(super::Item::value))
            else {
                continue;
            };
            if !is_equal(before, after) {
                let after = after.clone();
                collector.edit(|list: &Self, author| list.set_op(index, after, author))?;
            }
        }
        Ok(collector.ops)
    }
}

/// Makes the operations after which a list has the items of `target` in its order. Items that both
/// have stay, as many as possible without a move. `value` returns the values of new items. Returns
/// the name of each item, and that in `target`.
pub(in crate::crdt) fn restore_items(
    editor: &mut impl PartEditor<List, ListError>,
    target: &List,
    value: impl Fn(&ElementId, &Json) -> Json,
) -> Result<Vec<(ElementId, ElementId)>, RestoreError> {
    let own: Vec<ElementId> = editor.part().iter().map(|(id, _)| id).collect();
    let items: Vec<_> = target.iter().collect();
    let kept: BTreeSet<&ElementId> = items.iter().map(|(id, _)| id).collect();
    for id in own.iter().filter(|id| !kept.contains(id)) {
        editor.edit(|list, author| list.remove_op(index_of(list, id), author))?;
    }
    let common: BTreeSet<&ElementId> = own.iter().collect();
    let staying = staying_items(&editor.part(), target);

    let mut names: Vec<(ElementId, ElementId)> = Vec::with_capacity(items.len());
    let mut rest = &items[..];
    while let [(id, _), after @ ..] = rest {
        let last = names.last().map(|(own, _)| own.clone());
        let next = |list: &List| last.as_ref().map_or(0, |last| index_of(list, last) + 1);
        if common.contains(id) {
            if !staying.contains(id) {
                editor.edit(|list, author| {
                    let (from, to) = (index_of(list, id), next(list));
                    list.move_op(from, if from < to { to - 1 } else { to }, author)
                })?;
            }
            names.push((id.clone(), id.clone()));
            rest = after;
            continue;
        }
        let is_new = |(id, _): &&(ElementId, _)| !common.contains(id);
        let count = rest.iter().take(MAX_ITEMS).take_while(is_new).count();
        let (new, after) = rest.split_at(count);
        let values = new.iter().map(|(id, item)| value(id, item.value())).collect();
        editor.edit(|list, author| list.insert_all_op(next(list), values, author))?;
        let list = editor.part();
        let first = next(&list);
        for (index, (id, _)) in (first..).zip(new) {
            names.extend(list.id_at(index).map(|own| (own, id.clone())));
        }
        rest = after;
    }
    Ok(names)
}

/// Returns the items that both lists have, as many as possible in the same order.
pub(in crate::crdt) fn staying_items(before: &List, target: &List) -> BTreeSet<ElementId> {
    let indexed = |(id, _)| before.index_of(&id).map(|index| (id, index));
    let (common, indexes): (Vec<ElementId>, Vec<usize>) = target.iter().filter_map(indexed).unzip();
    let staying = common.into_iter().zip(longest_increasing(&indexes));
    staying.filter_map(|(id, stays)| stays.then_some(id)).collect()
}

/// Returns the index of an item that the list has.
fn index_of(list: &List, id: &ElementId) -> usize {
    list.index_of(id).unwrap_or(list.len())
}
