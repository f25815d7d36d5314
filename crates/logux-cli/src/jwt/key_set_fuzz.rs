//! A property of key sets for any input: the body of the fuzz target `key_set`, which includes this
//! file and `keys.rs`.

use std::collections::BTreeSet;

use super::keys::{SetKey, read_set};

/// Checks that reading a key set gives only public keys that are in it, and that each key is read
/// beside others, which may be unknown or broken, as it is read alone.
///
/// # Panics
/// If the property does not hold.
pub(crate) fn key_set(json: &[u8]) {
    let Ok(keys) = read_set(json) else { return };
    let set: serde_json::Value = serde_json::from_slice(json).expect("a key set is JSON");
    // Of a duplicate name, the reader and `serde_json::Value` may use different values.
    let Some(listed) = set["keys"].as_array() else { return };
    let ids: BTreeSet<_> = listed.iter().filter_map(|key| key["kid"].as_str()).collect();
    assert!(keys.iter().filter_map(|key| key.id.as_deref()).all(|id| ids.contains(id)));

    let describe = |keys: Vec<SetKey>| -> Vec<_> {
        keys.into_iter().map(|key| (key.id, key.key.family())).collect()
    };
    let alone = listed.iter().flat_map(|key| {
        let read = read_set(serde_json::json!({"keys": [key]}).to_string().as_bytes());
        let read = read.expect("a key set");
        assert!(read.is_empty() || key["kty"] != "oct", "a secret is no public key");
        read
    });
    let alone = describe(alone.collect());
    assert_eq!(describe(keys), alone);
}
