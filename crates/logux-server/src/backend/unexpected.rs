//! What an HTTP response that is not one of the back-end protocol looks like, for the log.

use std::fmt::Write as _;

use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION},
};

/// The number of bytes of the body that are shown.
const SHOWN_BYTES: usize = 120;
/// The length from which a word without spaces and punctuation is hidden, because it may be a
/// token.
const HIDDEN_LENGTH: usize = 20;

/// The visible parts of a response: its status, the headers that tell where it comes from, and the
/// beginning of its body.
#[derive(Debug)]
pub(super) struct ResponseSummary {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    start: Vec<u8>,
}

impl ResponseSummary {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let shown = [
            ("location", LOCATION),
            ("content type", CONTENT_TYPE),
            ("content encoding", CONTENT_ENCODING),
        ];
        let value = |(label, name): (&'static str, HeaderName)| {
            let value = String::from_utf8_lossy(headers.get(&name)?.as_bytes()).into_owned();
            // The query and the user of a URL may contain secrets.
            let value = if name == LOCATION { without_secrets(&value) } else { value };
            Some((label, value))
        };
        let headers = shown.into_iter().filter_map(value).collect();
        Self { status, headers, start: Vec::new() }
    }

    /// Adds bytes of the body.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        // One more byte tells whether the body is longer.
        let missing = (SHOWN_BYTES + 1).saturating_sub(self.start.len());
        self.start.extend_from_slice(&bytes[..bytes.len().min(missing)]);
    }

    /// Returns whether no more bytes are shown.
    pub(super) fn is_full(&self) -> bool {
        self.start.len() > SHOWN_BYTES
    }

    /// Describes the response, without `secret` and other words that look like secrets.
    pub(super) fn describe(&self, secret: &str) -> String {
        let mut text = format!("status {}", self.status);
        for (label, value) in &self.headers {
            // Writing to a string cannot fail.
            let _ = write!(text, ", {label} {}", shown(value, secret));
        }
        if self.start.is_empty() {
            text.push_str(", no body");
        } else {
            let start = String::from_utf8_lossy(&self.start[..self.start.len().min(SHOWN_BYTES)]);
            let rest = if self.is_full() { "…" } else { "" };
            let _ = write!(text, ", body {:?}{rest}", shown(&start, secret));
        }
        text
    }
}

/// Returns a URL without user, query and fragment.
fn without_secrets(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    match url.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('@'))) {
        Some((scheme, Some((user, rest)))) if !user.contains('/') => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

/// Returns a text with `[hidden]` in place of the secret and of long words.
fn shown(text: &str, secret: &str) -> String {
    let text = text.replace(secret, "[hidden]");
    let is_word = |character: char| character.is_ascii_alphanumeric() || "-_+=".contains(character);
    let mut result = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let word = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        result.push_str(if word >= HIDDEN_LENGTH { "[hidden]" } else { &rest[..word] });
        let next = rest[word..].find(is_word).map_or(rest.len(), |length| word + length);
        result.push_str(&rest[word..next]);
        rest = &rest[next..];
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(status: u16, headers: &[(HeaderName, &str)], body: &[u8]) -> String {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let mut summary = ResponseSummary::new(StatusCode::from_u16(status).unwrap(), &headers);
        body.chunks(7).for_each(|bytes| summary.push(bytes));
        summary.describe("my secret")
    }

    #[test]
    fn pages_redirects_and_compressed_bodies_are_recognizable() {
        assert_eq!(
            summary(200, &[(CONTENT_TYPE, "text/html")], b"<!DOCTYPE html>\n<h1>Hi</h1>"),
            r#"status 200 OK, content type text/html, body "<!DOCTYPE html>\n<h1>Hi</h1>""#
        );
        let to = "https://user:password@example.com/login?token=abc#x";
        assert_eq!(
            summary(302, &[(LOCATION, to)], b""),
            "status 302 Found, location https://example.com/login, no body"
        );
        assert_eq!(
            summary(200, &[(CONTENT_ENCODING, "gzip")], &[0x1f, 0x8b, 8, 0]),
            "status 200 OK, content encoding gzip, body \"\\u{1f}�\\u{8}\\0\""
        );
        let notice =
            "<br />\n<b>Notice</b>: Undefined index in <b>/var/www/html/application.php</b>";
        assert!(summary(200, &[], notice.as_bytes()).contains("/var/www/html/application.php"));
        assert!(summary(200, &[], "\u{feff}[]".as_bytes()).contains(r"\u{feff}[]"));
    }

    #[test]
    fn secrets_and_the_rest_of_long_bodies_are_hidden() {
        let body = format!(
            r#"{{"secret":"my secret","token":"{}.{}"}} {}"#,
            "eyJhbGciOiJIUzI1NiJ9",
            "QUJDREVGR0hJSktMTU5PUFFS",
            "x ".repeat(500)
        );
        let text = summary(500, &[], body.as_bytes());
        assert!(
            text.contains(r#"\"secret\":\"[hidden]\",\"token\":\"[hidden].[hidden]\""#),
            "{text}"
        );
        assert!(text.ends_with("\"…") && text.len() < 250, "{text}");
    }
}
