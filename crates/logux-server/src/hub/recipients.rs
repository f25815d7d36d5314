//! Who receives an action, in short forms.

use std::sync::Arc;

use logux::server::Recipients;

/// Something that says who gets an action.
pub trait IntoRecipients {
    /// Who gets it.
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
