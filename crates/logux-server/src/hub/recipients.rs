//! Short forms of [`Recipients`].

use std::sync::Arc;

use logux::server::Recipients;

/// A value that names the recipients of an action: [`Recipients`], a channel name, or a list of
/// channel names.
pub trait IntoRecipients {
    /// Converts the value.
    fn into_recipients(self) -> Recipients;
}

impl IntoRecipients for Recipients {
    fn into_recipients(self) -> Recipients {
        self
    }
}

impl IntoRecipients for &str {
    fn into_recipients(self) -> Recipients {
        Recipients::channel(self)
    }
}

impl IntoRecipients for String {
    fn into_recipients(self) -> Recipients {
        Recipients::channel(self)
    }
}

impl<T: Into<Arc<str>>> IntoRecipients for Vec<T> {
    fn into_recipients(self) -> Recipients {
        Recipients { channels: self.into_iter().map(Into::into).collect(), ..Recipients::default() }
    }
}
