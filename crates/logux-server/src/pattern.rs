//! Channel names with places for parameters: `users/:id`.

use std::{collections::BTreeMap, sync::Arc};

use crate::BuildError;

/// Values of the parameters in a channel name, by their names.
pub type Params = BTreeMap<Arc<str>, String>;

/// A channel name in which `:name` stands for one or more characters other than `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Param(Arc<str>),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`BuildError::Pattern`] when a colon has no name behind it, a name stands twice, or two parameters touch.
    pub(crate) fn new(text: &str) -> Result<Self, BuildError> {
        let wrong = |why| BuildError::Pattern { pattern: text.to_owned(), why };
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix(':') {
                let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
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
        [Part::Text(part), rest @ ..] => text.strip_prefix(&**part).is_some_and(|behind| matches(rest, behind, params)),
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
        let params = Pattern::new(pattern).unwrap().matches(channel)?;
        Some(params.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }

    #[test]
    fn finds_parameters() {
        let pairs = |list: &[(&str, &str)]| Some(list.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect());
        assert_eq!(found("counter", "counter"), pairs(&[]));
        assert_eq!(found("counter", "counters"), None);
        assert_eq!(found("users/:id", "users/10"), pairs(&[("id", "10")]));
        assert_eq!(found("users/:id", "users/"), None);
        assert_eq!(found("users/:id", "users/10/posts"), None);
        assert_eq!(found("users/:id/posts/:post", "users/1/posts/2"), pairs(&[("id", "1"), ("post", "2")]));
        assert_eq!(found("files/:name.txt", "files/a.txt.txt"), pairs(&[("name", "a.txt")]));
        assert_eq!(found(":a-:b", "x-y-z"), pairs(&[("a", "x-y"), ("b", "z")]));
    }

    #[test]
    fn refuses_wrong_patterns() {
        for pattern in ["users/:", "users/:/posts", ":id/:id", ":a:b"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
