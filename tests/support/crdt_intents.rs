//! Random edits of the types that merge, and the operations that they become on a state.

#![allow(dead_code, reason = "each test program uses some of it")]

use logux::{
    ActionId,
    crdt::{
        AddWinsOp, AddWinsSet, Document, DocumentOp, List, ListError, LwwSet, LwwSetOp, Map, MapOp,
        Path, Text, TextOp, Tree, TreeError, TreeOp, Unit,
    },
};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

pub(crate) fn value() -> impl Strategy<Value = Value> + Clone {
    select(vec![json!(1), json!("a"), json!({"a": 1, "b": {"a": 2}}), json!([1, 2]), Value::Null])
}

pub(crate) fn path() -> impl Strategy<Value = &'static str> + Clone {
    select(vec!["", "/a", "/a/b", "/a/b/c", "/b", "/a!", "/a~1"])
}

pub(crate) fn element() -> impl Strategy<Value = &'static str> + Clone {
    select(vec!["a", "b"])
}

/// A path of a map, and its value. `None` removes it.
pub(crate) fn map_intent() -> impl Strategy<Value = (&'static str, Option<Value>)> + Clone {
    (path(), prop::option::weighted(0.7, value()))
}

pub(crate) fn map_op(
    map: &Map,
    (path, value): &(&'static str, Option<Value>),
    _: &ActionId,
) -> Option<MapOp> {
    let path = path.parse().unwrap();
    Some(match value {
        Some(value) => map.set_op(&path, value.clone()),
        None => map.delete_op(&path),
    })
}

/// An element of a set, and whether it is added or removed.
pub(crate) fn set_intent() -> impl Strategy<Value = (&'static str, bool)> + Clone {
    (element(), any::<bool>())
}

pub(crate) fn lww_set_op(
    set: &LwwSet,
    (element, is_added): &(&'static str, bool),
    _: &ActionId,
) -> Option<LwwSetOp> {
    Some(if *is_added { set.add_op(*element) } else { set.remove_op(*element) })
}

pub(crate) fn add_wins_set_op(
    set: &AddWinsSet,
    (element, is_added): &(&'static str, bool),
    _: &ActionId,
) -> Option<AddWinsOp> {
    Some(if *is_added { set.add_op(*element) } else { set.remove_op(*element) })
}

#[derive(Clone, Debug)]
pub(crate) enum ListIntent {
    Insert(prop::sample::Index),
    Move(prop::sample::Index, prop::sample::Index),
    Set(prop::sample::Index, i32),
    Remove(prop::sample::Index),
}

pub(crate) fn list_intent() -> impl Strategy<Value = ListIntent> + Clone {
    prop_oneof![
        4 => any::<prop::sample::Index>().prop_map(ListIntent::Insert),
        2 => any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(from, to)| ListIntent::Move(from, to)),
        1 => (any::<prop::sample::Index>(), 0..9).prop_map(|(at, value)| ListIntent::Set(at, value)),
        1 => any::<prop::sample::Index>().prop_map(ListIntent::Remove),
    ]
}

pub(crate) fn list_op(
    list: &List,
    intent: &ListIntent,
    id: &ActionId,
) -> Option<logux::crdt::ListOp> {
    let at = |index: &prop::sample::Index| (!list.is_empty()).then(|| index.index(list.len()));
    match intent {
        ListIntent::Insert(index) => list.insert_op(index.index(list.len() + 1), json!(id), id),
        ListIntent::Move(from, to) => list.move_op(at(from)?, at(to)?, id),
        ListIntent::Set(index, value) => list.set_op(at(index)?, json!(value), id),
        ListIntent::Remove(index) => list.remove_op(at(index)?, id),
    }
    .ok()
}

#[derive(Clone, Debug)]
pub(crate) enum TextIntent {
    Insert(prop::sample::Index, &'static str),
    Remove(prop::sample::Index, usize),
    /// Inserts at the end.
    Type(&'static str),
    /// Removes the last character.
    Backspace,
}

/// Returns edits as people make them, most of them at the end.
pub(crate) fn typing() -> impl Strategy<Value = TextIntent> + Clone {
    prop_oneof![
        4 => select(vec!["a", "é", "🦀", "bc"]).prop_map(TextIntent::Type),
        2 => Just(TextIntent::Backspace),
        2 => text_intent(),
    ]
}

pub(crate) fn text_intent() -> impl Strategy<Value = TextIntent> + Clone {
    let texts = select(vec!["a", "b", "cd", "é🦀", "\n", "efg"]);
    prop_oneof![
        3 => (any::<prop::sample::Index>(), texts).prop_map(|(at, text)| TextIntent::Insert(at, text)),
        1 => (any::<prop::sample::Index>(), 1..4_usize).prop_map(|(at, len)| TextIntent::Remove(at, len)),
    ]
}

pub(crate) fn text_op(text: &Text, intent: &TextIntent, id: &ActionId) -> Option<TextOp> {
    text.assert_invariants();
    let len = text.len(Unit::Scalars);
    match intent {
        TextIntent::Insert(at, new) => {
            text.insert_op(at.index(len + 1), new, Unit::Scalars, id).ok()
        }
        TextIntent::Remove(at, count) => {
            let start = at.index(len.max(1));
            text.remove_op(start..(start + count).min(len), Unit::Scalars, id).ok()?
        }
        TextIntent::Type(new) => text.insert_op(len, new, Unit::Scalars, id).ok(),
        TextIntent::Backspace => {
            text.remove_op(len.saturating_sub(1)..len, Unit::Scalars, id).ok()?
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum TreeIntent {
    Create(prop::sample::Index, prop::sample::Index),
    Move(prop::sample::Index, prop::sample::Index, prop::sample::Index),
    Set(prop::sample::Index, &'static str, i32),
    Delete(prop::sample::Index, &'static str),
    Remove(prop::sample::Index),
}

pub(crate) fn tree_intent() -> impl Strategy<Value = TreeIntent> + Clone {
    type At = prop::sample::Index;
    let paths = || select(vec!["/a", "/a/b"]);
    prop_oneof![
        4 => any::<(At, At)>().prop_map(|(parent, at)| TreeIntent::Create(parent, at)),
        5 => any::<(At, At, At)>().prop_map(|(node, parent, at)| TreeIntent::Move(node, parent, at)),
        1 => (any::<At>(), path(), 0..9).prop_map(|(node, path, value)| TreeIntent::Set(node, path, value)),
        1 => (any::<At>(), paths()).prop_map(|(node, path)| TreeIntent::Delete(node, path)),
        1 => any::<At>().prop_map(TreeIntent::Remove),
    ]
}

pub(crate) fn tree_op(tree: &Tree, intent: &TreeIntent, id: &ActionId) -> Option<TreeOp> {
    let author = id;
    let ids: Vec<_> = tree.walk().filter_map(|node| node.id()).collect();
    let pick = |index: &prop::sample::Index| (!ids.is_empty()).then(|| index.get(&ids));
    // The top level, or a node.
    let parent = |index: &prop::sample::Index| {
        index.index(ids.len() + 1).checked_sub(1).map(|index| &ids[index])
    };
    match intent {
        TreeIntent::Create(above, at) => {
            let above = parent(above);
            let at = at.index(tree.child_count(above) + 1);
            tree.create_op(above, at, json!({"a": 1}), author)
        }
        TreeIntent::Move(node, above, at) => {
            let (node, above) = (pick(node)?, parent(above));
            let is_there = tree.parent(node).as_ref() == above;
            let at = at.index(tree.child_count(above) + usize::from(!is_there));
            tree.move_op(node, above, at, author)
        }
        TreeIntent::Set(node, path, value) => {
            tree.set_op(pick(node)?, path.parse().unwrap(), json!(value), author)
        }
        TreeIntent::Delete(node, path) => {
            tree.delete_op(pick(node)?, path.parse().unwrap(), author)
        }
        TreeIntent::Remove(node) => tree.remove_op(pick(node)?, author),
    }
    .ok()
}

/// A change of a document, at a path in the document, or in an item of a list or a node of a tree.
#[derive(Clone, Debug)]
pub(crate) struct DocumentIntent {
    /// The path of a list or tree, and which of its items or nodes: in that, the same again.
    pub(crate) within: Vec<(&'static str, prop::sample::Index)>,
    pub(crate) path: &'static str,
    pub(crate) change: DocumentChange,
}

#[derive(Clone, Debug)]
pub(crate) enum DocumentChange {
    Set(Option<Value>),
    Count(i64),
    Tag(&'static str, bool),
    List(ListIntent),
    Text(TextIntent),
    Tree(TreeIntent),
}

pub(crate) fn document_intent() -> impl Strategy<Value = DocumentIntent> + Clone {
    let change = prop_oneof![
        3 => prop::option::weighted(0.6, value()).prop_map(DocumentChange::Set),
        1 => (-3..4_i64).prop_map(DocumentChange::Count),
        1 => (element(), any::<bool>()).prop_map(|(element, add)| DocumentChange::Tag(element, add)),
        3 => list_intent().prop_map(DocumentChange::List),
        3 => text_intent().prop_map(DocumentChange::Text),
        3 => tree_intent().prop_map(DocumentChange::Tree),
    ];
    let within = (path(), any::<prop::sample::Index>());
    let within = prop_oneof![
        3 => Just(Vec::new()),
        2 => within.clone().prop_map(|within| vec![within]),
        1 => (within.clone(), within).prop_map(|(above, below)| vec![above, below]),
    ];
    (within, path(), change).prop_map(|(within, path, change)| DocumentIntent {
        within,
        path,
        change,
    })
}

/// Returns the path of an item of the list at a path, or of a node of the tree. `None` if there is
/// none.
pub(crate) fn inner(document: &Document, path: &Path, at: &prop::sample::Index) -> Option<Path> {
    let list = document.list(path.as_str()).into_iter().flat_map(List::iter).map(|(id, _)| id);
    let tree = document.tree(path.as_str()).into_iter().flat_map(Tree::walk);
    let ids: Vec<_> = list.chain(tree.filter_map(|node| node.id())).collect();
    if ids.is_empty() { None } else { path.join(&at.get(&ids).to_string()).ok() }
}

pub(crate) fn document_op(
    document: &Document,
    intent: &DocumentIntent,
    id: &ActionId,
) -> Option<DocumentOp> {
    document.assert_invariants();
    let below = |base: &Path, rest: &str| format!("{base}{rest}").parse::<Path>().unwrap();
    let mut base = Path::root();
    for (path, at) in &intent.within {
        // Without items and nodes, it is a change at the path.
        let path = below(&base, path);
        base = inner(document, &path, at).unwrap_or(base);
    }
    let path = below(&base, intent.path);
    Some(match &intent.change {
        DocumentChange::Set(Some(value)) => document.set_op(&path, value.clone()),
        DocumentChange::Set(None) => document.delete_op(&path),
        DocumentChange::Count(by) => document.increment_op(&path, *by),
        DocumentChange::Tag(element, true) => document.add_op(&path, *element),
        DocumentChange::Tag(element, false) => document.discard_op(&path, *element),
        DocumentChange::List(intent) => {
            let nothing = ListError::OutOfBounds { index: 0, len: 0 };
            document.list_op(&path, id, |list| list_op(list, intent, id).ok_or(nothing)).ok()?
        }
        // Without the removal of what was hidden before: it is shown again.
        DocumentChange::Text(intent) => {
            let ops = document
                .text_ops(&path, id, |text| Ok(text_op(text, intent, id).into_iter().collect()));
            ops.ok()?.pop()?
        }
        DocumentChange::Tree(intent) => {
            let nothing = TreeError::OutOfBounds { index: 0, max: 0 };
            let ops = document.tree_ops(&path, id, |tree| tree_op(tree, intent, id).ok_or(nothing));
            ops.ok()?.pop()?
        }
    })
}
