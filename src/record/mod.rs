//! Records with fields of which the latest write wins, as databases keep them.
//!
//! The types that `logux-sqlite` and `logux-postgres` share, and the rules that both have to follow to the letter.

pub mod matching;

use std::sync::Arc;

use crate::{
    action::Stamp,
    json::{Json, JsonObject},
    time::WallTime,
};

/// What a creation or change came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The fields that it set, with their values: what to tell the others. Empty if later writes had set all of them, or a later
    /// deletion is known.
    pub won: JsonObject,
    /// Whether the record was there before.
    pub existed: bool,
    /// Whether the record is there now; not so when a later deletion is known.
    pub exists: bool,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id within the collection.
    pub id: Arc<str>,
    /// Its fields, by key; only the later ones where that was asked for.
    pub fields: Vec<Field>,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its key.
    pub key: Arc<str>,
    /// Its value, as it was written to the letter.
    pub value: Json,
    /// When it was written, and by which action.
    pub stamp: Stamp,
    /// When the write arrived here, by this node's clock.
    pub arrived: WallTime,
}

/// When a write was made, and when it arrived here.
///
/// The first decides what wins. The second decides what a device that was away has to be told: a write that was made offline arrives
/// late, behind many that are later. From a [`Stamp`] alone, it arrived when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The place of the writing action in the order of all.
    pub stamp: &'a Stamp,
    /// By the clock of this node.
    pub arrived: WallTime,
}

impl Write<'_> {
    /// When it was made, by corrected time.
    pub const fn time(&self) -> WallTime {
        self.stamp.time()
    }
}

impl<'a> From<&'a Stamp> for Write<'a> {
    fn from(stamp: &'a Stamp) -> Self {
        Self { stamp, arrived: stamp.time() }
    }
}

/// The place at which a write of `fields` is made in a record with the fields `known`, so that no two writes of a field have one time.
///
/// The official clients break a tie by the id of what the server sends, which is another one at each of them. So of two writes of a field within
/// one millisecond, the one that comes second is moved behind the first, and its author has to be told so. A write that comes again, after a
/// crash in the middle, keeps the place that it got. O(known · fields).
///
/// ```
/// use logux::{Stamp, WallTime, json::JsonObject, record::{Field, place}};
///
/// let stamp = |text: &str| Stamp::new(WallTime::from_millis(5), text.parse().unwrap());
/// let fields = JsonObject::from_json(r#"{"title":"Tea"}"#)?;
/// let value = fields.get("title").unwrap().clone();
/// let known = [Field { key: "title".into(), value, stamp: stamp("5 a 0"), arrived: WallTime::from_millis(9) }];
/// assert_eq!(place(&known, &fields, &stamp("5 b 0")).time(), WallTime::from_millis(6));
/// assert_eq!(place(&known, &fields, &stamp("5 a 0")).time(), WallTime::from_millis(5));
/// # Ok::<(), logux::json::JsonError>(())
/// ```
pub fn place(known: &[Field], fields: &JsonObject, stamp: &Stamp) -> Stamp {
    let written = || known.iter().filter(|field| fields.get(&field.key).is_some());
    if let Some(again) = written().find(|field| field.stamp.id() == stamp.id()) {
        return again.stamp.clone();
    }
    let mut time = stamp.time();
    while written().any(|field| field.stamp.time() == time) && time < WallTime::MAX {
        time = time.shifted(1);
    }
    Stamp::new(time, stamp.id().clone())
}
