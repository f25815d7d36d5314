//! The identity of documents, and the types of their actions.

use std::sync::Arc;

use super::{Action, ActionError};
use crate::json::write_string;

/// The identity of a document: its kind, such as `notes`, and its id within the kind.
///
/// The actions of a document name it by their type and their `id`, because the wire carries no
/// channel: `{"type":"notes/edit","id":"7","ops":[…]}`. Its channel is `notes/7`.
/// `spec/documents.md` has the actions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentKey {
    kind: Arc<str>,
    id: Arc<str>,
    channel: Arc<str>,
}

/// What an action does to a document: the last part of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DocumentVerb {
    /// `create`: the document begins, with operations that may be empty.
    Create,
    /// `edit`: operations change the document.
    Edit,
    /// `change`: operations that a server translates into an edit, for clients that know only the
    /// JSON of the document.
    Change,
    /// `delete`: the document ends.
    Delete,
    /// `snapshot`: the node that settles actions states what the document is.
    Snapshot,
}

impl DocumentVerb {
    /// Returns the name in the type of an action.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Edit => "edit",
            Self::Change => "change",
            Self::Delete => "delete",
            Self::Snapshot => "snapshot",
        }
    }

    fn read(name: &str) -> Option<Self> {
        [Self::Create, Self::Edit, Self::Change, Self::Delete, Self::Snapshot]
            .into_iter()
            .find(|verb| verb.as_str() == name)
    }
}

impl DocumentKey {
    /// Creates the key of a document.
    pub fn new(kind: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        let (kind, id) = (kind.into(), id.into());
        let channel = format!("{kind}/{id}").into();
        Self { kind, id, channel }
    }

    /// Returns the document that an action is about, and what it does to it, if its type and its id
    /// have the form of an action of a document. Whether the kind exists is up to the application.
    pub fn of(action: &Action) -> Option<(Self, DocumentVerb)> {
        let (kind, name) = action.kind().rsplit_once('/')?;
        let verb = DocumentVerb::read(name)?;
        let id = action.str_field("id").filter(|id| !id.is_empty())?;
        Some((Self::new(kind, id), verb))
    }

    /// Returns the kind.
    pub const fn kind(&self) -> &Arc<str> {
        &self.kind
    }

    /// Returns the id.
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Returns the channel: the kind, a slash and the id. It is also the index of the actions of
    /// the document, and the reason for which logs keep them.
    pub const fn channel(&self) -> &Arc<str> {
        &self.channel
    }

    /// Returns the type of the actions that do this to a document of this kind.
    pub fn action_type(&self, verb: DocumentVerb) -> String {
        format!("{}/{}", self.kind, verb.as_str())
    }

    /// Returns the action that deletes the document: `{"type":"notes/delete","id":"7"}`.
    ///
    /// # Errors
    /// None in practice: the fields can always be written.
    pub fn delete_action(&self) -> Result<Action, ActionError> {
        let mut json = String::from(r#"{"type":"#);
        write_string(&mut json, &self.action_type(DocumentVerb::Delete));
        json.push_str(r#","id":"#);
        write_string(&mut json, &self.id);
        json.push('}');
        Action::new(json)
    }

    /// Returns what an action does to this document. `None`: it does not concern the document.
    pub fn verb(&self, action: &Action) -> Option<DocumentVerb> {
        let name = action.kind().strip_prefix(&*self.kind)?.strip_prefix('/')?;
        let verb = DocumentVerb::read(name)?;
        (action.str_field("id").as_deref() == Some(&*self.id)).then_some(verb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_name_their_document() {
        let key = DocumentKey::new("app/notes", "7");
        let action = Action::new(r#"{"type":"app/notes/edit","id":"7","ops":[]}"#).unwrap();
        assert_eq!(key.verb(&action), Some(DocumentVerb::Edit));
        assert_eq!(&**key.channel(), "app/notes/7");
        assert_eq!(DocumentKey::of(&action), Some((key.clone(), DocumentVerb::Edit)));
        assert_eq!(key.action_type(DocumentVerb::Snapshot), "app/notes/snapshot");
        for text in [
            r#"{"type":"app/notes/edit","id":"8"}"#,
            r#"{"type":"app/notes/edits","id":"7"}"#,
            r#"{"type":"app/notes","id":"7"}"#,
            r#"{"type":"notes/edit","id":"7"}"#,
            r#"{"type":"app/notes/edit","id":7}"#,
        ] {
            let action = Action::new(text).unwrap();
            assert_eq!(key.verb(&action), None, "{text}");
            assert_ne!(DocumentKey::of(&action).map(|(key, _)| key), Some(key.clone()), "{text}");
        }
    }
}
