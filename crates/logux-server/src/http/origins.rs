//! The web pages that may connect, by their origins.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use hyper::{
    HeaderMap,
    header::{COOKIE, HOST, ORIGIN},
};

use crate::error::BuildError;

/// The longest part of an `Origin` header that is reported, in bytes.
const MAX_REPORTED: usize = 200;

/// The origins of web pages that may connect: a list of patterns, separated by commas.
///
/// | Pattern | Pages |
/// | --- | --- |
/// | `https://example.com` | this scheme and host on the scheme's own port; `https://example.com:443` and `https://example.com/` are the same |
/// | `http://localhost:3000` | this scheme, host and port |
/// | `https://*.example.com` | all names below `example.com`, without `example.com` |
/// | `http://localhost:*` | any port |
/// | `example.com` | `http` and `https` |
/// | `capacitor://localhost` | the application of another scheme |
/// | `null` | pages without an origin of their own, such as local files; every page can pretend to be one in a sandboxed frame |
/// | `*` | all pages |
///
/// ```
/// use logux_server::AllowedOrigins;
///
/// let origins: AllowedOrigins = "https://example.com, https://*.example.com".parse()?;
/// # Ok::<(), logux_server::BuildError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    Null,
    Origin(OriginPattern),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OriginPattern {
    /// In lower case. `None` is `http` and `https`.
    scheme: Option<String>,
    /// In lower case.
    host: String,
    /// Whether `host` is the end of the names that match, after a dot.
    is_suffix: bool,
    port: Port,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    /// The port of the scheme.
    Default,
    Number(u16),
}

/// The origin of a page, as browsers send it.
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl AllowedOrigins {
    /// Returns the pages that this machine serves: `localhost` and the names below it, 127.0.0.1
    /// and ::1, with any port.
    pub fn this_machine() -> Self {
        let origin = |host: &str, is_suffix| {
            let (scheme, host) = (None, host.to_owned());
            Pattern::Origin(OriginPattern { scheme, host, is_suffix, port: Port::Any })
        };
        let hosts =
            [("localhost", false), ("localhost", true), ("127.0.0.1", false), ("[::1]", false)];
        Self(hosts.map(|(host, is_suffix)| origin(host, is_suffix)).into())
    }

    fn allows(&self, page: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Any => true,
            Pattern::Null => page == "null",
            Pattern::Origin(pattern) => {
                Origin::parse(page).is_some_and(|page| pattern.allows(page))
            }
        })
    }
}

impl Extend<Self> for AllowedOrigins {
    fn extend<T: IntoIterator<Item = Self>>(&mut self, lists: T) {
        self.0.extend(lists.into_iter().flat_map(|list| list.0));
    }
}

impl FromStr for AllowedOrigins {
    type Err = BuildError;

