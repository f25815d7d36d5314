//! JSON Web Tokens (RFC 7519) that clients log in with: signed with HS256 and a secret, or with
//! RS256, ES256 or EdDSA and keys whose public parts are in files or in a key set.
//!
//! Read [`TokenVerifier`], then [`keys`] (public keys), [`key_set`] (keys at a URL) and [`crypto`]
//! (the algorithms).

mod crypto;
pub(crate) mod key_set;
#[cfg(test)]
mod key_set_fuzz;
pub(crate) mod keys;

use std::{fmt, io, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    errors::{Error, ErrorKind},
};
use logux::WallTime;
use logux_server::Claims;
use serde_json::{Map, Value};

use key_set::{FetchError, KeySet, KeySetUrl};
use keys::KeyFile;

/// How tokens are verified.
#[derive(Clone, Default)]
pub(crate) struct TokenConfig {
    /// The secret of HS256.
    pub(crate) secret: Option<String>,
    /// The public keys of RS256, ES256 and EdDSA.
    pub(crate) keys: Vec<KeyFile>,
    pub(crate) key_set: Option<KeySetUrl>,
    /// The expected `iss`. `None` accepts all.
    pub(crate) issuer: Option<String>,
    /// The expected `aud`, of which a token must have one. Empty accepts all.
    pub(crate) audiences: Vec<String>,
    /// The claim that is the user id.
    pub(crate) user_claim: String,
    /// The allowed difference between the clocks of the issuer and this server.
    pub(crate) leeway: Duration,
}

impl fmt::Debug for TokenConfig {
    /// Omits the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenConfig")
            .field("keys", &self.keys)
            .field("key_set", &self.key_set)
            .field("issuer", &self.issuer)
            .field("audiences", &self.audiences)
            .field("user_claim", &self.user_claim)
            .finish_non_exhaustive()
    }
}

/// Verifies tokens.
#[derive(Debug)]
pub(crate) struct TokenVerifier {
    secret: Option<DecodingKey>,
    keys: Vec<DecodingKey>,
    key_set: Option<KeySet>,
    validation: Validation,
    user_claim: String,
}

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: String,
    /// The end of the token's validity. `None` is no end.
    pub(crate) expires: Option<WallTime>,
    /// Everything that it says.
    pub(crate) claims: Claims,
}

