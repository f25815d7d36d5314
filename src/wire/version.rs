//! What differs between the versions of the protocol, in one place.

use crate::action::Subprotocol;

/// A version of the protocol that this library speaks: 3, 4 or 5.
///
/// All messages have the same shape in these versions. Protocol 5 made the application's own version a number; before it was a
/// SemVer text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocol(u8);

impl Protocol {
    /// The oldest version that is spoken: 3.
    pub const OLDEST: Self = Self(3);
    /// The newest version that is spoken: 5.
    pub const NEWEST: Self = Self(5);

    /// The version to speak with a node that offers `offered`: the newest that both know. `None` if it is too old.
    pub fn spoken_with(offered: u32) -> Option<Self> {
        let newest = u32::from(Self::NEWEST.0);
        let spoken = Self(u8::try_from(offered.min(newest)).ok()?);
        (spoken >= Self::OLDEST).then_some(spoken)
    }

    /// The number of the version.
    pub fn number(self) -> u32 {
        self.0.into()
    }

    /// Whether the application's protocol version is a number; a SemVer text otherwise.
    pub const fn numbers_subprotocol(self) -> bool {
        self.0 >= 5
    }

    /// The application's protocol version of a node that does not tell it: `0` or `"0.0.0"`.
    pub fn missing_subprotocol(self) -> Subprotocol {
        if self.numbers_subprotocol() {
            Subprotocol::Number(0)
        } else {
            Subprotocol::SemVer("0.0.0".into())
        }
    }
}