    /// Parses a list separated by commas.
    fn from_str(list: &str) -> Result<Self, BuildError> {
        let items = list.split(',').map(str::trim);
        items.map(Pattern::from_str).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for AllowedOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            match pattern {
                Pattern::Any => f.write_str("*")?,
                Pattern::Null => f.write_str("null")?,
                Pattern::Origin(OriginPattern { scheme, host, is_suffix, port }) => {
                    if let Some(scheme) = scheme {
                        write!(f, "{scheme}://")?;
                    }
                    write!(f, "{}{host}", if *is_suffix { "*." } else { "" })?;
                    match port {
                        Port::Any => f.write_str(":*")?,
                        Port::Default => {}
                        Port::Number(port) => write!(f, ":{port}")?,
                    }
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Pattern {
    type Err = BuildError;

    fn from_str(text: &str) -> Result<Self, BuildError> {
        let invalid = |why: &'static str| BuildError::Origin { origin: text.to_owned(), why };
        match text {
            "" => return Err(invalid("it is empty")),
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        if !text.is_ascii() {
            return Err(invalid("write an international name in its ASCII form, xn--…"));
        }
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
            Some(_) => return Err(invalid("its scheme is not valid")),
            None => (None, &*text),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(invalid("an origin has no path: browsers send only scheme, host and port"));
        }
        if authority.contains('@') {
            return Err(invalid("an origin has no user"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| invalid("its port is not valid"))?;
        let port = match port {
            None => Port::Default,
            Some("*") => Port::Any,
            Some(port) => match port.parse() {
                Ok(port) if Some(port) == scheme.and_then(default_port) => Port::Default,
                Ok(port) => Port::Number(port),
                Err(_) => return Err(invalid("its port is not valid")),
            },
        };
        let (host, is_suffix) = match host.strip_prefix("*.") {
            Some(host) => (host, true),
            None => (host, false),
        };
        if !is_host(host) || is_suffix && host.starts_with('[') {
            return Err(invalid("its host is not valid; `*.` may stand before a name"));
        }
        let (scheme, host) = (scheme.map(ToOwned::to_owned), host.to_owned());
        Ok(Self::Origin(OriginPattern { scheme, host, is_suffix, port }))
    }
}

impl OriginPattern {
    fn allows(&self, page: Origin<'_>) -> bool {
        let allows_scheme = match &self.scheme {
            Some(scheme) => page.scheme.eq_ignore_ascii_case(scheme),
            None => default_port(page.scheme).is_some(),
        };
        let allows_port = match self.port {
            Port::Any => true,
            Port::Default => page.port.is_none() || page.port == default_port(page.scheme),
            Port::Number(port) => page.port.or_else(|| default_port(page.scheme)) == Some(port),
        };
        let host = page.host.to_ascii_lowercase();
        let allows_host = if self.is_suffix {
            host.strip_suffix(&self.host).is_some_and(|prefix| prefix.ends_with('.'))
        } else {
            host == self.host
        };
        allows_scheme && allows_port && allows_host
    }
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = split_port(authority)?;
        let port = port.map(str::parse).transpose().ok()?;
        (is_scheme(scheme) && is_host(host)).then_some(Self { scheme, host, port })
    }
}

/// Splits off the port.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let end = authority.find(']').map_or(authority.len(), |end| end + 1);
        let (host, rest) = authority.split_at(end);
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        return Some((host, port));
    }
    Some(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(address) => {
            address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }
        None => {
            !host.is_empty()
                && !host.starts_with('.')
                && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The check of the origins of pages.
#[derive(Clone, Debug)]
pub(crate) struct OriginCheck {
    pub(crate) allowed: Option<AllowedOrigins>,
    /// Whether a page whose browser sends cookies must have the host of the server, unless
    /// `allowed` is set: where the back end may authenticate by cookie, every page could otherwise
    /// connect as its visitor.
    pub(crate) protects_cookies: bool,
}

/// A page that may not connect.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongOrigin {
    /// The origin of the page.
    pub(super) page: String,
    /// The origins that may connect.
    pub(super) allowed: String,
}

impl OriginCheck {
    /// Checks the page that has sent a request. Requests without an origin are not from pages of
    /// browsers, and could contain any value. `is_proxied` is whether a trusted proxy has forwarded
    /// the request.
    pub(super) fn check(&self, headers: &HeaderMap, is_proxied: bool) -> Result<(), WrongOrigin> {
        let Some(page) = headers.get(ORIGIN) else { return Ok(()) };
        let page = String::from_utf8_lossy(page.as_bytes());
        let allowed = match &self.allowed {
            Some(allowed) if allowed.allows(&page) => return Ok(()),
            Some(allowed) => allowed.to_string(),
            None if !self.protects_cookies || !headers.contains_key(COOKIE) => return Ok(()),
            None => {
                let host = requested_host(headers, is_proxied);
                if Origin::parse(&page).is_some_and(|page| page.host.eq_ignore_ascii_case(host)) {
                    return Ok(());
                }
                format!("pages of {host}, because the request has cookies")
            }
        };
        let end = page.floor_char_boundary(MAX_REPORTED);
        Err(WrongOrigin { page: page[..end].to_owned(), allowed })
    }
}

/// Returns the host that the browser has requested, without the port.
fn requested_host(headers: &HeaderMap, is_proxied: bool) -> &str {
    let forwarded = is_proxied.then(|| headers.get("x-forwarded-host")).flatten();
    let value = forwarded.or_else(|| headers.get(HOST)).and_then(|host| host.to_str().ok());
    let first = value.unwrap_or_default().split(',').next().unwrap_or_default().trim();
    split_port(first).map_or("", |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(patterns: &str, page: &str) -> bool {
        patterns.parse::<AllowedOrigins>().unwrap().allows(page)
    }

    #[test]
    fn origins_are_compared_by_their_meaning() {
        let page = "https://app.example.com";
        for pattern in [
            "https://app.example.com",
            "https://app.example.com/",
            "https://app.example.com:443",
            "https://APP.example.com",
            " https://app.example.com",
            "https://a.com, https://app.example.com",
            "app.example.com",
            "app.example.com:443",
            "https://*.example.com",
            "*.example.com",
            "https://app.example.com:*",
            "*",
        ] {
            assert!(allows(pattern, page), "{pattern}");
        }
        for pattern in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://example.com",
            "https://*.app.example.com",
            "https://*.ample.com",
            "null",
        ] {
            assert!(!allows(pattern, page), "{pattern}");
        }
        assert!(!allows("*.example.com", "https://example.com"));
        assert!(!allows("https://example.com", "https://example.com.evil.example"));
        assert!(!allows("https://example.com", "https://example.com@evil.example"));
        assert!(allows("http://localhost:80", "http://localhost"));
        assert!(allows("http://localhost:3000", "http://localhost:3000"));
        assert!(allows("capacitor://localhost", "capacitor://localhost"));
        assert!(allows("null", "null") && !allows("https://null", "null"));
        assert!(allows("http://[::1]:3000", "http://[::1]:3000"));
        assert!(!allows("localhost", "capacitor://localhost"));
    }

    #[test]
    fn nonsense_is_refused() {
        for (pattern, expected) in [
            ("https://app.example.com/page", "no path"),
            ("app.example.com/page", "no path"),
            ("https://user@example.com", "no user"),
            ("https://example.com:x", "port"),
            ("https://example.com:99999", "port"),
            ("https://exa*mple.com", "host"),
            ("https://*", "host"),
            ("https://", "host"),
            ("://example.com", "scheme"),
            ("https://bücher.example", "xn--"),
            ("https://a.com,", "empty"),
            ("https://a.com https://b.com", "path"),
            ("http://[::1", "host"),
        ] {
            let error = pattern.parse::<AllowedOrigins>().expect_err(pattern).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn pages_of_this_machine_have_any_port() {
        let origins = AllowedOrigins::this_machine();
        for page in [
            "http://localhost:5173",
            "https://app.localhost",
            "http://127.0.0.1:1",
            "http://[::1]:1",
        ] {
            assert!(origins.allows(page), "{page}");
        }
        for page in ["https://evil.example", "null", "http://localhost.evil.example", "file://"] {
            assert!(!origins.allows(page), "{page}");
        }
        assert_eq!(origins.to_string().parse::<AllowedOrigins>().unwrap(), origins);
    }

    #[test]
    fn cookies_are_protected_unless_origins_are_configured() {
        let check = |allowed: Option<&str>, is_proxied, headers: &[(&'static str, &str)]| {
            let allowed = allowed.map(|text| text.parse().unwrap());
            let headers =
                headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            OriginCheck { allowed, protects_cookies: true }.check(&headers.collect(), is_proxied)
        };
        let host = ("host", "example.com:31337");
        let (own, evil) = (("origin", "https://example.com"), ("origin", "https://evil.example"));
        let cookie = ("cookie", "session=1");
        assert_eq!(check(None, false, &[host, own, cookie]), Ok(()));
        assert_eq!(check(None, false, &[host, evil]), Ok(()), "no cookie to abuse");
        assert_eq!(check(None, false, &[host, cookie]), Ok(()), "not a page");
        let wrong = check(None, false, &[host, evil, cookie]).unwrap_err();
        assert_eq!(wrong.page, "https://evil.example");
        assert!(wrong.allowed.contains("example.com"), "{}", wrong.allowed);
        assert_eq!(check(Some("https://evil.example"), false, &[host, evil, cookie]), Ok(()));
        assert!(check(Some("*"), false, &[host, evil, cookie]).is_ok());
        assert!(check(Some("https://example.com"), false, &[evil]).is_err());
        let proxied =
            [("host", "127.0.0.1:31337"), ("x-forwarded-host", "example.com"), own, cookie];
        assert!(check(None, true, &proxied).is_ok() && check(None, false, &proxied).is_err());
    }
}
