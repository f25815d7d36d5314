//! Actions that are encrypted on the device, as `encryptActions` of `@logux/client` does it: the
//! server relays them between the devices of a user, and cannot read them.
//!
//! The log of the device has the actions themselves. What leaves it is
//! `{"type":"0","d":…,"iv":…,"z":…}`: AES-256-GCM over the JSON of the action and some white space.
//! The cryptography is up to the driver, because a browser answers later: [`Output::Encrypt`] and
//! [`Output::Decrypt`] are requests, [`Input::Encrypted`] and [`Input::Decrypted`] the responses.
//! Actions keep their order meanwhile, and received ones are not confirmed before they are
//! decrypted and in the store.
//!
//! Read [`EncryptionConfig`], then [`EncryptedAction`], the format, and the errors. `queue.rs`
//! keeps the order, `exchange.rs` is the client's part.
//!
//! [`Output::Encrypt`]: super::Output::Encrypt
//! [`Output::Decrypt`]: super::Output::Decrypt
//! [`Input::Encrypted`]: super::Input::Encrypted
//! [`Input::Decrypted`]: super::Input::Decrypted

mod config;
mod encrypted_action;
mod error;
mod exchange;
mod queue;

pub use config::EncryptionConfig;
pub use encrypted_action::{
    COMPRESS_ABOVE, DecryptRequest, EncryptRequest, EncryptedAction, IV_BYTES, PADDING_BYTES,
};
pub use error::{CipherError, EncryptionError};
pub(super) use exchange::Encryption;
pub use queue::CipherToken;
