//! The public keys that verify tokens, from PEM files and from JSON Web Key Sets (RFC 7517).

use std::{fmt, fs, io, path::PathBuf, str::FromStr};

use jsonwebtoken::{
    AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;

/// The length of a point of P-256, uncompressed.
const P256_POINT: usize = 65;

/// A PEM file with a public key. Parsed when the settings are read.
#[derive(Clone)]
pub(crate) struct KeyFile(pub(super) DecodingKey);

/// A public key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error(
        "{}: expected one PEM block `PUBLIC KEY` of RSA, of the curve P-256, or of Ed25519; \
         `openssl pkey -in private.pem -pubout` writes it",
        path.display()
    )]
    Format { path: PathBuf },
}

impl FromStr for KeyFile {
    type Err = KeyError;

    fn from_str(path: &str) -> Result<Self, KeyError> {
        let path = PathBuf::from(path);
        let pem = match fs::read(&path) {
            Ok(pem) => pem,
            Err(error) => return Err(KeyError::Read { path, error }),
        };
        from_pem(&pem).map(Self).ok_or(KeyError::Format { path })
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.family())
    }
}

/// Reads a public key. A private key is an error, because a server must not have it.
fn from_pem(pem: &[u8]) -> Option<DecodingKey> {
    let text = str::from_utf8(pem).ok()?;
    if !text.contains("PUBLIC KEY-----") || text.contains("PRIVATE KEY-----") {
        return None;
    }
    let readers = [DecodingKey::from_rsa_pem, DecodingKey::from_ec_pem, DecodingKey::from_ed_pem];
    let key = readers.iter().find_map(|read| read(pem).ok())?;
    let is_usable = match key.family() {
        AlgorithmFamily::Ec => key.try_get_as_bytes().is_ok_and(|key| key.len() == P256_POINT),
        _ => true,
    };
    is_usable.then_some(key)
}

/// A key of a set.
#[derive(Clone, Debug)]
pub(super) struct SetKey {
    /// The id that the headers of tokens refer to.
    pub(super) id: Option<String>,
    pub(super) key: DecodingKey,
}

/// Reads a key set. Keys for other purposes and with other algorithms are left out.
///
/// # Errors
/// If it is not a key set.
pub(super) fn read_set(json: &[u8]) -> Result<Vec<SetKey>, serde_json::Error> {
    #[derive(Deserialize)]
    struct KeySet {
        keys: Vec<serde_json::Value>,
    }
    let set: KeySet = serde_json::from_slice(json)?;
    // A key that cannot be read does not prevent the use of the others.
    let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
    Ok(keys.filter_map(|key| set_key(&key)).collect())
}

fn set_key(jwk: &Jwk) -> Option<SetKey> {
    let is_for_signatures =
        matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let algorithm = jwk.common.key_algorithm;
    let is_supported = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => matches!(algorithm, None | Some(KeyAlgorithm::RS256)),
        AlgorithmParameters::EllipticCurve(parameters) => {
            parameters.curve == EllipticCurve::P256
                && matches!(algorithm, None | Some(KeyAlgorithm::ES256))
        }
        AlgorithmParameters::OctetKeyPair(parameters) => {
            parameters.curve == EllipticCurve::Ed25519
                && matches!(algorithm, None | Some(KeyAlgorithm::EdDSA))
        }
        // A secret that is published is none.
        _ => false,
    };
    if !is_for_signatures || !is_supported {
        return None;
    }
    Some(SetKey { id: jwk.common.key_id.clone(), key: DecodingKey::from_jwk(jwk).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_for_other_purposes_are_left_out_of_a_set() {
        let rsa = r#""kty":"RSA","n":"sXch","e":"AQAB""#;
        let set = format!(
            r#"{{"keys":[{{{rsa},"kid":"a","use":"sig"}},{{{rsa},"kid":"b","use":"enc"}},
               {{{rsa},"kid":"c","alg":"RS512"}},{{"kty":"oct","k":"c2VjcmV0","kid":"d"}},
               {{"kty":"EC","crv":"P-384","x":"eA","y":"eQ","kid":"e"}},
               {{"kty":"OKP","crv":"Ed25519","x":"eA","kid":"f"}},{{"kty":"new"}},{{}}]}}"#
        );
        let ids: Vec<_> =
            read_set(set.as_bytes()).unwrap().into_iter().filter_map(|key| key.id).collect();
        assert_eq!(ids, ["a", "f"]);
        assert!(read_set(b"<html>").is_err() && read_set(b"[]").is_err());
    }

    #[test]
    fn only_public_keys_are_accepted() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let path = path.path();
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ] {
            fs::write(path, text).unwrap();
            let error = path.to_str().unwrap().parse::<KeyFile>().unwrap_err();
            assert!(error.to_string().contains("expected one PEM block"), "{error}");
        }
        assert!(matches!("missing.pem".parse::<KeyFile>(), Err(KeyError::Read { .. })));
    }
}
