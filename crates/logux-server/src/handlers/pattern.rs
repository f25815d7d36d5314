//! The names that handlers are registered under: strings, channel patterns such as `users/:id`, and
//! regular expressions.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;

use crate::error::BuildError;

/// The action types or channels that handlers are registered for.
#[derive(Clone, Debug)]
pub enum NamePattern {
    /// An action type, or a channel pattern such as `users/:id`, in which `:id` is a parameter of
    /// one or more characters other than `/`.
    Text(String),
    /// All names that contain a match. To match whole names, begin the expression with `^` and end
    /// it with `$`.
    Regex(Regex),
}

impl From<&str> for NamePattern {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for NamePattern {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Regex> for NamePattern {
    fn from(regex: Regex) -> Self {
        Self::Regex(regex)
    }
}

/// Decides which channels handlers are for.
#[derive(Clone, Debug)]
pub(crate) enum ChannelMatcher {
    Pattern(ChannelPattern),
    Regex(Regex),
    /// The channels of the records of a collection: this prefix with any id after it, which is the
    /// parameter `id`. Other channels that match come first if the id has a `/`.
    Records(String),
}

impl ChannelMatcher {
    pub(crate) fn new(names: NamePattern) -> Result<Self, BuildError> {
        match names {
            NamePattern::Text(text) => ChannelPattern::new(&text).map(Self::Pattern),
            NamePattern::Regex(regex) => Ok(Self::Regex(regex)),
        }
    }

    /// Returns the parameters if the channel matches: those of the pattern, or the groups of the
    /// regular expression by number and by name.
    pub(crate) fn matches(&self, channel: &str) -> Option<Params> {
        match self {
            Self::Records(_) => {
                self.record_id(channel).filter(|id| !id.contains('/')).map(id_param)
            }
            Self::Pattern(pattern) => pattern.matches(channel),
            Self::Regex(regex) => {
                let captures = regex.captures(channel)?;
                let mut params = Params::new();
                for (number, name) in regex.capture_names().enumerate() {
                    let Some(value) = captures.get(number) else { continue };
                    params.extend(name.map(|name| (name.into(), value.as_str().to_owned())));
                    params.insert(number.to_string().into(), value.as_str().to_owned());
                }
                Some(params)
            }
        }
    }

    /// Returns the parameters of the channel of a record whose id has a `/`, which is matched if no
    /// other channel [matches](Self::matches).
    pub(crate) fn matches_any_id(&self, channel: &str) -> Option<Params> {
        self.record_id(channel).map(id_param)
    }

    fn record_id<'a>(&self, channel: &'a str) -> Option<&'a str> {
        let Self::Records(prefix) = self else { return None };
        channel.strip_prefix(&**prefix).filter(|id| !id.is_empty())
    }
}

fn id_param(id: &str) -> Params {
    Params::from([("id".into(), id.to_owned())])
}

impl PartialEq for ChannelMatcher {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pattern(a), Self::Pattern(b)) => a.text == b.text,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            (Self::Records(a), Self::Records(b)) => a == b,
            (Self::Records(prefix), Self::Pattern(pattern))
            | (Self::Pattern(pattern), Self::Records(prefix)) => {
                pattern.text.strip_suffix(":id") == Some(prefix)
            }
            _ => false,
        }
    }
}

/// The parameters of a channel name: values by name.
pub type Params = BTreeMap<Arc<str>, String>;

/// A channel name in which `:name` stands for one or more characters other than `/`.
#[derive(Clone, Debug)]
pub(crate) struct ChannelPattern {
    text: String,
    /// Has one group for each parameter.
    regex: Regex,
    /// The names of the groups, which may be invalid names for groups of a regular expression.
    names: Vec<Arc<str>>,
}

