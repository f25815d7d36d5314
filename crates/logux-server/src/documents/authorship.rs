//! Who has written which part of a text of a document, at a moment.

use std::{any::Any, sync::Arc};

use logux::{
    NodeId, WallTime,
    crdt::{Crdt, Document, Path, Text, Unit},
};
use serde::Serialize;

/// A part of a text, and who has inserted it: an item of [`Documents::authors`].
///
/// In JSON: `{"text":"oat ","node":"10:a:b","user":"10","time":1764000000000}`, without the fields
/// that have no value.
///
/// [`Documents::authors`]: crate::Documents::authors
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuthoredText {
    /// The characters, at least one.
    pub text: String,
    /// The node that has inserted them: that of the server for what a restore, a copy or an import
    /// has written.
    pub node: NodeId,
    /// The user of the node. `None` for the server, and for a client without a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// When they were inserted, by the clock of the author, rounded down to a minute. In JSON,
    /// milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<WallTime>,
}

/// Returns who has written the text at a path. `None` if there is no text that merges. O(length).
pub(super) fn authors<C: Crdt + 'static>(state: &C, path: &Path) -> Option<Vec<AuthoredText>> {
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
            user: node.user_id().filter(|_| !node.is_server()).map(Into::into),
            node,
            time: part.time,
        })
    });
    Some(parts.collect())
}
