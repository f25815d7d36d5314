//! Who gets in.

use std::{fmt, future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use hyper::HeaderMap;
use logux::{
    Json, NodeId,
    action::Subprotocol,
    sync::Authentication,
    wire::{ErrorMessage, Protocol},
};
use nodejs_semver::{Range, Version};

use crate::{
    connection_info::cookie,
    error::{BuildError, HandlerError},
};

/// A client that wants in, for the application to decide about.
pub struct Login {
    /// Who it says it is.
    pub node: NodeId,
    /// What it shows for a proof. A secret: it is left out of `Debug`.
    pub token: Option<String>,
    /// The application's protocol version it speaks.
    pub subprotocol: Subprotocol,
    /// What it says about itself: a JSON object.
    pub headers: Option<Json>,
    /// The headers of the HTTP request that opened the connection, cookies among them.
    pub http_headers: HeaderMap,
    /// Where it connects from; `None` if that is no IP address.
    pub remote: Option<SocketAddr>,
}

impl Login {
    /// The user it says it is.
    pub fn user_id(&self) -> Option<&str> {
        self.node.user_id()
    }

    /// A cookie of the HTTP request, percent escapes decoded.
    pub fn cookie(&self, name: &str) -> Option<String> {
        cookie(&self.http_headers, name)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("node", &self.node)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

/// What the application says about a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthOutcome {
    /// Come in. The application may say which version of its own protocol it speaks.
    Accepted { subprotocol: Option<Arc<str>> },
    /// It is not who it says it is.
    Denied,
    /// Its version of the application does not fit.
    WrongSubprotocol { supported: Arc<str> },
}

impl From<bool> for AuthOutcome {
    fn from(may: bool) -> Self {
        if may { Self::Accepted { subprotocol: None } } else { Self::Denied }
    }
}

pub(crate) type Authenticator = Arc<
    dyn Fn(Login) -> Pin<Box<dyn Future<Output = Result<AuthOutcome, HandlerError>> + Send>>
        + Send
        + Sync,
>;

/// The error about a version that does not fit, in the way in which the client writes versions: a number is the first of the range.
pub(crate) fn wrong_subprotocol(supported: &str, used: &Subprotocol) -> ErrorMessage {
    let supported = match used {
        Subprotocol::SemVer(_) => Subprotocol::SemVer(supported.into()),
        Subprotocol::Number(_) => Subprotocol::Number(first_number(supported)),
    };
    ErrorMessage::wrong_subprotocol(&supported, used)
}

/// The number that a SemVer text or range begins with: 2 of `^2.1.0`.
pub(crate) fn first_number(text: &str) -> u32 {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or_default()
}

/// What the server itself asks of a client before the application is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    pub(crate) min_subprotocol: u32,
    pub(crate) supports: Option<(String, Range)>,
}

impl Admission {
    pub(crate) fn new(min_subprotocol: u32, supports: Option<String>) -> Result<Self, BuildError> {
        let supports = match supports {
            None => None,
            Some(range) => match Range::parse(&range) {
                Ok(parsed) => Some((range, parsed)),
                Err(_) => return Err(BuildError::Supports { range }),
            },
        };
        Ok(Self { min_subprotocol, supports })
    }

    /// The error that the client is told, if it may not come in.
    pub(crate) fn check(&self, who: &Authentication) -> Result<(), ErrorMessage> {
        self.check_subprotocol(who.protocol, &who.subprotocol)?;
        if who.node.is_server() {
            return Err(ErrorMessage::wrong_credentials());
        }
        Ok(())
    }

    fn check_subprotocol(
        &self,
        protocol: Protocol,
        used: &Subprotocol,
    ) -> Result<(), ErrorMessage> {
        let min = self.min_subprotocol;
        match (used, &self.supports) {
            (Subprotocol::Number(number), _)
                if protocol.numbers_subprotocol() && *number >= min =>
            {
                Ok(())
            }
            (Subprotocol::SemVer(text), Some((_, range)))
                if Version::parse(text).is_ok_and(|v| range.satisfies(&v)) =>
            {
                Ok(())
            }
            (Subprotocol::SemVer(text), None)
                if Version::parse(text).is_ok_and(|v| v.major() >= u64::from(min)) =>
            {
                Ok(())
            }
            (_, Some((range, _))) if !protocol.numbers_subprotocol() => Err(
                ErrorMessage::wrong_subprotocol(&Subprotocol::SemVer(range.as_str().into()), used),
            ),
            _ => Err(ErrorMessage::wrong_subprotocol(&Subprotocol::Number(min), used)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(min: u32, supports: Option<&str>, protocol: u32, used: &Subprotocol) -> bool {
        let admission = Admission::new(min, supports.map(Into::into)).unwrap();
        admission.check_subprotocol(Protocol::spoken_with(protocol).unwrap(), used).is_ok()
    }

    #[test]
    fn numbers_and_ranges() {
        let semver = |text: &str| Subprotocol::SemVer(text.into());
        assert!(
            check(2, None, 5, &Subprotocol::Number(2))
                && !check(2, None, 5, &Subprotocol::Number(1))
        );
        assert!(
            check(0, Some("^1.0.0"), 4, &semver("1.2.3"))
                && !check(0, Some("^1.0.0"), 4, &semver("0.9.0"))
        );
        assert!(
            !check(0, Some("^1.0.0"), 4, &semver("1.0.0-beta"))
                && !check(0, Some("^1.0.0"), 4, &semver("x"))
        );
        assert!(check(2, None, 4, &semver("2.0.0")) && !check(2, None, 4, &semver("1.9.0")));
        assert!(Admission::new(0, Some("what".into())).is_err());
    }
}
