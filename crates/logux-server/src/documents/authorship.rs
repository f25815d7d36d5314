//! Who has written which part of a text of a document, at a moment.

use std::any::Any;

use logux::{
    action::AuthoredText,
    crdt::{Crdt, Document, Path, Text, Unit},
};

use crate::error::HandlerError;

/// Returns who has written the text at a path. O(length).
///
/// # Errors
/// The reason `noText` if there is no text that merges.
pub(super) async fn authors<C>(state: C, path: Path) -> Result<Vec<AuthoredText>, HandlerError>
where
    C: Crdt + Send + 'static,
{
    // A long text has many parts.
    let authors = tokio::task::spawn_blocking(move || parts(&state, &path));
    authors.await?.ok_or_else(|| HandlerError::undo("noText"))
}

fn parts<C: Crdt + 'static>(state: &C, path: &Path) -> Option<Vec<AuthoredText>> {
    let state: &dyn Any = state;
    let text = match state.downcast_ref::<Document>() {
        Some(document) => document.text(path.as_str())?,
        None => state.downcast_ref::<Text>().filter(|_| *path == Path::root())?,
    };
    let whole = text.to_string();
    let parts = text.authorship(Unit::Bytes).into_iter().filter_map(|part| {
        let node = part.author.clone();
        Some(AuthoredText {
            text: whole.get(part.range)?.to_owned(),
            user: node.client_user_id().map(Into::into),
            node,
            time: part.time,
        })
    });
    Some(parts.collect())
}
