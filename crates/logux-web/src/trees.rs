//! What JavaScript sees of a tree beside its JSON.

use logux::crdt::{Document, ElementId, Path, PathError};
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
pub(crate) struct Child {
    id: ElementId,
    value: Option<Value>,
}

/// Returns the children of a node, or the nodes of the top level. None, if there is no such node.
pub(crate) fn children(
    document: &Document,
    path: &str,
    parent: Option<&ElementId>,
) -> Result<Vec<Child>, PathError> {
    let Some(tree) = document.tree(path) else { return Ok(Vec::new()) };
    let path = path.parse::<Path>()?;
    let child = |id: ElementId| {
        // What was written into a node is in the document, beside the tree.
        let value = document.get(&path.join(&id.to_string())?);
        Ok(Child { id, value })
    };
    tree.children(parent).map(child).collect()
}