/// The reason why a token is rejected.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum JwtError {
    #[error("malformed token: expected a JSON Web Token, three parts in URL-safe base64")]
    Malformed,
    #[error("unsupported signature algorithm: expected {expected}")]
    Algorithm { expected: String },
    /// RFC 7515, section 4.1.11.
    #[error("the header has critical extensions that this server does not know")]
    Critical,
    #[error("invalid signature")]
    Signature,
    #[error("no key has the id {0:?} of the token's `kid`")]
    UnknownKey(String),
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is for another `{0}`, or has none")]
    WrongClaim(&'static str),
    #[error("the claim `{0}` is not the id of a user: expected a string or a whole number")]
    User(String),
    #[error("the claim `{0}` has the wrong type")]
    ClaimType(String),
    #[error(transparent)]
    KeySet(#[from] FetchError),
}

impl TokenVerifier {
    /// Creates a verifier.
    ///
    /// # Errors
    /// If there is a key set, and the system's certificates cannot be read.
    pub(crate) fn new(config: TokenConfig) -> io::Result<Self> {
        crypto::install();
        let TokenConfig { secret, keys, key_set, issuer, audiences, user_claim, leeway } = config;
        let leeway = leeway.as_millis().div_ceil(1_000);
        let mut validation = Validation {
            leeway: leeway.try_into().unwrap_or(u64::MAX),
            validate_nbf: true,
            validate_aud: !audiences.is_empty(),
            ..Validation::default()
        };
        let mut required = Vec::new();
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if !audiences.is_empty() {
            validation.set_audience(&audiences);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        Ok(Self {
            secret: secret.map(|secret| DecodingKey::from_secret(secret.as_bytes())),
            keys: keys.into_iter().map(|KeyFile(key)| key).collect(),
            key_set: key_set.map(KeySet::new).transpose()?,
            validation,
            user_claim,
        })
    }

    /// Fetches the key set, so that its problems are reported before the first client connects.
    pub(crate) async fn prepare(&self) {
        if let Some(key_set) = &self.key_set {
            // The error is in the log.
            let _ = key_set.fetch(None).await;
        }
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`JwtError`] if the token is not valid now, or the keys are not known.
    pub(crate) async fn verify(&self, token: &str) -> Result<Identity, JwtError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
            ErrorKind::Json(error) if error.to_string().contains("unknown variant") => {
                self.wrong_algorithm()
            }
            _ => JwtError::Malformed,
        })?;
        if header.crit.is_some() {
            return Err(JwtError::Critical);
        }
        let mut last_error = self.wrong_algorithm();
        for key in self.candidates(&header).await? {
            let mut validation = self.validation.clone();
            validation.algorithms = vec![header.alg];
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation) {
                Ok(data) => return self.identity(data.claims),
                // Another key may have signed it.
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => {
                    last_error = JwtError::Signature;
                }
                Err(error) => return Err(self.rejection(error)),
            }
        }
        Err(last_error)
    }

    /// Returns the keys that may have signed a token with this header.
    async fn candidates(&self, header: &Header) -> Result<Vec<DecodingKey>, JwtError> {
        let mut keys: Vec<DecodingKey> = match header.alg {
            Algorithm::HS256 => return Ok(self.secret.iter().cloned().collect()),
            Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA => self.keys.clone(),
            _ => return Err(self.wrong_algorithm()),
        };
        if let Some(key_set) = &self.key_set {
            let id = header.kid.as_deref();
            let found = key_set.keys(id).await?;
            if let (true, true, Some(id)) = (found.is_empty(), keys.is_empty(), id) {
                return Err(JwtError::UnknownKey(id.chars().take(100).collect()));
            }
            keys.extend(found.into_iter().map(|found| found.key));
        }
        keys.retain(|key| key.family() == header.alg.family());
        Ok(keys)
    }

    fn identity(&self, claims: Map<String, Value>) -> Result<Identity, JwtError> {
        let user = match claims.get(&self.user_claim) {
            Some(Value::String(user)) => user.clone(),
            Some(Value::Number(number)) if number.is_u64() => number.to_string(),
            _ => return Err(JwtError::User(self.user_claim.clone())),
        };
        #[allow(clippy::cast_possible_truncation, reason = "times out of range saturate")]
        let expires = claims
            .get("exp")
            .and_then(Value::as_f64)
            .map(|seconds| WallTime::from_millis((seconds * 1_000.0) as i64));
        Ok(Identity { user, expires, claims: claims.into() })
    }

    fn rejection(&self, error: Error) -> JwtError {
        match error.into_kind() {
            ErrorKind::ExpiredSignature => JwtError::Expired,
            ErrorKind::ImmatureSignature => JwtError::NotYet,
            ErrorKind::InvalidIssuer => JwtError::WrongClaim("iss"),
            ErrorKind::InvalidAudience => JwtError::WrongClaim("aud"),
            ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => JwtError::WrongClaim("iss"),
            ErrorKind::MissingRequiredClaim(_) => JwtError::WrongClaim("aud"),
            ErrorKind::InvalidClaimFormat(claim) => JwtError::ClaimType(claim),
            ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => self.wrong_algorithm(),
            _ => JwtError::Malformed,
        }
    }

    fn wrong_algorithm(&self) -> JwtError {
        let has_keys = !self.keys.is_empty() || self.key_set.is_some();
        let expected = match (self.secret.is_some(), has_keys) {
            (true, false) => "HS256",
            (false, true) => "RS256, ES256 or EdDSA, with a key of the server",
            _ => "HS256, RS256, ES256 or EdDSA, with a key of the server",
        };
        JwtError::Algorithm { expected: expected.to_owned() }
    }
}

/// Returns a token that is signed with HS256.
///
/// # Errors
/// If the claims cannot be written as JSON.
pub(crate) fn sign(claims: &Map<String, Value>, secret: &str) -> Result<String, Error> {
    crypto::install();
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
}

#[cfg(test)]
mod tests;
