//! The authentication of clients.

use std::{fmt, net::SocketAddr, sync::Arc};

use hyper::{HeaderMap, header::ORIGIN};
use logux::{
    Json, NodeId, WallTime,
    action::Subprotocol,
    sync::Authentication,
    wire::{ErrorMessage, Protocol},
};
use nodejs_semver::{Range, Version};

use crate::{
    claims::Claims, connection_info::cookie, error::BuildError, handlers::handler::BoxFuture,
};

/// The argument of [`Builder::auth`](crate::Builder::auth): a client's request to connect.
pub struct Login {
    /// The node id that the client claims.
    pub node: NodeId,
    /// The client's credentials. They are secret, so the output of `Debug` omits them.
    pub token: Option<String>,
    /// The version of the application's own protocol that the client uses.
    pub subprotocol: Subprotocol,
    /// The client's headers, a JSON object.
    pub headers: Option<Json>,
    /// The headers of the HTTP request that opened the connection, including cookies.
    pub http_headers: HeaderMap,
    /// The client's address, or that of a proxy that is not [trusted](crate::Config::proxies).
    /// `None` if the client does not connect by IP.
    pub remote: Option<SocketAddr>,
}

impl Login {
    /// Returns the user that the client claims. `None` if the node id has no user.
    pub fn user_id(&self) -> Option<&str> {
        self.node.user_id()
    }

    /// Returns the origin of the web page that connects, such as `https://example.com`. `None` if
    /// the client is not a page in a browser.
    pub fn origin(&self) -> Option<&str> {
        self.http_headers.get(ORIGIN)?.to_str().ok()
    }

    /// Returns a cookie of the HTTP request, percent-decoded.
    ///
    /// Browsers send cookies with requests of all pages. A server that authenticates by cookie must
    /// therefore set [`allowed_origins`](crate::Config::allowed_origins), or check
    /// [`origin`](Self::origin).
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

/// The application's decision about a login, the result of [`Builder::auth`](crate::Builder::auth).
/// `true` is a client that is accepted for as long as it is connected, `false` one that is denied.
///
/// ```
/// use logux::WallTime;
/// use logux_server::{AuthOutcome, Server};
///
/// # struct Session { user: String, ends: WallTime }
/// # async fn find_session(token: Option<&str>) -> Result<Option<Session>, std::io::Error> { Ok(None) }
/// let server = Server::builder().auth(|login| async move {
///     Ok(match find_session(login.token.as_deref()).await {
///         Ok(Some(session)) if login.user_id() == Some(&*session.user) => {
///             AuthOutcome::accepted_until(session.ends)
///         }
///         Ok(Some(_)) => AuthOutcome::denied("the session is of another user"),
///         Ok(None) => AuthOutcome::denied("the session has ended"),
///         Err(error) => AuthOutcome::unavailable(error.to_string()),
///     })
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthOutcome {
    /// The client may connect.
    Accepted {
        /// The end of the login. At this time and a
        /// [leeway](crate::Config::login_leeway), the connection is closed without an error, so
        /// that the client connects again with new credentials of its application. `None` is no
        /// end.
        until: Option<WallTime>,
        /// The version of the application's own protocol, which clients are sent from now on.
        subprotocol: Option<Arc<str>>,
        /// What the login says about the user, for rules of access and
        /// [`Context::claims`](crate::Context::claims). `None` is the same as no claims.
        claims: Option<Claims>,
    },
    /// The credentials are wrong: the client receives the error `wrong-credentials`, and does not
    /// connect again by itself.
    Denied {
        /// The cause, for the log. The client does not receive it.
        why: Option<String>,
    },
    /// The client's version of the application's own protocol is not supported.
    WrongSubprotocol {
        /// The supported versions, an npm SemVer range.
        supported: Arc<str>,
    },
    /// Nothing can be said about the credentials now, for example because a database cannot be
    /// reached. The connection is closed without an error, and the client tries again.
    Unavailable {
        /// The cause, for the log.
        why: String,
    },
}

impl AuthOutcome {
    /// Accepts the client until this time.
    pub const fn accepted_until(time: WallTime) -> Self {
        Self::Accepted { until: Some(time), subprotocol: None, claims: None }
    }

