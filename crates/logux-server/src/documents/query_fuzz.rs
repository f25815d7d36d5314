//! A property of paths and queries for any input: the body of the fuzz target `document_requests`,
//! which includes this file and `query.rs`.

use logux::{
    action::Moment,
    server::{CatalogPosition, CatalogQuery},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::query::{MAX_LISTED, Query, path_parts};

/// Checks that the path and the query of a target such as `/documents/notes/7?limit=5` are refused,
/// or read as values that are within their limits, and are read the same when they are written
/// again.
///
/// # Panics
/// If the property does not hold.
pub(crate) fn document_request(target: &str) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    check_path(path);
    let read = Query::new(query);
    if let Ok(limit) = read.limit() {
        assert!((1..=MAX_LISTED).contains(&limit));
    }
    for name in ["version", "at", "position", "after", "creator", "name", "path"] {
        assert!(read.text(name).is_none_or(|text| !text.is_empty()));
        assert_eq!(read.required(name, "a text").ok(), read.text(name));
    }
    if let Ok(Some(moment)) = read.moment() {
        let again = match &moment {
            Moment::Position(position) => format!("position={position}"),
            Moment::Time(time) => format!("at={}", time.as_millis()),
            Moment::Version(name) => format!("version={}", escaped(name)),
        };
        assert_eq!(Query::new(&again).moment(), Ok(Some(moment)), "{again}");
    }
    if let Ok(Some(moment)) = read.moment_in("from") {
        let again = match &moment {
            Moment::Position(position) => format!("position:{position}"),
            Moment::Time(time) => format!("at:{}", time.as_millis()),
            Moment::Version(name) => format!("version:{name}"),
        };
        let again = format!("from={}", escaped(&again));
        assert_eq!(Query::new(&again).moment_in("from"), Ok(Some(moment)), "{again}");
    }
    if let Ok(path) = read.path() {
        let again = format!("path={}", escaped(path.as_str()));
        assert_eq!(Query::new(&again).path(), Ok(path), "{again}");
    }
    if let Ok(list) = read.list() {
        check_list(&list);
    }
    check_json(query);
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A path has at least one part, and its parts can be written as a path again.
fn check_path(path: &str) {
    let Ok(parts) = path_parts("/documents", path) else { return };
    assert!(parts.len() == 1 || parts.first().is_some_and(|part| !part.is_empty()), "{path}");
    let written: Vec<_> = parts.iter().map(|part| escaped(part)).collect();
    let again = format!("/documents/{}", written.join("/"));
    // Empty parts at the beginning are left out.
    if !parts[0].is_empty() {
        assert_eq!(path_parts("/documents", &again), Ok(parts), "{again}");
    }
}

fn check_list(list: &CatalogQuery) {
    let mut again = format!("limit={}&deleted={}", list.limit, list.deleted);
    if let Some(after) = &list.after {
        again.push_str(&format!("&after={}", escaped(&after.to_string())));
    }
    if let Some(creator) = &list.creator {
        again.push_str(&format!("&creator={}", escaped(creator)));
    }
    assert_eq!(Query::new(&again).list().as_ref(), Ok(list), "{again}");
}

/// Positions and moments of the actions of clients, which are JSON, are read as they are written.
fn check_json(text: &str) {
    if let Ok(position) = text.parse::<CatalogPosition>() {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    if let Ok(moment) = serde_json::from_str::<Moment>(text) {
        let again = serde_json::to_string(&moment).expect("a moment is JSON");
        assert_eq!(serde_json::from_str::<Moment>(&again).ok(), Some(moment), "{again}");
    }
}
