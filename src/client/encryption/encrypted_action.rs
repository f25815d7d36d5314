//! The form of an encrypted action, and what is encrypted.

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{CipherError, CipherToken, EncryptionError};
use crate::action::{Action, ActionId};

/// The type of an encrypted action.
pub(super) const ENCRYPTED: &str = "0";

/// The size of the initialization vector, in bytes.
pub const IV_BYTES: usize = 12;

/// The number of random bytes that [`EncryptRequest::plaintext`] needs.
pub const PADDING_BYTES: usize = 9;

/// The size in bytes above which a plaintext is compressed, by raw deflate, before it is encrypted.
pub const COMPRESS_ABOVE: usize = 100;

/// White space of JSON. Each stands for two random bits.
const SPACES: [u8; 4] = *b" \t\n\r";

/// Padding may be missing, as for `atob` of browsers.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An encrypted action: `{"type":"0","d":…,"iv":…,"z":…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedAction {
    /// The initialization vector, in the field `iv` as base64. Every action needs another one.
    pub iv: [u8; IV_BYTES],
    /// The output of AES-256-GCM without additional data, with the tag of 16 bytes at the end, in
    /// the field `d` as base64.
    pub data: Vec<u8>,
    /// Whether the plaintext was compressed by raw deflate, in the field `z`.
    pub is_compressed: bool,
}

impl EncryptedAction {
    /// Reads an encrypted action. O(length).
    ///
    /// # Errors
    /// [`EncryptionError::Malformed`] if a field is missing or does not have its form.
    pub fn from_action(action: &Action) -> Result<Self, EncryptionError> {
        let bytes = |name: &'static str| {
            let text = action.str_field(name);
            let bytes = text.and_then(|text| BASE64.decode(&*text).ok());
            bytes.ok_or(EncryptionError::Malformed(name))
        };
        if action.kind() != ENCRYPTED {
            return Err(EncryptionError::Malformed("type"));
        }
        Ok(Self {
            iv: bytes("iv")?.try_into().map_err(|_| EncryptionError::Malformed("iv"))?,
            data: bytes("d")?,
            is_compressed: match action.field("z") {
                Some("true") => true,
                Some("false" | "null") | None => false,
                Some(_) => return Err(EncryptionError::Malformed("z")),
            },
        })
    }

    /// Returns the action. O(length).
    ///
    /// # Panics
    /// Never: the JSON is always that of an action.
    pub fn to_action(&self) -> Action {
        let mut json = String::with_capacity(self.data.len().div_ceil(3) * 4 + 64);
        json.push_str(r#"{"d":""#);
        BASE64.encode_string(&self.data, &mut json);
        json.push_str(r#"","iv":""#);
        BASE64.encode_string(self.iv, &mut json);
        json.push_str(r#"","type":"0","z":"#);
        json.push_str(if self.is_compressed { "true}" } else { "false}" });
        Action::new(json).expect("base64 needs no escapes")
    }
}

/// A request to encrypt an own action: [`Output::Encrypt`](super::super::Output::Encrypt).
///
/// The driver makes the [`plaintext`](Self::plaintext), compresses it by raw deflate if it is
/// larger than [`COMPRESS_ABOVE`], encrypts the result by AES-256-GCM with an initialization vector
/// of its own, and responds by [`Input::Encrypted`](super::super::Input::Encrypted).
#[derive(Debug)]
#[must_use = "the action is sent when the request has a response"]
pub struct EncryptRequest {
    /// The token for the response.
    pub token: CipherToken,
    /// The id of the action.
    pub id: ActionId,
    /// The action.
    pub action: Action,
}

impl EncryptRequest {
    /// Returns what is to be encrypted: the JSON of the action and 0 to 31 characters of white
    /// space, which hide its length a little. `random` are random bytes. O(length).
    pub fn plaintext(&self, random: &[u8; PADDING_BYTES]) -> Vec<u8> {
        let [length, spaces @ ..] = random;
        let spaces = spaces
            .iter()
            .flat_map(|bits| [0, 2, 4, 6].map(|shift| SPACES[usize::from(bits >> shift & 3)]));
        let json = self.action.as_json().bytes();
        json.chain(spaces.take(usize::from(length % 32))).collect()
    }
}

/// A request to decrypt a received action: [`Output::Decrypt`](super::super::Output::Decrypt).
///
/// The driver decrypts the data, expands the result if it
/// [is compressed](EncryptedAction::is_compressed), and responds by
/// [`Input::Decrypted`](super::super::Input::Decrypted).
#[derive(Debug)]
#[must_use = "received actions are confirmed when the request has a response"]
pub struct DecryptRequest {
    /// The token for the response.
    pub token: CipherToken,
    /// The id of the action.
    pub id: ActionId,
    /// The encrypted action.
    pub encrypted: EncryptedAction,
    /// The largest plaintext, in bytes. Compressed data that become larger are refused with
    /// [`CipherError::TooLarge`], and must not be expanded further.
    pub max_bytes: usize,
}

/// Returns the action of a decrypted plaintext, without the white space around it. O(length).
///
/// # Errors
/// If it is too large or not an action.
pub(super) fn decrypted_action(
    plaintext: &[u8],
    max_bytes: usize,
) -> Result<Action, EncryptionError> {
    if plaintext.len() > max_bytes {
        return Err(EncryptionError::Decrypt(CipherError::TooLarge(max_bytes)));
    }
    let text = core::str::from_utf8(plaintext);
    let text = text.map_err(|error| EncryptionError::NotAnAction(error.to_string()))?;
    Ok(Action::new(text)?)
}
