//! The operations on a text.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use super::MAX_INSERTION;
use crate::{
    action::NodeId,
    crdt::{
        crdt::{MissingField, required},
        element::{ElementRef, MAX_COUNTER, check_origins},
    },
    json::Json,
    replay::Malformed,
};

/// An operation on a [`Text`](super::Text). Made by the text's methods that end in `_op` or `_ops`.
///
/// - `{"op":"insert","first":7,"text":"abc","after":6,"before":"@20:c:d 4"}`: the characters get
///   the counters 7, 8 and 9 of the author; `after` and `before` are the characters beside them,
///   also removed ones, and absent at the start and the end
/// - `{"op":"remove","elements":[[7,2],["@20:c:d 4",1]]}`: first characters and their numbers, in
///   ranges that do not overlap
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", try_from = "OpFields")]
pub enum TextOp {
    /// Inserts characters.
    Insert {
        /// The author's number of elements that it had inserted into the document before.
        first: u32,
        /// The characters.
        text: Arc<str>,
        /// The character before them. `None` at the start.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<ElementRef>,
        /// The character after them. `None` at the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<ElementRef>,
    },
    /// Removes characters.
    Remove {
        /// The characters.
        elements: Vec<ElementRange>,
    },
}

/// Elements of one node with consecutive counters. In JSON, `[first, len]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(ElementRef, u32)", into = "(ElementRef, u32)")]
pub struct ElementRange {
    /// The first element.
    pub first: ElementRef,
    /// The number of elements.
    pub len: u32,
}

impl ElementRange {
    /// Returns the node, which is `None` for the author, the first counter and the length.
    const fn parts(&self) -> (Option<&NodeId>, u32, u32) {
        match &self.first {
            ElementRef::Own(counter) => (None, *counter, self.len),
            ElementRef::Of(id) => (Some(id.node()), id.counter(), self.len),
        }
    }
}

impl From<(ElementRef, u32)> for ElementRange {
    fn from((first, len): (ElementRef, u32)) -> Self {
        Self { first, len }
    }
}

impl From<ElementRange> for (ElementRef, u32) {
    fn from(range: ElementRange) -> Self {
        (range.first, range.len)
    }
}

/// The maximum number of ranges of elements that an operation removes.
pub(super) const MAX_RANGES: usize = 100_000;

impl TextOp {
    /// Checks what depends on the operation alone.
    pub(in crate::crdt) fn check(&self) -> Result<(), Malformed> {
        match self {
            Self::Insert { first, text, after, before } => {
                if text.is_empty() || text.len() > MAX_INSERTION {
                    return Err(Malformed::new(format!(
                        "expected a text of 1 to {MAX_INSERTION} bytes, got {} bytes",
                        text.len()
                    )));
                }
                check_origins(*first, super::scalars(text), [after, before])
            }
            Self::Remove { elements } => check_ranges(elements),
        }
    }
}

fn check_ranges(elements: &[ElementRange]) -> Result<(), Malformed> {
    if elements.len() > MAX_RANGES {
        return Err(Malformed::new(format!(
            "expected at most {MAX_RANGES} ranges of elements, got {}",
            elements.len()
        )));
    }
    for ElementRange { first, len } in elements {
        let (ElementRef::Own(counter), len) = (first, *len) else { continue };
        check_range(*counter, len)?;
    }
    for ElementRange { first, len } in elements {
        if let ElementRef::Of(id) = first {
            check_range(id.counter(), *len)?;
        }
    }
    check_overlaps(elements)
}

/// Checks that no element is in two ranges: a short operation could take long otherwise.
fn check_overlaps(elements: &[ElementRange]) -> Result<(), Malformed> {
    if elements.len() < 2 {
        return Ok(());
    }
    let mut sorted: Vec<_> = elements.iter().map(ElementRange::parts).collect();
    sorted.sort_unstable();
    let pairs = sorted.iter().zip(&sorted[1..]);
    for ((node, first, len), (next_node, next, _)) in pairs {
        if node == next_node && next - first < *len {
            return Err(Malformed::new(format!(
                "expected ranges of elements that do not overlap, got element {next} twice"
            )));
        }
    }
    Ok(())
}