    /// Sets the claims of an accepted client.
    ///
    /// ```
    /// use logux_server::{AuthOutcome, Claims, Server};
    /// use serde_json::json;
    ///
    /// let server = Server::builder().auth(|login| async move {
    ///     let is_admin = login.token.as_deref() == Some("secret");
    ///     let claims = Claims::try_from(json!({"role": if is_admin { "admin" } else { "guest" }}))?;
    ///     Ok(AuthOutcome::from(true).with_claims(claims))
    /// });
    /// ```
    #[must_use]
    pub fn with_claims(mut self, new: Claims) -> Self {
        if let Self::Accepted { claims, .. } = &mut self {
            *claims = Some(new);
        }
        self
    }

    /// Returns [`Denied`](Self::Denied) with this cause, without secrets.
    pub fn denied(why: impl Into<String>) -> Self {
        Self::Denied { why: Some(why.into()) }
    }

    /// Returns [`Unavailable`](Self::Unavailable) with this cause.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable { why: why.into() }
    }
}

impl From<bool> for AuthOutcome {
    fn from(is_accepted: bool) -> Self {
        if is_accepted {
            Self::Accepted { until: None, subprotocol: None, claims: None }
        } else {
            Self::Denied { why: None }
        }
    }
}

/// The application's handler of logins.
pub(crate) type Authenticator = Arc<dyn Fn(Login) -> BoxFuture<AuthOutcome> + Send + Sync>;

/// Returns the error for an unsupported version, in the format of the client's version. If that is
/// a number, the supported version is the first number of the range.
pub(crate) fn wrong_subprotocol(supported: &str, used: &Subprotocol) -> ErrorMessage {
    let supported = match used {
        Subprotocol::SemVer(_) => Subprotocol::SemVer(supported.into()),
        Subprotocol::Number(_) | Subprotocol::Fraction(_) => {
            Subprotocol::Number(first_number(supported))
        }
    };
    ErrorMessage::wrong_subprotocol(&supported, used)
}

/// Returns the first number of a SemVer version or range: 2 for `^2.1.0`. 0 if there is none.
pub(crate) fn first_number(text: &str) -> u32 {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or_default()
}

/// Checks the version that the server states to clients with protocols 3 and 4.
pub(crate) fn check_version(version: Option<&str>) -> Result<(), BuildError> {
    match version {
        Some(version) if Version::parse(version).is_err() => {
            Err(BuildError::Subprotocol { version: version.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The checks of the server itself, before the application decides.
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

    /// Checks a client.
    ///
    /// # Errors
    /// The error that is sent to the client, if it may not connect.
    pub(crate) fn check(&self, request: &Authentication) -> Result<(), ErrorMessage> {
        self.check_subprotocol(request.protocol, &request.subprotocol)?;
        if request.node.is_server() {
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
                if protocol.has_numeric_subprotocol() && *number >= min =>
            {
                Ok(())
            }
            (Subprotocol::Fraction(number), _)
                if protocol.has_numeric_subprotocol() && number.value() >= f64::from(min) =>
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
            (_, Some((range, _))) if !protocol.has_numeric_subprotocol() => Err(
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
        admission.check_subprotocol(Protocol::negotiate(protocol).unwrap(), used).is_ok()
    }

    #[test]
    fn versions_are_compared_with_a_number_or_a_range() {
        let semver = |text: &str| Subprotocol::SemVer(text.into());
        assert!(
            check(2, None, 5, &Subprotocol::from_number(2.5).unwrap())
                && !check(2, None, 5, &Subprotocol::from_number(1.5).unwrap())
        );
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
