//! What a user may do with a document, as the server tells it to clients.

use core::fmt;

use super::{Action, ActionError, DocumentKey};
use crate::json::{Cursor, write_string};

/// The last part of the type of [`DocumentAccess`].
const ACCESS: &str = "access";

/// What a user wants to do with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DocumentOperation {
    /// Receive its state and its edits: `logux/subscribe` to `KIND/ID`.
    Read,
    /// Begin it, or take its deletion back: `KIND/create`.
    Create,
    /// Change it: `KIND/edit`.
    Edit,
    /// Add comments to it, by edits that change nothing else.
    Comment,
    /// Delete it: `KIND/delete`.
    Delete,
    /// Decide who may do what with it.
    Manage,
}

impl DocumentOperation {
    /// All operations.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Create, Self::Edit, Self::Comment, Self::Delete, Self::Manage];

    /// Returns the word in [`DocumentAccess`], such as `edit`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Edit => "edit",
            Self::Comment => "comment",
            Self::Delete => "delete",
            Self::Manage => "manage",
        }
    }

    /// Returns the operation of a word; `None` for an unknown one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for DocumentOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The operations that a user may do with a document: a set.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AccessList(u8);

impl AccessList {
    /// The list without operations.
    pub const NONE: Self = Self(0);

    /// Returns `true` if the user may do this.
    pub const fn allows(self, operation: DocumentOperation) -> bool {
        self.0 & operation.bit() != 0
    }

    /// Returns the operations, in the order of [`DocumentOperation::ALL`].
    pub fn iter(self) -> impl Iterator<Item = DocumentOperation> {
        DocumentOperation::ALL.into_iter().filter(move |operation| self.allows(*operation))
    }
}

impl FromIterator<DocumentOperation> for AccessList {
    fn from_iter<T: IntoIterator<Item = DocumentOperation>>(operations: T) -> Self {
        Self(operations.into_iter().fold(0, |bits, operation| bits | operation.bit()))
    }
}

impl fmt::Debug for AccessList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// `{"type":"notes/access","id":"7","operations":["read","edit"]}`: what the receiver may do with a
/// document. A server sends it to one client when the client subscribes, before it confirms the
/// subscription, and when the rights change. It is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentAccess {
    /// The document.
    pub key: DocumentKey,
    /// What the receiver may do.
    pub operations: AccessList,
}

impl DocumentAccess {
    /// Reads the action. `None` if it has another type, no `id` that is a non-empty string, or no
    /// `operations` that are an array. Unknown operations are left out.
    pub fn from_action(action: &Action) -> Option<Self> {
        let (kind, name) = action.kind().rsplit_once('/')?;
        if name != ACCESS {
            return None;
        }
        let id = action.str_field("id").filter(|id| !id.is_empty())?;
        let mut operations = Vec::new();
        let read = Cursor::new(action.field("operations")?).array(|cursor| {
            // A word that JSON writes with escapes is not one of them.
            let word = cursor.value()?.trim_matches('"');
            operations.extend(DocumentOperation::from_word(word));
            Ok::<_, crate::json::JsonError>(())
        });
        read.ok()?;
        let operations = operations.into_iter().collect();
        Some(Self { key: DocumentKey::new(kind, id), operations })
    }

    /// Returns the action with these fields.
    ///
    /// # Errors
    /// None in practice: the fields can always be written.
    pub fn to_action(&self) -> Result<Action, ActionError> {
        let mut json = String::from(r#"{"type":"#);
        write_string(&mut json, &format!("{}/{ACCESS}", self.key.kind()));
        json.push_str(r#","id":"#);
        write_string(&mut json, self.key.id());
        json.push_str(r#","operations":["#);
        for (index, operation) in self.operations.iter().enumerate() {
            json.push_str(if index > 0 { "," } else { "" });
            write_string(&mut json, operation.as_str());
        }
        json.push_str("]}");
        Action::new(json)
    }
}

#[cfg(test)]
mod tests {
    use super::{DocumentOperation::*, *};

    fn read(json: &str) -> Option<DocumentAccess> {
        DocumentAccess::from_action(&Action::new(json).unwrap())
    }

    #[test]
    fn access_round_trips() {
        for operations in
            [vec![], vec![Read], vec![Read, Edit, Manage], DocumentOperation::ALL.into()]
        {
            let operations = operations.into_iter().collect();
            let access = DocumentAccess { key: DocumentKey::new("app/notes", "\"7"), operations };
            let action = access.to_action().unwrap();
            assert_eq!(DocumentAccess::from_action(&action), Some(access), "{}", action.as_json());
        }
    }

    #[test]
    fn unknown_operations_are_left_out() {
        let json =
            r#"{"type":"notes/access","id":"7","operations":["edit","fly",7,null,["read"]]}"#;
        let operations = [Edit].into_iter().collect();
        assert_eq!(read(json).map(|access| access.operations), Some(operations));
        assert!(operations.allows(Edit) && !operations.allows(Read));
        assert_eq!(format!("{operations:?}"), "{Edit}");
    }

    #[test]
    fn other_actions_are_not_read() {
        for json in [
            r#"{"type":"notes/edit","id":"7","operations":[]}"#,
            r#"{"type":"notes/access","id":"","operations":[]}"#,
            r#"{"type":"notes/access","id":7,"operations":[]}"#,
            r#"{"type":"notes/access","id":"7","operations":{"read":true}}"#,
            r#"{"type":"notes/access","id":"7"}"#,
            r#"{"type":"access","id":"7","operations":[]}"#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
