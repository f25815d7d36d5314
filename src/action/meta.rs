//! What a node knows about an action besides what happened.

use core::{cmp::Ordering, fmt};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{ActionId, Stamp, stamp};
use crate::{
    json::{JsonObject, write_count, write_string},
    time::WallTime,
};

/// A short list of names: reasons or indexes. Two names need no allocation for the list.
pub type NameList = SmallVec<[Arc<str>; 2]>;

/// What a node knows about an action: its id and place in the order, why it is kept, and anything else under keys of your own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The id of the action.
    pub id: ActionId,
    /// When the action was created, as this node estimates it: clock differences are corrected when actions are exchanged.
    pub time: WallTime,
    /// The place in the order in which this node's store got its entries; `None` while it is not in a store.
    pub added: Option<u64>,
    /// The version of the application's own protocol that the creator spoke.
    pub subprotocol: Option<Subprotocol>,
    /// Why the log keeps the action. Without a reason it is not kept.
    pub reasons: NameList,
    /// By what the action can be found besides its place in the order.
    pub indexes: NameList,
    /// A reason that only the latest action may have: adding this one takes it from older ones.
    pub keep_last: Option<Arc<str>>,
    /// Anything else, under its JSON key.
    pub extra: JsonObject,
}

impl Meta {
    /// The meta of the action `id`, created when the id says, without reasons.
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

    /// The action's place in the order.
    pub fn stamp(&self) -> Stamp {
        Stamp::new(self.time, self.id.clone())
    }

    /// Compares the [`stamp`](Self::stamp)s of two actions.
    pub fn cmp_stamp(&self, other: &Self) -> Ordering {
        stamp::cmp((self.time, &self.id), (other.time, &other.id))
    }

    /// Adds a reason to keep the action, once.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<Arc<str>>) -> Self {
        push_once(&mut self.reasons, reason.into());
        self
    }

    /// Adds an index, once.
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

pub(crate) fn push_once(names: &mut NameList, name: Arc<str>) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// The version of the application's own protocol: a number since protocol 5, a SemVer text in protocols 3 and 4.
///
/// In JSON: `3` or `"1.2.0"`. A missing one is `0`, or `"0.0.0"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Subprotocol {
    /// Of protocol 5.
    Number(u32),
    /// Of protocols 3 and 4.
    SemVer(Arc<str>),
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::SemVer(text) => f.write_str(text),
        }
    }
}

impl Subprotocol {
    /// Writes it as JSON.
    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Self::Number(number) => write_count(out, (*number).into()),
            Self::SemVer(text) => write_string(out, text),
        }
    }
}
