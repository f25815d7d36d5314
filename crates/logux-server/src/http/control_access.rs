//! Who may send requests that control the server: a secret, and the networks of their senders.

use std::{fmt, net::IpAddr, sync::Arc};

use hyper::{HeaderMap, header::AUTHORIZATION};
use ipnet::IpNet;
use logux::MonoTime;
use subtle::ConstantTimeEq as _;

use crate::{
    error::BuildError,
    http::{routes::RequestSender, secret_throttle::SecretThrottle},
    networks::{contain, read_networks},
    telemetry::{
        Telemetry,
        event::{Event, Limit},
    },
};

/// Who may use the HTTP interface of [`Builder::documents_http`](crate::Builder::documents_http):
/// requests with `Authorization: Bearer SECRET`, from some networks.
///
/// ```
/// use logux_server::ControlAccess;
/// let access = ControlAccess::new("a long secret of the operators").mask("10.0.0.0/8, ::1")?;
/// # Ok::<(), logux_server::BuildError>(())
/// ```
#[derive(Clone)]
pub struct ControlAccess {
    secret: Option<Arc<str>>,
    mask: Vec<IpNet>,
}

impl fmt::Debug for ControlAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlAccess").field("mask", &self.mask).finish_non_exhaustive()
    }
}

/// Why a request may not control the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessRefusal {
    /// The address of the sender is not in the mask.
    Address,
    /// There is no secret, or a wrong one.
    Secret,
    /// There were too many wrong secrets from the address.
    TooMany,
}

impl ControlAccess {
    /// Creates an access with a secret, from loopback addresses. An empty secret is none.
    pub fn new(secret: impl Into<Arc<str>>) -> Self {
        let secret = Some(secret.into()).filter(|secret| !secret.is_empty());
        Self { secret, ..Self::development() }
    }

    /// Creates an access without a secret. Only who may see the inspector of a server in
    /// [development](crate::Config::development) has it, with [`new`](Self::new) too; but not other
    /// web pages in the browser.
    pub fn development() -> Self {
        let mask = ["127.0.0.0/8", "::1/128"].iter().filter_map(|text| text.parse().ok()).collect();
        Self { secret: None, mask }
    }

    /// Sets the addresses and networks, separated by commas, from which the secret is accepted.
    ///
    /// # Errors
    /// [`BuildError::Mask`] if one of them is not an address or a network.
    pub fn mask(mut self, list: &str) -> Result<Self, BuildError> {
        let networks = list.split(',').map(str::trim).filter(|text| !text.is_empty());
        self.mask = read_networks(networks)?;
        Ok(self)
    }

    /// Decides about a request.
    pub(crate) fn check(
        &self,
        throttle: &SecretThrottle,
        now: MonoTime,
        sender: &RequestSender,
        headers: &HeaderMap,
        telemetry: &Telemetry,
    ) -> Result<(), AccessRefusal> {
        let given = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        if given.is_none() && sender.sees_inspector && !is_of_other_page(headers) {
            return Ok(());
        }
        let address = sender.control_address.map(|address: IpAddr| address.to_canonical());
        if address.is_none_or(|address| !contain(&self.mask, address)) {
            telemetry.record(&Event::WrongControlIp { address });
            return Err(AccessRefusal::Address);
        }
        if throttle.is_blocked(now, address) {
            let limit = Limit::WrongSecrets;
            telemetry.record(&Event::Limited { node: None, address, limit });
            return Err(AccessRefusal::TooMany);
        }
        let Some(given) = given else { return Err(AccessRefusal::Secret) };
        let is_right = |secret: &Arc<str>| bool::from(given.ct_eq(secret.as_bytes()));
        if self.secret.as_ref().is_some_and(is_right) {
            return Ok(());
        }
        throttle.record_failure(now, address);
        telemetry.record(&Event::WrongControlSecret { address });
        Err(AccessRefusal::Secret)
    }
}

/// Returns the secret of `Authorization: Bearer SECRET`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, secret) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
}

/// Returns whether a browser sends the request for a page of another origin. Such a page cannot
/// read the response, but the request would have its effect.
fn is_of_other_page(headers: &HeaderMap) -> bool {
    let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_same_site = |site| matches!(site, "same-origin" | "none");
    let is_own_origin = |origin: &str| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some() && host == value("host")
    };
    value("sec-fetch-site").is_some_and(|site| !is_same_site(site))
        || value("origin").is_some_and(|origin| !is_own_origin(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_of_the_bearer_scheme_counts() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc "), Some(&b"abc"[..]));
        for wrong in [&b"Basic abc"[..], b"Bearerabc", b"abc", b""] {
            assert_eq!(bearer(wrong), None);
        }
    }

    #[test]
    fn requests_of_other_pages_are_found() {
        let with = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            is_of_other_page(&headers)
        };
        let host = ("host", "localhost:31337");
        assert!(!with(&[host]));
        assert!(!with(&[host, ("origin", "http://localhost:31337")]));
        assert!(!with(&[host, ("sec-fetch-site", "same-origin")]));
        for wrong in [
            ("origin", "http://localhost:8080"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(with(&[host, wrong]), "{wrong:?}");
        }
    }
}
