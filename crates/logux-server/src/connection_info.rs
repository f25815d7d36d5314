//! Where a connection came from.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, LazyLock},
};

use cookie::Cookie;
use hyper::{HeaderMap, header::COOKIE};

/// The HTTP request that opened a connection. Headers may hold secrets: they are left out of `Debug`.
#[derive(Default)]
pub(crate) struct ConnectionInfo {
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) http_headers: HeaderMap,
}

/// Of an action whose author is not connected.
static NOWHERE: LazyLock<Arc<ConnectionInfo>> = LazyLock::new(Arc::default);

impl ConnectionInfo {
    pub(crate) fn nowhere() -> Arc<Self> {
        NOWHERE.clone()
    }
}

impl std::fmt::Debug for ConnectionInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionInfo").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// All cookies, percent escapes decoded. The first of a name counts.
pub(crate) fn cookies(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for cookie in all(headers) {
        found.entry(cookie.name().to_owned()).or_insert_with(|| cookie.value_trimmed().to_owned());
    }
    found
}

/// The value of a cookie, percent escapes decoded. The first of its name counts, as browsers send the most specific one first
/// (RFC 6265, section 5.4).
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    all(headers)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value_trimmed().to_owned())
}

fn all(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(Cookie::split_parse_encoded).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_name() {
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
