//! The paths and queries of HTTP requests about documents, which anybody may have written.
//!
//! Uses nothing else of the server: the fuzz target `document_requests` includes this file.

use std::{borrow::Cow, collections::HashMap};

use logux::{WallTime, action::Moment, crdt::Path, server::CatalogQuery};
use percent_encoding::percent_decode_str;

/// The number of items of a page that is listed, unless a request says otherwise.
pub(super) const LISTED: usize = 50;
/// The largest number of items of a page that is listed.
pub(super) const MAX_LISTED: usize = 200;

/// A path or a query that cannot be read, with what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub(super) struct WrongRequest(String);

impl WrongRequest {
    pub(super) fn new(expected: impl Into<String>) -> Self {
        Self(expected.into())
    }
}

/// Returns the decoded parts of the path below `start`, without those before the first that is not
/// empty.
pub(super) fn path_parts<'a>(
    start: &str,
    path: &'a str,
) -> Result<Vec<Cow<'a, str>>, WrongRequest> {
    let parts = path.strip_prefix(start).unwrap_or_default().trim_start_matches('/').split('/');
    let parts = parts.map(|part| percent_decode_str(part).decode_utf8()).collect::<Result<_, _>>();
    parts.map_err(|_| WrongRequest::new("a path in UTF-8"))
}

/// The parsed query of a request. Of values with the same name, the last one counts.
#[derive(Debug)]
pub(super) struct Query<'a>(HashMap<Cow<'a, str>, Cow<'a, str>>);

impl<'a> Query<'a> {
    pub(super) fn new(query: &'a str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).collect())
    }

    /// Returns a text that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value).filter(|value| !value.is_empty())
    }

    /// Returns a text that has to be there.
    pub(super) fn required(&self, name: &str, what: &str) -> Result<&str, WrongRequest> {
        self.text(name).ok_or_else(|| WrongRequest::new(format!("`{name}` with {what}")))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, WrongRequest> {
        let expected = |_| WrongRequest::new(format!("a number in `{name}`"));
        self.text(name).map(str::parse).transpose().map_err(expected)
    }

    /// Returns `true` for a name without a value, and with `true` or `1`.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| matches!(&**value, "" | "true" | "1"))
    }

    /// Returns the size of a page, from 1 to [`MAX_LISTED`].
    pub(super) fn limit(&self) -> Result<usize, WrongRequest> {
        let limit = self.number("limit")?.map(|limit| usize::try_from(limit).unwrap_or(MAX_LISTED));
        Ok(limit.unwrap_or(LISTED).clamp(1, MAX_LISTED))
    }

    /// Returns the moment that at most one of `version`, `at`, `position` names.
    pub(super) fn moment(&self) -> Result<Option<Moment>, WrongRequest> {
        let time = self.number("at")?.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
        let named = [
            self.text("version").map(|name| Moment::Version(name.into())),
            time.map(|at| Moment::Time(WallTime::from_millis(at))),
            self.number("position")?.map(Moment::Position),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (moment, None) => Ok(moment),
            _ => Err(WrongRequest::new("only one of `version`, `at`, `position`")),
        }
    }

    /// Returns the moment that one value names, such as `version:draft`, `at:1764000000000`,
    /// `position:12`.
    pub(super) fn moment_in(&self, name: &str) -> Result<Option<Moment>, WrongRequest> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let moment = match text.split_once(':') {
            Some(("version", version)) => Some(Moment::Version(version.into())),
            Some(("at", at)) => at.parse().ok().map(WallTime::from_millis).map(Moment::Time),
            Some(("position", position)) => position.parse().ok().map(Moment::Position),
            _ => None,
        };
        let expected = "version:NAME, at:MILLISECONDS or position:NUMBER";
        moment.map(Some).ok_or_else(|| WrongRequest::new(format!("`{name}` as {expected}")))
    }

    /// Returns the path of a part of a document. Without `path`, the whole.
    pub(super) fn path(&self) -> Result<Path, WrongRequest> {
        let expected = |_| WrongRequest::new("`path` as a JSON Pointer, such as /body");
        self.text("path").unwrap_or_default().parse().map_err(expected)
    }

    /// Returns which documents are listed.
    pub(super) fn list(&self) -> Result<CatalogQuery, WrongRequest> {
        let after = self.text("after").map(str::parse).transpose();
        Ok(CatalogQuery {
            after: after.map_err(|_| WrongRequest::new("`after` as in the previous page"))?,
            creator: self.text("creator").map(Into::into),
            deleted: self.flag("deleted"),
            ..CatalogQuery::new(self.limit()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::query_fuzz::document_request;

    #[test]
    fn the_property_of_requests_holds_for_the_corpus() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/document_requests");
        let mut count = 0;
        for file in std::fs::read_dir(folder).expect("the corpus") {
            let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
            document_request(&String::from_utf8_lossy(&bytes));
            count += 1;
        }
        assert!(count >= 15, "only {count} files");
    }

    #[test]
    fn limits_and_moments_have_one_meaning() {
        let limit = |query: &str| Query::new(query).limit().ok();
        assert_eq!(limit(""), Some(LISTED));
        assert_eq!([limit("limit=0"), limit("limit=1000000")], [Some(1), Some(MAX_LISTED)]);
        assert_eq!([limit("limit=-1"), limit("limit=x")], [None, None]);
        let both = Query::new("at=1&position=2").moment().expect_err("two moments");
        assert_eq!(both.to_string(), "expected only one of `version`, `at`, `position`");
        assert_eq!(Query::new("position=&version=").moment(), Ok(None));
        assert_eq!(
            path_parts("/documents", "/documents//a%2Fb/"),
            Ok(vec!["a/b".into(), "".into()])
        );
    }
}
