//! The schemas of documents, by kind.

use std::{collections::HashMap, fmt, sync::Arc};

use logux::{
    Action, ActionId,
    crdt::{Crdt, DocumentSchema, SchemaViolation, Shared},
    replay::Reducer,
};

/// Checks an action that is about to be made of a state.
pub(crate) type Check<R> = Arc<
    dyn Fn(&<R as Reducer>::State, &Action, &ActionId) -> Result<(), SchemaViolation> + Send + Sync,
>;

/// The schemas of documents, by kind.
#[derive(Default)]
pub(crate) struct Schemas(pub(crate) HashMap<String, Arc<dyn DocumentSchema>>);

impl Schemas {
    /// Returns the check of the edits of a document. `None` without a schema for its kind.
    pub(crate) fn check<C>(&self, document: &Shared<C>) -> Option<Check<Shared<C>>>
    where
        C: Crdt + 'static,
    {
        let schema = self.0.get(&**document.key().kind())?.clone();
        let document = document.clone();
        Some(Arc::new(move |state, action, id| document.check_own(&*schema, action, id, state)))
    }
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
