//! The address, the HTTP headers and the claims of a connection.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, LazyLock, OnceLock},
};

use cookie::Cookie;
use hyper::{HeaderMap, header::COOKIE};

use crate::claims::Claims;

/// The address and the HTTP headers of the request that opened a connection, and the claims of its
/// login. The output of `Debug` omits headers and claims, which may be secret.
#[derive(Default)]
pub(crate) struct ConnectionInfo {
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) http_headers: HeaderMap,
    /// The claims of the login. Empty until the client is accepted.
    pub(crate) claims: OnceLock<Claims>,
}

/// The value for an action whose author is not connected.
static NO_CONNECTION: LazyLock<Arc<ConnectionInfo>> = LazyLock::new(Arc::default);

impl ConnectionInfo {
    pub(crate) fn new(remote: Option<SocketAddr>, http_headers: HeaderMap) -> Self {
        Self { remote, http_headers, claims: OnceLock::new() }
    }

    /// Returns the value for an author that is not connected.
    pub(crate) fn none() -> Arc<Self> {
        NO_CONNECTION.clone()
    }
}

impl std::fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionInfo").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// Returns all cookies, percent-decoded. Of several cookies with one name, the first counts.
pub(crate) fn cookies(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for cookie in parse(headers) {
        found.entry(cookie.name().to_owned()).or_insert_with(|| cookie.value_trimmed().to_owned());
    }
    found
}

/// Returns the value of a cookie, percent-decoded. Of several cookies with one name, the first
/// counts: browsers send the most specific one first (RFC 6265, section 5.4).
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    parse(headers)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value_trimmed().to_owned())
}

fn parse(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(Cookie::split_parse_encoded).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_first_cookie_with_a_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; token=x%20y; broken; token=second".parse().unwrap());
        headers.append(COOKIE, "quoted=\"q\"".parse().unwrap());
        let values = ["a", "token", "quoted", "broken", "none"].map(|name| cookie(&headers, name));
        assert_eq!(
            values.each_ref().map(Option::as_deref),
            [Some("1"), Some("x y"), Some("q"), None, None]
        );
    }
}
