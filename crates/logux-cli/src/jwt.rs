//! JSON Web Tokens signed with HS256 (RFC 7519, RFC 7515), the only algorithm that `logux serve`
//! accepts.
//!
//! The signature is verified with RustCrypto. A JWT library would add RSA and elliptic curves,
//! which are not needed.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

/// The claims that are read from a token.
#[derive(Debug, Deserialize)]
struct Claims {
    /// The user id.
    sub: String,
    /// The expiration time, in seconds since the Unix epoch.
    exp: Option<f64>,
    /// The time before which the token is not valid, in seconds since the Unix epoch.
    nbf: Option<f64>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// The reason why a token is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtError {
    #[error(
        "malformed token: expected a JSON Web Token, three parts in URL-safe base64, with a \
         string `sub`"
    )]
    Malformed,
    #[error("unsupported signature algorithm: expected HS256")]
    Algorithm,
    #[error("invalid signature")]
    Signature,
    #[error("the token has expired or is not valid yet")]
    NotValidNow,
}

/// Verifies a token and returns its user id.
///
/// # Errors
/// [`JwtError`] if the token is malformed, not signed with `secret`, or not valid now.
pub(crate) fn verify(token: &str, secret: &[u8]) -> Result<String, JwtError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    verify_at(token, secret, now)
}

fn verify_at(token: &str, secret: &[u8], now: f64) -> Result<String, JwtError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed);
    let header: Header =
        serde_json::from_slice(&decode(header)?).map_err(|_| JwtError::Malformed)?;
    if header.alg != "HS256" {
        return Err(JwtError::Algorithm);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| JwtError::Signature)?;
    mac.update(signed.as_bytes());
    // Compares in constant time, so that a signature cannot be guessed byte by byte.
    mac.verify_slice(&decode(signature)?).map_err(|_| JwtError::Signature)?;
    let claims: Claims =
        serde_json::from_slice(&decode(claims)?).map_err(|_| JwtError::Malformed)?;
    if claims.exp.is_some_and(|expires| expires <= now)
        || claims.nbf.is_some_and(|not_before| not_before > now)
    {
        return Err(JwtError::NotValidNow);
    }
    Ok(claims.sub)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret";

    fn token(header: &str, claims: &str) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    #[test]
    fn example_token_of_jwt_io_is_accepted() {
        // The default token on https://jwt.io, with its secret.
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
        assert_eq!(verify(token, b"your-256-bit-secret").as_deref(), Ok("1234567890"));
    }

    #[test]
    fn subject_and_validity_period_are_checked() {
        let check = |claims: &str| verify_at(&token(HS256, claims), SECRET, 100.0);
        assert_eq!(check(r#"{"sub":"10"}"#).as_deref(), Ok("10"));
        assert_eq!(check(r#"{"sub":"10","exp":101,"nbf":100}"#).as_deref(), Ok("10"));
        assert_eq!(check(r#"{"sub":"10","exp":100}"#), Err(JwtError::NotValidNow));
        assert_eq!(check(r#"{"sub":"10","nbf":101}"#), Err(JwtError::NotValidNow));
        assert_eq!(check(r#"{"sub":10}"#), Err(JwtError::Malformed));
        assert_eq!(check(r#"{"sub":"10","exp":"never"}"#), Err(JwtError::Malformed));
        assert_eq!(check("{}"), Err(JwtError::Malformed));
    }

    #[test]
    fn other_signatures_and_algorithms_are_rejected() {
        let good = token(HS256, r#"{"sub":"10"}"#);
        assert_eq!(verify(&good, b"another"), Err(JwtError::Signature));
        assert_eq!(
            verify(&token(r#"{"alg":"none"}"#, r#"{"sub":"10"}"#), SECRET),
            Err(JwtError::Algorithm)
        );
        assert_eq!(
            verify(&token(r#"{"alg":"HS512"}"#, r#"{"sub":"10"}"#), SECRET),
            Err(JwtError::Algorithm)
        );
        for text in ["", ".", "..", "a.b.c", &good[..good.len() - 2], &format!("{good}.x")] {
            assert!(verify(text, SECRET).is_err(), "{text}");
        }
    }
}
