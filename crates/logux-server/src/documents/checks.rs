//! Which actions of a document are accepted, besides the rule of access.

use std::fmt;

use logux::{
    Entry, Json,
    action::{DocumentKey, DocumentOperation},
    crdt::{Crdt, DocumentSchema, Path, SchemaViolation, Shared},
    replay::{Malformed, Reducer as _},
    server::UndoTarget,
};

use crate::{
    documents::{
        kind::Checks,
        open::{Loaded, LockedDocument},
    },
    error::HandlerError,
    handlers::context::Context,
    telemetry::event::Event,
};

/// The largest length of the description of an error that an author receives, in bytes.
const MAX_DESCRIPTION: usize = 300;

/// The error of an action that has operations of an unknown form, or ones that are not valid for
/// the document. The author receives the description.
pub(super) fn malformed<S>(context: &Context<S>, error: &dyn fmt::Display) -> HandlerError {
    let event = Event::WrongFormat { id: &context.meta().id, error };
    context.server().telemetry().record(&event);
    refused("wrongFormat", error)
}

/// The error that undoes an action for a reason, with a description in the key `error`.
pub(super) fn refused(reason: &str, error: &dyn fmt::Display) -> HandlerError {
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(MAX_DESCRIPTION));
    let description = Json::from_value(&text).ok().map(|json| ("error".to_owned(), json));
    HandlerError::Undo { reason: reason.into(), extra: description.into_iter().collect() }
}

/// Returns the document of an action.
pub(super) fn key_of<S>(context: &Context<S>) -> Result<DocumentKey, HandlerError> {
    let expected = "expected \"id\" with the id of a document, a non-empty string";
    let key = DocumentKey::of(context.action()).map(|(key, _)| key);
    key.ok_or_else(|| malformed(context, &expected))
}

/// Returns what an author needs permission for, to change a document by operations. Without any,
/// it is an edit.
pub(super) fn operations<C: Crdt>(
    ops: &[C::Op],
    comments: &[Path],
    managed: &[Path],
) -> Vec<DocumentOperation> {
    let is_at = |place: &Path, path: &Path| place == path || place.contains(path);
    let mut needed = Vec::new();
    let mut need = |operation| {
        if !needed.contains(&operation) {
            needed.push(operation);
        }
    };
    for op in ops {
        // Without a path, an operation may change anything.
        let root = Path::root();
        let path = C::path(op).unwrap_or(&root);
        let manages = managed.iter().any(|place| is_at(place, path));
        if manages || managed.iter().any(|place| path.contains(place)) {
            need(DocumentOperation::Manage);
        }
        if comments.iter().any(|place| is_at(place, path)) {
            need(DocumentOperation::Comment);
        } else if !manages {
            need(DocumentOperation::Edit);
        }
    }
    if ops.is_empty() {
        need(DocumentOperation::Edit);
    }
    needed
}

/// Reads the operations of an action of a document.
pub(super) fn read_ops<S, C: Crdt>(
    context: &Context<S>,
    key: &DocumentKey,
) -> Result<Vec<C::Op>, HandlerError> {
    let shared = Shared::<C>::new(key.kind().clone(), key.id().clone());
    let ops = shared.read(context.action());
    ops.map(|ops| ops.map(|ops| ops.into_iter().collect()).unwrap_or_default())
        .map_err(|error| malformed(context, &error))
}

/// Checks an action against the state of its document, and adds it. A new document has to fulfil
/// the schema as a whole.
pub(super) async fn admit<S, C>(
    context: &Context<S>,
    document: &mut LockedDocument<C>,
    Checks { limits, schema }: Checks<'_>,
    is_new: bool,
) -> Result<(), HandlerError>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    let Loaded { timeline, size } = document.loaded().await?;
    let stamp = context.meta().stamp();
    if !timeline.contains(&stamp) {
        let (state, action) = (timeline.state(), context.action());
        let result: Result<C, Malformed> = timeline.reducer().admit(state, action, &stamp);
        let result = result.map_err(|error| malformed(context, &error))?;
        if let Some(schema) = schema {
            let before = (!is_new).then_some(state);
            timeline
                .reducer()
                .check_schema(schema, action, &context.meta().id, before, &result)
                .map_err(|violation| violated(&violation))?;
        }
        let grows = || shown_bytes(&result) >= shown_bytes(state);
        let added = u64::try_from(context.action().as_json().len()).unwrap_or(u64::MAX);
        let max = limits.max_bytes;
        let size = size.bytes.saturating_add(added);
        if size > max && (size > max.saturating_mul(2) || grows()) {
            let expected = format!("expected a document of at most {max} bytes, got {size}");
            return Err(refused("documentTooLarge", &expected));
        }
    }
    document.accept(context.entry()).await
}

/// Checks that the undo of an edit, or the undo of that, makes nothing that the schema forbids. Two
/// undos that arrive at once may do that together: neither is in the state of the other.
pub(super) async fn admit_undo<C>(
    document: &mut LockedDocument<C>,
    schema: &dyn DocumentSchema,
    target: &UndoTarget,
) -> Result<(), HandlerError>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    let timeline = document.timeline().await?;
    let Entry { action, meta } = &*target.action;
    let ids = std::slice::from_ref(&meta.id);
    let result =
        if target.is_redo() { timeline.state_with(ids) } else { timeline.state_without(ids) };
    let checked =
        timeline.reducer().check_schema_of_undo(schema, action, timeline.state(), &result);
    checked.map_err(|violation| violated(&violation))
}

/// The error of an action that the schema of the documents forbids.
fn violated(violation: &SchemaViolation) -> HandlerError {
    HandlerError::Undo { reason: SchemaViolation::REASON.into(), extra: violation.extra() }
}

/// Returns the size of what a document shows, as JSON.
fn shown_bytes<C: Crdt>(state: &C) -> usize {
    state.to_json().to_string().len()
}

#[cfg(test)]
mod tests {
    use logux::{
        action::DocumentOperation::{self, Comment, Edit, Manage},
        crdt::{Document, DocumentOp, Path},
    };
    use serde_json::json;

    fn needed(ops: serde_json::Value) -> Vec<DocumentOperation> {
        let ops: Vec<DocumentOp> = serde_json::from_value(ops).unwrap();
        let paths = |path: &str| [path.parse::<Path>().unwrap()];
        super::operations::<Document>(&ops, &paths("/comments"), &paths("/members"))
    }

    #[test]
    fn an_action_needs_what_its_paths_need() {
        let set = |path: &str| json!({"op": "set", "path": path, "value": 1});
        assert_eq!(needed(json!([])), [Edit]);
        assert_eq!(needed(json!([set("/title")])), [Edit]);
        assert_eq!(needed(json!([set("/comments/1"), set("/comments")])), [Comment]);
        assert_eq!(needed(json!([set("/members/ada")])), [Manage]);
        assert_eq!(needed(json!([set("/membership"), set("/comment")])), [Edit]);
        assert_eq!(needed(json!([set("/title"), set("/members")])), [Edit, Manage]);
        // The whole document has everything.
        assert_eq!(needed(json!([set("")])), [Manage, Edit]);
        assert_eq!(needed(json!([{"op": "delete", "path": ""}])), [Manage, Edit]);
    }
}
