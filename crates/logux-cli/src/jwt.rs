//! JSON Web Tokens signed with HS256 (RFC 7519, RFC 7515): the only kind that `logux serve` takes.
//!
//! The signature is RustCrypto's; a JWT library would bring RSA and elliptic curves along, which no one here asks for.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

/// What a token has to say.
#[derive(Debug, Deserialize)]
struct Claims {
    /// The user id.
    sub: String,
    /// When it ends to be valid, in seconds since the epoch.
    exp: Option<f64>,
    /// When it begins to be valid, in seconds since the epoch.
    nbf: Option<f64>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtError {
    #[error(
        "the token is no JSON Web Token: three parts in URL-safe base64, with a `sub` that is a text"
    )]
    Malformed,
    #[error("the token is signed by another algorithm than HS256")]
    Algorithm,
    #[error("the token is signed with another secret")]
    Signature,
    #[error("the token is not valid any more, or not yet")]
    Time,
}

/// The user that a token speaks for, if it is signed with the secret and valid now.
pub(crate) fn user(token: &str, secret: &[u8]) -> Result<String, JwtError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    user_at(token, secret, now)
}

fn user_at(token: &str, secret: &[u8], now: f64) -> Result<String, JwtError> {
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
    // In constant time, so that a signature cannot be guessed byte by byte.
    mac.verify_slice(&decode(signature)?).map_err(|_| JwtError::Signature)?;
    let claims: Claims =
        serde_json::from_slice(&decode(claims)?).map_err(|_| JwtError::Malformed)?;
    if claims.exp.is_some_and(|end| end <= now) || claims.nbf.is_some_and(|begin| begin > now) {
        return Err(JwtError::Time);
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
    fn the_example_of_the_standard_library_of_tokens() {
        // The token that jwt.io shows first, with its secret.
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
        assert_eq!(user(token, b"your-256-bit-secret").as_deref(), Ok("1234567890"));
    }

    #[test]
    fn who_and_when() {
        let check = |claims: &str| user_at(&token(HS256, claims), SECRET, 100.0);
        assert_eq!(check(r#"{"sub":"10"}"#).as_deref(), Ok("10"));
        assert_eq!(check(r#"{"sub":"10","exp":101,"nbf":100}"#).as_deref(), Ok("10"));
        assert_eq!(check(r#"{"sub":"10","exp":100}"#), Err(JwtError::Time));
        assert_eq!(check(r#"{"sub":"10","nbf":101}"#), Err(JwtError::Time));
        assert_eq!(check(r#"{"sub":10}"#), Err(JwtError::Malformed));
        assert_eq!(check(r#"{"sub":"10","exp":"never"}"#), Err(JwtError::Malformed));
        assert_eq!(check("{}"), Err(JwtError::Malformed));
    }

    #[test]
    fn nothing_else_is_accepted() {
        let good = token(HS256, r#"{"sub":"10"}"#);
        assert_eq!(user(&good, b"another"), Err(JwtError::Signature));
        assert_eq!(
            user(&token(r#"{"alg":"none"}"#, r#"{"sub":"10"}"#), SECRET),
            Err(JwtError::Algorithm)
        );
        assert_eq!(
            user(&token(r#"{"alg":"HS512"}"#, r#"{"sub":"10"}"#), SECRET),
            Err(JwtError::Algorithm)
        );
        for text in ["", ".", "..", "a.b.c", &good[..good.len() - 2], &format!("{good}.x")] {
            assert!(user(text, SECRET).is_err(), "{text}");
        }
    }
}
