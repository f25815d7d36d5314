//! The meta of an action.

use core::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{ActionId, Stamp, stamp};
use crate::{
    json::{JsonObject, write_integer, write_string},
    time::WallTime,
};

/// A short list of names: reasons or indexes. Up to two names need no allocation for the list.
pub type NameList = SmallVec<[Arc<str>; 2]>;

/// What a node knows about an action besides its content: id, time, reasons, indexes, subprotocol,
/// and additional keys of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The id of the action.
    pub id: ActionId,
    /// The corrected creation time: the difference between the clocks of two nodes is corrected
    /// when they exchange actions.
    pub time: WallTime,
    /// The number that the store of this node gave to the entry, in the order of arrival. `None` if
    /// the action is not in a store.
    pub added: Option<u64>,
    /// The subprotocol version of the node that created the action.
    pub subprotocol: Option<Subprotocol>,
    /// The strings for which the log keeps the action. An action without reasons is removed.
    pub reasons: NameList,
    /// The strings under which the action can be found.
    pub indexes: NameList,
    /// A reason that only the latest action keeps: adding this action removes the reason from
    /// earlier ones.
    pub keep_last: Option<Arc<str>>,
    /// All other keys.
    pub extra: JsonObject,
}

impl Meta {
    /// Creates the meta of the action `id`, with the time of the id and without reasons.
    pub fn new(id: ActionId) -> Self {
        Self {
            time: id.time(),
            id,
            added: None,
            subprotocol: None,
            reasons: NameList::new(),
            indexes: NameList::new(),
            keep_last: None,
            extra: JsonObject::default(),
        }
    }

    /// Returns the position of the action in the total order.
    pub fn stamp(&self) -> Stamp {
        Stamp::new(self.time, self.id.clone())
    }

    /// Compares the [`stamp`](Self::stamp)s of two actions without creating them.
    pub fn cmp_stamp(&self, other: &Self) -> Ordering {
        stamp::cmp((self.time, &self.id), (other.time, &other.id))
    }

    /// Adds a reason to keep the action, unless it has this reason.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<Arc<str>>) -> Self {
        push_once(&mut self.reasons, reason.into());
        self
    }

    /// Adds an index, unless the action has it.
    #[must_use]
    pub fn with_index(mut self, index: impl Into<Arc<str>>) -> Self {
        push_once(&mut self.indexes, index.into());
        self
    }

    /// Sets the corrected creation time.
    #[must_use]
    pub fn with_time(mut self, time: WallTime) -> Self {
        self.time = time;
        self
    }
}

/// Adds a name, unless the list contains it.
pub(crate) fn push_once(names: &mut NameList, name: Arc<str>) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// The version of the application's own protocol: a number since protocol 5, a SemVer string in
/// protocols 3 and 4.
///
/// In JSON: `3` or `"1.2.0"`. A missing version means `0` or `"0.0.0"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subprotocol {
    /// A version in protocol 5.
    Number(u32),
    /// A version in protocol 5 that is another number, such as `1.5`.
    Fraction(Fraction),
    /// A version in protocols 3 and 4.
    SemVer(Arc<str>),
}

/// A finite number that is not a `u32`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fraction(f64);

impl Fraction {
    /// Returns the number.
    pub const fn value(self) -> f64 {
        self.0
    }
}

// A finite number equals itself.
impl Eq for Fraction {}

impl Hash for Fraction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Zero, the only number with two representations, is a `u32`.
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Unlike `Display`, with an exponent for large and small numbers.
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::Fraction(number) => fmt::Display::fmt(number, f),
            Self::SemVer(text) => f.write_str(text),
        }
    }
}

impl Subprotocol {
    /// Returns the version that is a number. `None` if the number is not finite.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        reason = "the result is compared with the number"
    )]
    pub fn from_number(number: f64) -> Option<Self> {
        let integer = number as u32;
        if f64::from(integer) == number {
            return Some(Self::Number(integer));
        }
        number.is_finite().then_some(Self::Fraction(Fraction(number)))
    }

    /// Returns the version as SemVer: `N.0.0` for the number `N`, `1.5.0` for `1.5`, and `0.0.0`
    /// for a number that is neither.
    pub fn to_semver(&self) -> Arc<str> {
        match self {
            Self::Number(number) => format!("{number}.0.0").into(),
            Self::SemVer(text) => text.clone(),
            Self::Fraction(number) => {
                let text = number.to_string();
                let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                if is_plain { format!("{text}.0").into() } else { "0.0.0".into() }
            }
        }
    }

    /// Appends the version as JSON.
    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Self::Number(number) => write_integer(out, *number),
            Self::Fraction(number) => out.push_str(&number.to_string()),
            Self::SemVer(text) => write_string(out, text),
        }
    }
}
