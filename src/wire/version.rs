//! The differences between the versions of the protocol.

use crate::action::Subprotocol;

/// A supported version of the protocol: 3, 4 or 5.
///
/// All messages have the same shape in these versions. The subprotocol is a number in protocol 5
/// and a SemVer string in earlier versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protocol(u8);

impl Protocol {
    /// The oldest supported version: 3.
    pub const OLDEST: Self = Self(3);
    /// The newest supported version: 5.
    pub const NEWEST: Self = Self(5);

    /// Returns the version to use with a node that supports versions up to `offered`: the newest
    /// one that both nodes support. `None` if `offered` is too old.
    pub fn negotiate(offered: u32) -> Option<Self> {
        let newest = u32::from(Self::NEWEST.0);
        let version = Self(u8::try_from(offered.min(newest)).ok()?);
        (version >= Self::OLDEST).then_some(version)
    }

    /// Returns the number of the version.
    pub fn number(self) -> u32 {
        self.0.into()
    }

    /// Returns `true` if the subprotocol is a number, `false` if it is a SemVer string.
    pub const fn has_numeric_subprotocol(self) -> bool {
        self.0 >= 5
    }

    /// Returns the subprotocol of a node that does not send one: `0` or `"0.0.0"`.
    pub fn missing_subprotocol(self) -> Subprotocol {
        if self.has_numeric_subprotocol() {
            Subprotocol::Number(0)
        } else {
            Subprotocol::SemVer("0.0.0".into())
        }
    }
}
