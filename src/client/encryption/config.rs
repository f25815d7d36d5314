//! Which own actions are encrypted.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use crate::{
    action::{Action, logux},
    wire::MessageLimits,
};

/// The type of the action by which a device lets the server forget an encrypted action.
pub(super) const CLEAN: &str = "0/clean";

/// Which actions a client encrypts, for [`Client::with_encryption`](super::super::Client).
///
/// All actions that the client sends are encrypted, except
///
/// - those of [`plain_types`](Self::plain_types);
/// - those for the server itself: `0/clean`, and the `logux/*` actions, such as `logux/subscribe`.
///   A `logux/undo` contains the undone action, so it is encrypted if that is.
///
/// A received action of the type `0` is decrypted, any other is taken as it is.
#[derive(Clone, Debug)]
pub struct EncryptionConfig {
    /// The types of the actions that the server has to read. Default: none.
    pub plain_types: BTreeSet<Arc<str>>,
    /// The largest decrypted action, in bytes. Default: that of [`MessageLimits::action_bytes`].
    pub max_action_bytes: usize,
}

impl Default for EncryptionConfig {
    fn default() -> Self {
        Self {
            plain_types: BTreeSet::new(),
            max_action_bytes: MessageLimits::default().action_bytes,
        }
    }
}

impl EncryptionConfig {
    /// Returns `true` if a client encrypts this action of its own. O(length) for a `logux/undo`.
    pub fn encrypts(&self, action: &Action) -> bool {
        let subject = subject(action);
        match subject.kind() {
            // It has the id of the undone action alone, and this may be any action.
            logux::UNDO => true,
            CLEAN => false,
            kind => !kind.starts_with("logux/") && !self.plain_types.contains(kind),
        }
    }
}

/// Returns the action that an undo, or the undo of an undo, is about; any other action as it is. An
/// undo that does not contain its action is returned as it is.
pub(super) fn subject(action: &Action) -> Cow<'_, Action> {
    let mut subject = Cow::Borrowed(action);
    // The nesting depth of JSON is bounded.
    while subject.kind() == logux::UNDO {
        let Some(Ok(undone)) = subject.field("action").map(Action::new) else { break };
        subject = Cow::Owned(undone);
    }
    subject
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_for_the_server_are_plain() {
        let config = EncryptionConfig {
            plain_types: BTreeSet::from(["public/say".into()]),
            ..EncryptionConfig::default()
        };
        for (json, is_encrypted) in [
            (r#"{"type":"say"}"#, true),
            (r#"{"type":"public/say"}"#, false),
            (r#"{"type":"0/clean","id":"1 10:a:b 0"}"#, false),
            (r#"{"type":"logux/subscribe","channel":"a"}"#, false),
            (r#"{"type":"logux/undo","id":"1 10:a:b 0"}"#, true),
            (r#"{"type":"logux/undo","action":{"type":"say"}}"#, true),
            (r#"{"type":"logux/undo","action":{"type":"public/say"}}"#, false),
            (
                r#"{"type":"logux/undo","action":{"type":"logux/undo","action":{"type":"say"}}}"#,
                true,
            ),
            (
                r#"{"type":"logux/undo","action":{"type":"logux/undo","action":{"type":"public/say"}}}"#,
                false,
            ),
        ] {
            assert_eq!(config.encrypts(&Action::new(json).unwrap()), is_encrypted, "{json}");
        }
    }
}