fn check_range(first: u32, len: u32) -> Result<(), Malformed> {
    if len > 0 && first <= MAX_COUNTER && len <= MAX_COUNTER - first {
        return Ok(());
    }
    Err(Malformed::new(format!(
        "expected at least one element, with counters up to {MAX_COUNTER}, \
         got {len} from {first} on"
    )))
}

/// The fields of all [`TextOp`]s.
#[derive(Deserialize)]
struct OpFields {
    op: OpName,
    first: Option<u32>,
    text: Option<Json>,
    after: Option<ElementRef>,
    before: Option<ElementRef>,
    elements: Option<Vec<ElementRange>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum OpName {
    Insert,
    Remove,
}

impl TryFrom<OpFields> for TextOp {
    type Error = MissingField;

    fn try_from(fields: OpFields) -> Result<Self, MissingField> {
        Ok(match fields.op {
            OpName::Insert => Self::Insert {
                first: required("first", fields.first)?,
                text: required("text", fields.text.as_ref().and_then(well_formed))?,
                after: fields.after,
                before: fields.before,
            },
            OpName::Remove => Self::Remove { elements: required("elements", fields.elements)? },
        })
    }
}

/// Reads a string, with U+FFFD in place of each lone surrogate. `None` if the value is no string.
pub(in crate::crdt) fn well_formed(json: &Json) -> Option<Arc<str>> {
    let raw = json.as_str();
    if !raw.starts_with('"') {
        return None;
    }
    if let Some(text) = crate::json::decode(raw) {
        return Some(match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        });
    }
    let mut fixed = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let unit = |at: usize| {
            let digits = rest.get(at..)?.strip_prefix("\\u")?.get(..4)?;
            u16::from_str_radix(digits, 16).ok()
        };
        let (escape, is_lone) = match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, false),
            (Some(0xD800..=0xDFFF), _) => (6, true),
            (Some(_), _) => (6, false),
            (None, _) => (2, false),
        };
        fixed.push_str(&rest[..at]);
        fixed.push_str(if is_lone { "\u{FFFD}" } else { &rest[at..at + escape] });
        rest = &rest[at + escape..];
    }
    fixed.push_str(rest);
    crate::json::decode(&fixed).map(|text| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        for (json, text) in [
            (r#""a\ud83e\udd80b""#, "a🦀b"),
            (r#""a\ud83eb""#, "a\u{FFFD}b"),
            (r#""\udd80\ud83e""#, "\u{FFFD}\u{FFFD}"),
            (r#""\\ud83e\n\ud83e\ud83e\udd80""#, "\\ud83e\n\u{FFFD}🦀"),
        ] {
            assert_eq!(well_formed(&Json::new(json).unwrap()).as_deref(), Some(text), "{json}");
        }
        assert_eq!(well_formed(&Json::new("1").unwrap()), None);
    }

    #[test]
    fn operations_are_checked() {
        for json in [
            r#"{"op":"insert","first":0,"text":""}"#,
            r#"{"op":"insert","first":4294967294,"text":"a"}"#,
            r#"{"op":"insert","first":3,"text":"a","after":3}"#,
            r#"{"op":"insert","first":3,"text":"a","before":4}"#,
            r#"{"op":"remove","elements":[[4294967290,10]]}"#,
            r#"{"op":"remove","elements":[["@10:a:b 4294967290",10]]}"#,
            r#"{"op":"remove","elements":[[1,0]]}"#,
        ] {
            let op: TextOp = serde_json::from_str(json).unwrap();
            assert!(op.check().is_err(), "{json}");
        }
        for json in [
            r#"{"op":"insert","text":"a"}"#,
            r#"{"op":"insert","first":0}"#,
            r#"{"op":"insert","first":-1,"text":"a"}"#,
            r#"{"op":"insert","first":1,"text":1}"#,
            r#"{"op":"remove"}"#,
        ] {
            assert!(serde_json::from_str::<TextOp>(json).is_err(), "{json}");
        }
    }
}
