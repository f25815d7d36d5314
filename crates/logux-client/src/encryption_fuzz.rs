//! A property of the encryption for any input: the body of the fuzz target `decrypt`, which
//! includes this file and `encryption.rs`.

use aes_gcm::{
    Aes256Gcm, Key, KeyInit, Nonce,
    aead::{Aead, consts::U12},
};
use logux::client::{CipherError, EncryptedAction};

use super::encryption::Encryption;

/// The limit of a decrypted action, in bytes. Small, so that inputs reach it.
const LIMIT: usize = 1_000;

/// Checks that data are decrypted unchanged, if they were encrypted with the key only, and that
/// compressed data never become larger than the limit.
///
/// # Panics
/// If the property does not hold.
pub(crate) fn decrypt(data: &[u8]) {
    let (key, iv) = ([7; 32], [1; 12]);
    let encryption = Encryption::from_key(key);
    for is_compressed in [false, true] {
        let foreign = EncryptedAction { iv, data: data.to_vec(), is_compressed };
        assert_eq!(encryption.decrypt_text(&foreign, LIMIT), Err(CipherError::Authentication));

        // Another device with the key can send anything.
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(key));
        let sealed = cipher.encrypt(&Nonce::<U12>::from(iv), data).expect("a small plaintext");
        let sealed = EncryptedAction { iv, data: sealed, is_compressed };
        match encryption.decrypt_text(&sealed, LIMIT) {
            Ok(plaintext) if is_compressed => assert!(plaintext.len() <= LIMIT),
            Ok(plaintext) => assert_eq!(plaintext, data),
            Err(CipherError::TooLarge(LIMIT) | CipherError::Compression) => assert!(is_compressed),
            Err(error) => panic!("{error}"),
        }
    }
    let encrypted = encryption.encrypt_text(data, iv).expect("a small plaintext");
    assert_eq!(encryption.decrypt_text(&encrypted, data.len()).expect("own data"), data);
}
