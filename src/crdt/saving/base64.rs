//! The form of a state in JSON: a string, its saved form in Base64 (RFC 4648, with padding).

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

use crate::crdt::crdt::Crdt;

/// Serializes a state.
pub(in crate::crdt) fn serialize<C: Crdt, S: Serializer>(
    state: &C,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(state.save_deflated()))
}

/// Deserializes a state.
pub(in crate::crdt) fn deserialize<'de, C: Crdt, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<C, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let bytes = STANDARD.decode(&*text).map_err(D::Error::custom)?;
    C::load(&bytes).map_err(D::Error::custom)
}

/// Implements `Serialize` and `Deserialize` of states.
macro_rules! impl_serde {
    ($($state:ty),+ $(,)?) => {$(
        impl serde::Serialize for $state {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::crdt::saving::base64::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $state {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::crdt::saving::base64::deserialize(deserializer)
            }
        }
    )+};
}

pub(in crate::crdt) use impl_serde;
