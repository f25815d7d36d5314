//! The history of a document, as a server tells it to clients.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ActionId, NodeId};
use crate::time::WallTime;

/// A moment in the history of a document. In the JSON of requests, one of the fields `position`,
/// `at` (milliseconds since the epoch) and `version`.
///
/// ```
/// use logux::action::Moment;
///
/// let draft = Moment::Version("draft".into());
/// assert_eq!(serde_json::to_string(&draft)?, r#"{"version":"draft"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// After the action with this position, or after the last one before it.
    #[serde(rename = "position")]
    Position(u64),
    /// A time by the server's clock.
    #[serde(rename = "at")]
    Time(WallTime),
    /// The named version.
    #[serde(rename = "version")]
    Version(Arc<str>),
}

/// An action in the history of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The position: positions increase in the order in which the server has accepted the actions.
    pub position: u64,
    /// When the server has accepted it, by its clock.
    pub at: WallTime,
    /// The id of the action.
    pub id: ActionId,
    /// The user. `None` for actions of the server and of clients without a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// The type of the action: `KIND/create`, `KIND/edit` or `logux/undo`.
    #[serde(rename = "type")]
    pub kind: Arc<str>,
    /// The id of the action that it undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<ActionId>,
}

/// A part of a text in a document, and who has inserted it.
///
/// In JSON: `{"text":"oat ","node":"10:a:b","user":"10","time":1764000000000}`, without the fields
/// that have no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthoredText {
    /// The characters, at least one.
    pub text: String,
    /// The node that has inserted them: that of the server for what a restore, a copy or an import
    /// has written.
    pub node: NodeId,
    /// The user of the node. `None` for the server, and for a client without a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// When they were inserted, by the clock of the author, rounded down to a minute. In JSON,
    /// milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<WallTime>,
}

/// A position in the history of a document that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedVersion {
    /// The name, unique in the document.
    pub name: Arc<str>,
    /// The position.
    pub position: u64,
    /// When it was named, by the server's clock.
    pub at: WallTime,
    /// The user who named it. `None` for the server and for clients without a user.
    #[serde(default)]
    pub user: Option<Arc<str>>,
}

/// A page of the history of a document, newest first: the fields of `KIND/history`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The actions.
    pub entries: Vec<HistoryEntry>,
    /// All named versions of the document, oldest first.
    #[serde(default)]
    pub versions: Vec<NamedVersion>,
    /// The position before which there may be more actions. `None` at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}
