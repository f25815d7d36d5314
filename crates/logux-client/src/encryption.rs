//! The encryption of actions with a secret that only the devices of a user have.

use core::fmt;
use std::{collections::BTreeSet, sync::Arc};

use aes_gcm::{
    Aes256Gcm, Key, KeyInit, Nonce,
    aead::{Aead, consts::U12},
};
use logux::client::{
    COMPRESS_ABOVE, CipherError, DecryptRequest, EncryptRequest, EncryptedAction, EncryptionConfig,
    IV_BYTES, PADDING_BYTES,
};
use miniz_oxide::{
    deflate::compress_to_vec,
    inflate::{TINFLStatus, decompress_to_vec_with_limit},
};
use sha2::{Digest, Sha256};

/// The level of compression: the default of zlib.
const COMPRESSION: u8 = 6;

/// The encryption of actions on the device, so that the server can relay them, but not read them:
/// for [`Builder::encryption`](crate::Builder::encryption).
///
/// It is that of `encryptActions` of `@logux/client`: devices with either client and the same
/// secret read each other. Everybody who has the secret can read all actions and make new ones.
/// The server learns who sends how much when, and could repeat, hold back and reorder actions, but
/// not change or invent them.
///
/// The secret is not shown by `Debug`, and the key is erased when the last clone is dropped.
///
/// ```
/// use logux_client::Encryption;
///
/// let encryption = Encryption::from_secret("correct horse battery staple").plain(["chat/typing"]);
/// assert!(!format!("{encryption:?}").contains("horse"));
/// ```
#[derive(Clone)]
pub struct Encryption {
    cipher: Arc<Aes256Gcm>,
    plain_types: BTreeSet<Arc<str>>,
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").field("plain_types", &self.plain_types).finish_non_exhaustive()
    }
}

impl From<&str> for Encryption {
    fn from(secret: &str) -> Self {
        Self::from_secret(secret)
    }
}

impl From<String> for Encryption {
    fn from(secret: String) -> Self {
        Self::from_secret(&secret)
    }
}

impl Encryption {
    /// Creates the encryption with a secret text, whose SHA-256 is the key, as for a string in
    /// `encryptActions`. The text has to be hard to guess: whoever stores the encrypted actions can
    /// try billions of texts. A generated one is better than a password that a person has thought
    /// of.
    pub fn from_secret(secret: &str) -> Self {
        Self::from_key(Sha256::digest(secret).into())
    }

    /// Creates the encryption with a key, as for a `CryptoKey` in `encryptActions`.
    pub fn from_key(key: [u8; 32]) -> Self {
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(key));
        Self { cipher: Arc::new(cipher), plain_types: BTreeSet::new() }
    }

    /// Leaves the actions of these types as they are, because the server has to read them, such as
    /// those of documents and records that it keeps. Default: none.
    ///
    /// `0/clean` and `logux/*` are never encrypted, except a `logux/undo` of an encrypted action.
    #[must_use]
    pub fn plain<T: Into<Arc<str>>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.plain_types.extend(types.into_iter().map(Into::into));
        self
    }

    /// Returns the configuration of the state machine.
    pub(crate) fn config(&self) -> EncryptionConfig {
        EncryptionConfig { plain_types: self.plain_types.clone(), ..EncryptionConfig::default() }
    }

    /// Encrypts an own action.
    pub(crate) fn encrypt(&self, request: &EncryptRequest) -> Result<EncryptedAction, CipherError> {
        let mut padding = [0; PADDING_BYTES];
        let mut iv = [0; IV_BYTES];
        getrandom::fill(&mut padding).map_err(|_| CipherError::Unavailable)?;
        getrandom::fill(&mut iv).map_err(|_| CipherError::Unavailable)?;
        self.encrypt_text(&request.plaintext(&padding), iv)
    }

    pub(crate) fn encrypt_text(
        &self,
        text: &[u8],
        iv: [u8; IV_BYTES],
    ) -> Result<EncryptedAction, CipherError> {
        let compressed = (text.len() > COMPRESS_ABOVE).then(|| compress_to_vec(text, COMPRESSION));
        let plaintext = compressed.as_deref().unwrap_or(text);
        let data = self.cipher.encrypt(&Nonce::<U12>::from(iv), plaintext);
        // The largest plaintext of AES-GCM has 64 GiB.
        let data = data.map_err(|_| CipherError::Unavailable)?;
        Ok(EncryptedAction { iv, data, is_compressed: compressed.is_some() })
    }

    /// Decrypts a received action.
    pub(crate) fn decrypt(&self, request: &DecryptRequest) -> Result<Vec<u8>, CipherError> {
        self.decrypt_text(&request.encrypted, request.max_bytes)
    }

    pub(crate) fn decrypt_text(
        &self,
        encrypted: &EncryptedAction,
        max_bytes: usize,
    ) -> Result<Vec<u8>, CipherError> {
        let plaintext = self
            .cipher
            .decrypt(&Nonce::<U12>::from(encrypted.iv), &*encrypted.data)
            .map_err(|_| CipherError::Authentication)?;
        if !encrypted.is_compressed {
            return Ok(plaintext);
        }
        decompress_to_vec_with_limit(&plaintext, max_bytes).map_err(|error| match error.status {
            TINFLStatus::HasMoreOutput => CipherError::TooLarge(max_bytes),
            _ => CipherError::Compression,
        })
    }
}

#[cfg(test)]
mod tests {
    use logux::Action;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::encryption_fuzz::decrypt;

    const LIMIT: usize = 100_000;