impl ChannelPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// [`BuildError::ChannelPattern`] if a colon has no name after it, two parameters have the same
    /// name, there is no text between two parameters, or the pattern is too long.
    pub(crate) fn new(text: &str) -> Result<Self, BuildError> {
        let invalid = |why| BuildError::ChannelPattern { pattern: text.to_owned(), why };
        let mut parts = text.split(':');
        let mut expression = format!("^{}", regex::escape(parts.next().unwrap_or_default()));
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut has_separator = true;
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, separator) = part.split_at(end.unwrap_or(part.len()));
            if name.is_empty() {
                return Err(invalid("a parameter name is missing after the colon"));
            }
            if names.iter().any(|other| **other == *name) {
                return Err(invalid("duplicate parameter name"));
            }
            if !has_separator {
                return Err(invalid("no text between two parameters"));
            }
            has_separator = !separator.is_empty();
            names.push(name.into());
            expression.push_str("([^/]+)");
            expression.push_str(&regex::escape(separator));
        }
        expression.push('$');
        let regex = Regex::new(&expression).map_err(|_| invalid("the pattern is too long"))?;
        Ok(Self { text: text.to_owned(), regex, names })
    }

    /// Returns the parameters if the channel matches. Of several ways to match, the first parameter
    /// takes as much as it can, then the second. O(length of the channel × length of the pattern).
    pub(crate) fn matches(&self, channel: &str) -> Option<Params> {
        let captures = self.regex.captures(channel)?;
        let values = captures.iter().skip(1).flatten().map(|value| value.as_str().to_owned());
        Some(self.names.iter().cloned().zip(values).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, channel: &str) -> Option<Vec<(String, String)>> {
        let params = ChannelPattern::new(pattern).unwrap().matches(channel)?;
        Some(params.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }

    #[test]
    fn channel_patterns_return_parameters() {
        let pairs = |list: &[(&str, &str)]| {
            Some(list.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect())
        };
        assert_eq!(matched("counter", "counter"), pairs(&[]));
        assert_eq!(matched("counter", "counters"), None);
        assert_eq!(matched("users/:id", "users/10"), pairs(&[("id", "10")]));
        assert_eq!(matched("users/:id", "users/"), None);
        assert_eq!(matched("users/:id", "users/10/posts"), None);
        assert_eq!(
            matched("users/:id/posts/:post", "users/1/posts/2"),
            pairs(&[("id", "1"), ("post", "2")])
        );
        assert_eq!(matched("files/:name.txt", "files/a.txt.txt"), pairs(&[("name", "a.txt")]));
        assert_eq!(matched(":a-:b", "x-y-z"), pairs(&[("a", "x-y"), ("b", "z")]));
        assert_eq!(matched(":a-:b", "x-y-"), pairs(&[("a", "x"), ("b", "y-")]));
        assert_eq!(matched(":a-:b-:c", "1-2-3"), pairs(&[("a", "1"), ("b", "2"), ("c", "3")]));
        assert_eq!(matched("a.b/:1", "a.b/\n"), pairs(&[("1", "\n")]));
        assert_eq!(matched("a.b/:1", "axb/1"), None);
        assert_eq!(matched("", ""), pairs(&[]));
    }

    #[test]
    fn groups_of_a_regular_expression_are_parameters() {
        let matcher =
            ChannelMatcher::new(Regex::new("^users/(?<id>[0-9]+)(/x)?$").unwrap().into()).unwrap();
        let params = matcher.matches("users/10").unwrap();
        assert_eq!(
            (params["id"].as_str(), params["1"].as_str(), params["0"].as_str()),
            ("10", "10", "users/10")
        );
        assert!(!params.contains_key("2") && matcher.matches("users/a").is_none());
    }

    #[test]
    fn the_channel_of_a_record_has_any_id() {
        let tasks = ChannelMatcher::Records("tasks/".to_owned());
        let id = |params: Option<Params>| params.map(|params| params["id"].clone());
        assert_eq!(id(tasks.matches("tasks/1")).as_deref(), Some("1"));
        assert_eq!(id(tasks.matches("tasks/1/2")), None, "other channels come first");
        for channel in ["tasks/1/2", "tasks//", "tasks/\n", "tasks/:id"] {
            let expected = channel.strip_prefix("tasks/");
            assert_eq!(id(tasks.matches_any_id(channel)).as_deref(), expected);
        }
        assert!(tasks.matches_any_id("tasks/").is_none() && tasks.matches_any_id("task").is_none());
    }

    #[test]
    fn patterns_with_the_same_text_are_equal() {
        let matcher = |names: NamePattern| ChannelMatcher::new(names).unwrap();
        let regex = |text| Regex::new(text).unwrap().into();
        assert!(matcher("users/:id".into()) == matcher("users/:id".into()));
        assert!(matcher("users/:id".into()) != matcher("users/:name".into()));
        assert!(matcher(regex("^users$")) == matcher(regex("^users$")));
        assert!(matcher("users".into()) != matcher(regex("users")));
        let records = ChannelMatcher::Records("users/".to_owned());
        assert!(records == records.clone() && records == matcher("users/:id".into()));
        assert!(matcher("users/:id/posts".into()) != records);
    }

    #[test]
    fn invalid_patterns_are_rejected() {
        for (pattern, expected) in [
            ("users/:", "a parameter name is missing after the colon"),
            ("users/:/posts", "a parameter name is missing after the colon"),
            (":id/:id", "duplicate parameter name"),
            (":a:b", "no text between two parameters"),
        ] {
            let error = ChannelPattern::new(pattern).unwrap_err();
            assert!(
                matches!(error, BuildError::ChannelPattern { why, .. } if why == expected),
                "{pattern}"
            );
        }
    }
}
