//! Any bytes are a saved state or give an error.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use serde_json::Value;

use crate::{
    action::{ActionId, Stamp},
    crdt::{
        AddWinsSet, Counter, Crdt, Document, List, LoadError, LwwSet, Map, Register, Text, Tree,
        Unit,
    },
    json::Json,
    replay::Coverage,
};

/// Loads bytes as each type, as they are and with the checksum that belongs to them. Texts, lists
/// and trees are then edited and settled.
///
/// # Panics
/// If loading or editing panics, if saving and loading changes a loaded state, or if an invariant
/// is violated.
pub fn saved_state(data: &[u8]) {
    let mut corrected = data.to_vec();
    if let Some(rest) = data.get(8..) {
        corrected[..4].copy_from_slice(&Register::default().save()[..4]);
        corrected[4..8].copy_from_slice(&crc32fast::hash(rest).to_le_bytes());
    }
    for bytes in [data, &corrected] {
        load::<Register>(bytes);
        load::<Map>(bytes);
        load::<LwwSet>(bytes);
        load::<AddWinsSet>(bytes);
        load::<Counter>(bytes);
        if let Some(list) = load::<List>(bytes) {
            list.assert_invariants();
            edit_list(list);
        }
        if let Some(text) = load::<Text>(bytes) {
            text.assert_invariants();
            edit_text(text);
        }
        if let Some(tree) = load::<Tree>(bytes) {
            tree.assert_invariants();
            edit_tree(tree);
        }
        if let Some(document) = load::<Document>(bytes) {
            document.assert_invariants();
        }
    }
}

fn load<C: Crdt>(bytes: &[u8]) -> Option<C> {
    let text = C::load_text(bytes);
    if let Err(LoadError::AnotherType { .. } | LoadError::Checksum { .. }) = text {
        return None;
    }
    let state = match C::load(bytes) {
        Ok(state) => state,
        Err(error) => {
            let is_content = matches!(error, LoadError::Damaged { .. } | LoadError::TooLong { .. });
            assert!(text.is_err() || is_content, "only the text is accepted: {error}");
            return None;
        }
    };
    let saved = state.save();
    assert_eq!(C::load(&saved).as_ref(), Ok(&state), "saving and loading changes the state");
    assert_eq!(C::load_text(&saved), text, "saving and loading changes the text");
    let json = serde_json::to_string(&state).expect("a state is a string in JSON");
    assert!(serde_json::from_str::<C>(&json).is_ok_and(|read| read == state), "JSON changes it");
    // The string has the compressed form, which takes long to make.
    let deflated = STANDARD.decode(json.trim_matches('"')).expect("Base64");
    assert_eq!(C::load_text(&deflated), text, "saving and loading changes the text");
    let _ = state.to_json();
    Some(state)
}

fn stamp() -> Stamp {
    let id: ActionId = "1564508300000 10:x:y 0".parse().expect("an id");
    Stamp::new(id.time(), id)
}

/// Edits fail if the counters of the author have ended.
fn edit_text(mut text: Text) {
    let len = text.len(Unit::Utf16);
    let _ = text.insert(len / 2, "aé", Unit::Utf16, &stamp());
    let _ = text.replace(len / 3..len / 2, "🦀", Unit::Scalars, &stamp().of_operation(1));
    text.assert_invariants();
    let _ = text.remove(0..text.len(Unit::Bytes), Unit::Bytes, &stamp().of_operation(3));
    assert!(text.is_empty() && text.to_string().is_empty(), "everything was removed");
    text.settle(&Coverage::default());
    text.assert_invariants();
}

fn edit_list(mut list: List) {
    let author = stamp().id().node().clone();
    for index in [0, list.len() / 2] {
        let stamp = stamp().of_operation(u32::from(index > 0));
        if let Ok(op) = list.insert_op(index, Json::from(Value::Null), &author) {
            list.apply(&op, &stamp);
        }
        if let Ok(op) = list.move_op(index, 0, &author) {
            list.apply(&op, &stamp.of_operation(2));
        }
    }
    while let Ok(op) = list.remove_op(0, &author) {
        let len = list.len();
        list.apply(&op, &stamp().of_operation(3));
        assert_eq!(list.len() + 1, len, "one item was removed");
    }
    list.settle(&Coverage::default());
    list.assert_invariants();
}

fn edit_tree(mut tree: Tree) {
    let top = tree.child(None, 0);
    let _ = tree.create(top.as_ref(), 0, Json::from(Value::Null), &stamp());
    if let (Some(first), Some(last)) = (top, tree.walk().last().and_then(|node| node.id())) {
        let _ = tree.move_to(&last, None, 0, &stamp().of_operation(1));
        let _ = tree.move_to(&first, Some(&last), 0, &stamp().of_operation(2));
    }
    tree.assert_invariants();
    while let Some(first) = tree.child(None, 0) {
        let _ = tree.remove(&first, &stamp().of_operation(3));
    }
    assert!(tree.is_empty(), "everything was removed");
    tree.settle(&Coverage::default());
    tree.assert_invariants();
}