    /// Actions that `encryptActions` of `@logux/client` has encrypted, by
    /// `tests/interop/encryption-vectors.mjs`.
    #[test]
    fn actions_of_the_reference_are_decrypted() {
        let vectors: Value =
            serde_json::from_str(include_str!("../tests/encryption_vectors.json")).unwrap();
        let vectors = vectors.as_array().unwrap();
        assert!(vectors.len() >= 10);
        for vector in vectors {
            let encryption = encryption_of(vector);
            let action = Action::try_from(&vector["encrypted"]).unwrap();
            let encrypted = EncryptedAction::from_action(&action).unwrap();
            let text = encryption.decrypt_text(&encrypted, LIMIT).unwrap();
            let text = String::from_utf8(text).unwrap();
            let json = vector["json"].as_str().unwrap();
            let spaces = text.strip_prefix(json).unwrap();
            assert!(spaces.len() < 32 && spaces.trim().is_empty(), "{text:?}");
            assert_eq!(encrypted.is_compressed, text.len() > COMPRESS_ABOVE, "{json}");

            // The JSON is the same, in its order of keys.
            assert_eq!(encrypted.to_action().as_json(), vector["encrypted"].to_string());
            // Without compression, so are all bytes.
            let again = encryption.encrypt_text(text.as_bytes(), encrypted.iv).unwrap();
            if !encrypted.is_compressed {
                assert_eq!(again, encrypted);
            }
            assert_eq!(encryption.decrypt_text(&again, LIMIT).unwrap(), text.as_bytes());
        }
    }

    fn encryption_of(vector: &Value) -> Encryption {
        match (vector["secret"].as_str(), vector["key"].as_array()) {
            (Some(secret), _) => Encryption::from(secret),
            (None, Some(key)) => {
                let key = key.iter().map(|byte| u8::try_from(byte.as_u64().unwrap()).unwrap());
                Encryption::from_key(key.collect::<Vec<_>>().try_into().unwrap())
            }
            (None, None) => panic!("a vector without a secret"),
        }
    }

    #[test]
    fn changed_data_and_other_secrets_are_refused() {
        let encryption = Encryption::from("a");
        let encrypted = encryption.encrypt_text(&[b'x'; 200], [1; 12]).unwrap();
        let decrypt = |encrypted: &EncryptedAction| encryption.decrypt_text(encrypted, LIMIT);
        assert!(decrypt(&encrypted).is_ok());
        let other_iv = EncryptedAction { iv: [2; 12], ..encrypted.clone() };
        assert_eq!(decrypt(&other_iv), Err(CipherError::Authentication));
        for position in 0..encrypted.data.len() {
            let mut changed = encrypted.clone();
            changed.data[position] ^= 1;
            assert_eq!(decrypt(&changed), Err(CipherError::Authentication));
            changed.data.truncate(position);
            assert_eq!(decrypt(&changed), Err(CipherError::Authentication));
        }
        let other = Encryption::from("b").decrypt_text(&encrypted, LIMIT);
        assert_eq!(other, Err(CipherError::Authentication));
    }

    /// Only who has the secret can send these.
    #[test]
    fn wrong_and_huge_deflate_is_refused() {
        let encryption = Encryption::from("a");
        let seal = |plaintext: &[u8]| {
            let data = encryption.cipher.encrypt(&Nonce::<U12>::from([1; 12]), plaintext).unwrap();
            EncryptedAction { iv: [1; 12], data, is_compressed: true }
        };
        let bomb = seal(&compress_to_vec(&vec![b' '; 100 * LIMIT], 9));
        assert!(bomb.data.len() < LIMIT / 2, "{}", bomb.data.len());
        assert_eq!(encryption.decrypt_text(&bomb, LIMIT), Err(CipherError::TooLarge(LIMIT)));
        let whole = compress_to_vec(&[b'a'; 1_000], 6);
        for plaintext in [&[][..], &[0xff; 50], b"{\"type\":\"a\"}", &whole[..whole.len() - 1]] {
            let result = encryption.decrypt_text(&seal(plaintext), LIMIT);
            assert_eq!(result, Err(CipherError::Compression), "{plaintext:?}");
        }
        assert_eq!(encryption.decrypt_text(&seal(&whole), 1_000).unwrap(), [b'a'; 1_000]);
        assert_eq!(encryption.decrypt_text(&seal(&whole), 999), Err(CipherError::TooLarge(999)));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let encryption = Encryption::from_secret("of us all").plain(["public/say"]);
        assert_eq!(format!("{encryption:?}"), r#"Encryption { plain_types: {"public/say"}, .. }"#);
    }

    proptest! {
        #[test]
        fn any_data_are_decrypted_or_refused(data: Vec<u8>) {
            decrypt(&data);
            decrypt(&compress_to_vec(&data.repeat(20), 6));
        }

        #[test]
        fn what_is_encrypted_is_decrypted(text in "\\PC{0,300}", iv: [u8; 12], key: [u8; 32]) {
            let encryption = Encryption::from_key(key);
            let json = json!({"type": "say", "text": text}).to_string();
            let encrypted = encryption.encrypt_text(json.as_bytes(), iv).unwrap();
            let sent = encrypted.to_action();
            prop_assert!(text.len() < 5 || !sent.as_json().contains(&text));
            let received = EncryptedAction::from_action(&sent).unwrap();
            prop_assert_eq!(&received, &encrypted);
            prop_assert_eq!(encryption.decrypt_text(&received, LIMIT).unwrap(), json.as_bytes());
        }
    }
}
