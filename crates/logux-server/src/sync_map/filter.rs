//! The live actions of a collection that pass a subscriber's filter.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use logux::{Action, ActionId, Meta, json::JsonObject, record::matching::Comparable};

/// The fields of an action, in the form in which they are compared.
type Fields = HashMap<Box<str>, Comparable>;

/// The fields of the last action of a collection, so that they are parsed once for all filters.
#[derive(Debug, Default)]
pub(super) struct LastFields(Mutex<Option<(ActionId, Arc<Fields>)>>);

impl LastFields {
    /// Returns the fields of an action.
    fn of(&self, action: &Action, meta: &Meta) -> Arc<Fields> {
        // A poisoned lock is consistent: every change is one assignment.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, fields)) = &*last
            && *id == meta.id
        {
            return fields.clone();
        }
        let object = action.field("fields").and_then(|json| JsonObject::from_json(json).ok());
        let fields = Arc::new(object.as_ref().map(Comparable::fields).unwrap_or_default());
        *last = Some((meta.id.clone(), fields.clone()));
        fields
    }
}

/// The filter of a subscriber, which is parsed once.
#[derive(Debug)]
pub(super) struct FieldFilter(Vec<(Box<str>, Comparable)>);

impl FieldFilter {
    pub(super) fn new(filter: &JsonObject) -> Self {
        Self(Comparable::fields(filter).into_iter().collect())
    }

    /// Returns whether its subscriber receives an action of the collection, as in the reference:
    /// the fields of a creation must match, those of a change only where they are in the filter.
    /// O(fields of the filter), and once for each action O(its fields).
    pub(super) fn passes(&self, last: &LastFields, action: &Action, meta: &Meta) -> bool {
        let is_creation = action.kind().ends_with("/created");
        if self.0.is_empty() || !is_creation && !action.kind().ends_with("/changed") {
            return true;
        }
        let fields = last.of(action, meta);
        self.0.iter().all(|(key, value)| match fields.get(key) {
            Some(other) => other == value,
            None => !is_creation,
        })
    }
}
