//! The live actions of a collection that pass a subscriber's filter.

use logux::{Action, Json, json::JsonObject, record::matching};

/// Returns whether a subscriber with the filter receives an action of the collection, as in the
/// reference: the fields of a creation must match, those of a change only where they are in the
/// filter.
pub(super) fn passes(filter: &JsonObject, action: &Action) -> bool {
    if filter.is_empty() {
        return true;
    }
    let fields = || {
        action
            .field("fields")
            .and_then(|fields| JsonObject::from_json(fields).ok())
            .unwrap_or_default()
    };
    let equal = |other: &Json, value: &Json| matching::equal(other, value);
    if action.kind().ends_with("/created") {
        let fields = fields();
        filter.iter().all(|(key, value)| fields.get(key).is_some_and(|other| equal(other, value)))
    } else if action.kind().ends_with("/changed") {
        let fields = fields();
        filter.iter().all(|(key, value)| fields.get(key).is_none_or(|other| equal(other, value)))
    } else {
        true
    }
}
