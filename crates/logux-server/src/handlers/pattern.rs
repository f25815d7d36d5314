//! Names of types and channels that are not written out: channels with places for parameters, `users/:id`, and regular expressions.

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;

use crate::error::BuildError;

/// Which action types or channels are meant: by a text, or by a regular expression that has to be found in the name (anchor it with `^` and `$` to
/// have it match the whole).
#[derive(Clone, Debug)]
pub enum NamePattern {
    /// A type as it is written; for channels a form such as `users/:id`.
    Text(String),
    /// All names in which it is found.
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

/// Which channels.
#[derive(Clone, Debug)]
pub(crate) enum ChannelMatcher {
    Form(ChannelPattern),
    Regex(Regex),
}

impl ChannelMatcher {
    pub(crate) fn new(names: NamePattern) -> Result<Self, BuildError> {
        match names {
            NamePattern::Text(text) => ChannelPattern::new(&text).map(Self::Form),
            NamePattern::Regex(regex) => Ok(Self::Regex(regex)),
        }
    }

    /// The parameters, if a channel is meant: those of the form, or the groups of the regular expression by number and name.
    pub(crate) fn matches(&self, channel: &str) -> Option<Params> {
        match self {
            Self::Form(pattern) => pattern.matches(channel),
            Self::Regex(regex) => {
                let found = regex.captures(channel)?;
                let names = regex.capture_names().enumerate();
                let groups = names
                    .filter_map(|(number, name)| Some((number, name, found.get(number)?.as_str())));
                Some(groups.fold(Params::new(), |mut params, (number, name, text)| {
                    params.extend(name.map(|name| (name.into(), text.to_owned())));
                    params.insert(number.to_string().into(), text.to_owned());
                    params
                }))
            }
        }
    }
}

impl PartialEq for ChannelMatcher {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Form(a), Self::Form(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// Values of the parameters in a channel name, by their names.
pub type Params = BTreeMap<Arc<str>, String>;

/// A channel name in which `:name` stands for one or more characters other than `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelPattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Param(Arc<str>),
}

impl ChannelPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`BuildError::ChannelPattern`] when a colon has no name behind it, a name stands twice, or two parameters touch.
    pub(crate) fn new(text: &str) -> Result<Self, BuildError> {
        let wrong = |why| BuildError::ChannelPattern { pattern: text.to_owned(), why };
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix(':') {
                let end = behind
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(behind.len());
                let name: Arc<str> = behind[..end].into();
                if name.is_empty() {
                    return Err(wrong("a name is missing behind the colon"));
                }
                if parts.contains(&Part::Param(name.clone())) {
                    return Err(wrong("a name stands twice"));
                }
                if matches!(parts.last(), Some(Part::Param(_))) {
                    return Err(wrong("two parameters touch"));
                }
                parts.push(Part::Param(name));
                rest = &behind[end..];
            } else {
                let end = rest.find(':').unwrap_or(rest.len());
                parts.push(Part::Text(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        Ok(Self(parts))
    }

    /// The parameters, if a channel has this form. O(length of the name × number of parts).
    pub(crate) fn matches(&self, channel: &str) -> Option<Params> {
        let mut params = Params::new();
        matches(&self.0, channel, &mut params).then_some(params)
    }
}

fn matches(parts: &[Part], text: &str, params: &mut Params) -> bool {
    match parts {
        [] => text.is_empty(),
        [Part::Text(part), rest @ ..] => {
            text.strip_prefix(&**part).is_some_and(|behind| matches(rest, behind, params))
        }
        [Part::Param(name), rest @ ..] => {
            let segment = text.find('/').unwrap_or(text.len());
            // A parameter takes all it can: up to the last place in the segment where the text behind it stands.
            let end = match rest.first() {
                Some(Part::Text(next)) => {
                    let inside = next.split('/').next().unwrap_or_default();
                    if inside.is_empty() { Some(segment) } else { text[..segment].rfind(inside) }
                }
                _ => Some(segment),
            };
            match end {
                Some(end) if end > 0 && matches(rest, &text[end..], params) => {
                    params.insert(name.clone(), text[..end].to_owned());
                    true
                }
                _ => false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, channel: &str) -> Option<Vec<(String, String)>> {
        let params = ChannelPattern::new(pattern).unwrap().matches(channel)?;
        Some(params.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }

    #[test]
    fn finds_parameters() {
        let pairs = |list: &[(&str, &str)]| {
            Some(list.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect())
        };
        assert_eq!(found("counter", "counter"), pairs(&[]));
        assert_eq!(found("counter", "counters"), None);
        assert_eq!(found("users/:id", "users/10"), pairs(&[("id", "10")]));
        assert_eq!(found("users/:id", "users/"), None);
        assert_eq!(found("users/:id", "users/10/posts"), None);
        assert_eq!(
            found("users/:id/posts/:post", "users/1/posts/2"),
            pairs(&[("id", "1"), ("post", "2")])
        );
        assert_eq!(found("files/:name.txt", "files/a.txt.txt"), pairs(&[("name", "a.txt")]));
        assert_eq!(found(":a-:b", "x-y-z"), pairs(&[("a", "x-y"), ("b", "z")]));
    }

    #[test]
    fn groups_of_a_regular_expression_are_parameters() {
        let names =
            ChannelMatcher::new(Regex::new("^users/(?<id>[0-9]+)(/x)?$").unwrap().into()).unwrap();
        let params = names.matches("users/10").unwrap();
        assert_eq!(
            (params["id"].as_str(), params["1"].as_str(), params["0"].as_str()),
            ("10", "10", "users/10")
        );
        assert!(!params.contains_key("2") && names.matches("users/a").is_none());
    }

    #[test]
    fn refuses_wrong_patterns() {
        for pattern in ["users/:", "users/:/posts", ":id/:id", ":a:b"] {
            assert!(ChannelPattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
