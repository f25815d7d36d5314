//! Short forms of [`Recipients`].

use std::sync::Arc;

use logux::server::Recipients;

/// A value that names the recipients of an action: [`Recipients`], a channel name, a list of
/// channel names, or nothing. `()` and `None` are no recipients.
///
/// ```
/// use logux::server::Recipients;
/// use logux_server::IntoRecipients;
///
/// let room = Some("rooms/1");
/// assert_eq!(room.into_recipients(), Recipients::channel("rooms/1"));
/// assert_eq!(["a", "b"].into_recipients(), vec!["a", "b"].into_recipients());
/// assert_eq!(().into_recipients(), Recipients::default());
/// ```
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

impl IntoRecipients for Arc<str> {
    fn into_recipients(self) -> Recipients {
        Recipients::channel(self)
    }
}

impl<T: Into<Arc<str>>> IntoRecipients for Vec<T> {
    fn into_recipients(self) -> Recipients {
        channels(self)
    }
}

impl<T: Into<Arc<str>>, const N: usize> IntoRecipients for [T; N] {
    fn into_recipients(self) -> Recipients {
        channels(self)
    }
}

/// No recipients.
impl IntoRecipients for () {
    fn into_recipients(self) -> Recipients {
        Recipients::default()
    }
}

/// `None` is no recipients.
impl<T: IntoRecipients> IntoRecipients for Option<T> {
    fn into_recipients(self) -> Recipients {
        self.map_or_else(Recipients::default, IntoRecipients::into_recipients)
    }
}

fn channels<T: Into<Arc<str>>>(names: impl IntoIterator<Item = T>) -> Recipients {
    Recipients { channels: names.into_iter().map(Into::into).collect(), ..Recipients::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(to: impl IntoRecipients) -> Vec<String> {
        let to = to.into_recipients();
        let channels = to.channels.iter().map(|name| String::from(&**name)).collect();
        assert_eq!(to, Recipients { channels: to.channels.clone(), ..Recipients::default() });
        channels
    }

    #[test]
    fn strings_and_lists_are_channels_and_nothing_is_nobody() {
        assert_eq!(names("a"), ["a"]);
        assert_eq!(names(String::from("a")), ["a"]);
        assert_eq!(names(Arc::<str>::from("a")), ["a"]);
        assert_eq!(names(["a", "b"]), ["a", "b"]);
        assert_eq!(names(vec!["a".to_owned(), "b".to_owned()]), ["a", "b"]);
        assert_eq!(names(Some("a")), ["a"]);
        assert_eq!(names(Some(["a", "b"])), ["a", "b"]);
        assert!(names(None::<&str>).is_empty() && names(()).is_empty());
    }
}
