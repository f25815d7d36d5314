//! Any bytes are a saved state or give an error.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::crdt::{
    AddWinsSet, Counter, Crdt, Document, List, LoadError, LwwSet, Map, Register, Text, Tree,
};

/// Loads bytes as each type, as they are and with the checksum that belongs to them.
///
/// # Panics
/// If loading panics, if saving and loading changes a loaded state, or if an invariant is violated.
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
        }
        if let Some(text) = load::<Text>(bytes) {
            text.assert_invariants();
        }
        if let Some(tree) = load::<Tree>(bytes) {
            tree.assert_invariants();
        }
        if let Some(document) = load::<Document>(bytes) {
            document.assert_invariants();
        }
    }
}

fn load<C: Crdt>(bytes: &[u8]) -> Option<C> {
    let text = C::load_text(bytes);
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
