//! Operations on values that are written as a whole.

use serde_json::Value;

use super::{
    json_ops::{Translated, check_range},
    read::index,
};
use crate::crdt::{
    json_op::{JsonOp, JsonOpFault},
    path::Path,
};

/// Returns what an operation expects at its path.
pub(super) const fn expected(op: &JsonOp) -> &'static str {
    match op {
        JsonOp::Set { .. } | JsonOp::Delete { .. } => "a value",
        JsonOp::Increment { .. } => "a whole number",
        JsonOp::Insert { .. } | JsonOp::Remove { .. } | JsonOp::Move { .. } => "a list",
        JsonOp::Add { .. } | JsonOp::Discard { .. } => "a set of strings",
        JsonOp::InsertText { .. } | JsonOp::RemoveText { .. } => "a text",
        JsonOp::CreateNode { .. } | JsonOp::MoveNode { .. } => "a tree",
    }
}

/// Changes what is at keys of a value.
pub(super) fn edit_at(value: &mut Value, keys: &[String], op: &JsonOp) -> Translated {
    let missing = || JsonOpFault::Missing(op.path().clone());
    let Some((key, rest)) = keys.split_first() else {
        return edit(Some(value), op).map_err(|fault| fault.at(op.path()));
    };
    match value {
        Value::Array(items) => {
            let index = index(key).filter(|index| *index < items.len()).ok_or_else(missing)?;
            match op {
                JsonOp::Delete { .. } if rest.is_empty() => {
                    items.remove(index);
                    Ok(())
                }
                _ => edit_at(&mut items[index], rest, op),
            }
        }
        Value::Object(fields) if rest.is_empty() => match op {
            JsonOp::Delete { .. } => {
                fields.remove(key);
                Ok(())
            }
            _ => edit_at(fields.entry(key.clone()).or_insert(Value::Null), rest, op),
        },
        Value::Object(fields) => edit_at(fields.get_mut(key).ok_or_else(missing)?, rest, op),
        _ => Err(missing()),
    }
}

/// Changes a value. `None` is nothing, of which nothing can be removed.
pub(super) fn edit(value: Option<&mut Value>, op: &JsonOp) -> Translated {
    let mismatch =
        || Err(JsonOpFault::Mismatch { path: op.path().clone(), expected: expected(op) });
    let Some(value) = value else {
        return if matches!(op, JsonOp::Discard { .. }) { Ok(()) } else { mismatch() };
    };
    let is_discard = matches!(op, JsonOp::Discard { .. });
    match (op, &mut *value) {
        (JsonOp::Set { value: new, .. }, _) => *value = new.to_value(),
        (JsonOp::Delete { .. }, _) => *value = Value::Null,
        (JsonOp::Increment { by, .. }, _) => {
            let number = if value.is_null() { Some(0) } else { value.as_i64() };
            let Some(number) = number else { return mismatch() };
            *value = number.wrapping_add(*by).into();
        }
        (JsonOp::Insert { .. } | JsonOp::Add { .. }, Value::Null) => {
            *value = Value::Array(Vec::new());
            return edit(Some(value), op);
        }
        (JsonOp::Insert { at, values, .. }, Value::Array(items)) => {
            let at = at.unwrap_or(items.len());
            check_range(at, 0, items.len())?;
            items.splice(at..at, values.iter().map(crate::json::Json::to_value));
        }
        (JsonOp::Remove { at, count, .. }, Value::Array(items)) => {
            check_range(*at, *count, items.len())?;
            items.drain(*at..at + count);
        }
        (JsonOp::Move { from, to, .. }, Value::Array(items)) => {
            let max = items.len().saturating_sub(1);
            for (field, index) in [("from", *from), ("to", *to)] {
                if index >= items.len() {
                    return Err(JsonOpFault::OutOfBounds { field, max });
                }
            }
            let item = items.remove(*from);
            items.insert(*to, item);
        }
        (JsonOp::Add { element, .. } | JsonOp::Discard { element, .. }, Value::Array(items)) => {
            if !items.iter().all(Value::is_string) {
                return mismatch();
            }
            let known = items.iter().position(|item| item.as_str() == Some(element));
            match known {
                Some(at) if is_discard => drop(items.remove(at)),
                None if !is_discard => items.push(element.to_string().into()),
                _ => {}
            }
        }
        (JsonOp::InsertText { at, text, .. }, Value::Null) => {
            let mut own = String::new();
            insert_text(&mut own, *at, text)?;
            *value = own.into();
        }
        (JsonOp::InsertText { at, text, .. }, Value::String(own)) => insert_text(own, *at, text)?,
        (JsonOp::RemoveText { at, count, .. }, Value::String(own)) => {
            check_range(*at, *count, own.encode_utf16().count())?;
            let range = byte_index(own, *at)..byte_index(own, at + count);
            own.replace_range(range, "");
        }
        (JsonOp::Discard { .. }, Value::Null) => {}
        _ => return mismatch(),
    }
    Ok(())
}

/// Inserts characters at an index in UTF-16 code units. `None`: at the end.
pub(super) fn insert_text(text: &mut String, at: Option<usize>, inserted: &str) -> Translated {
    let len = text.encode_utf16().count();
    let at = at.unwrap_or(len);
    check_range(at, 0, len)?;
    text.insert_str(byte_index(text, at), inserted);
    Ok(())
}

/// Returns the index in bytes of an index in UTF-16 code units: before a character of which the
/// index is the second half.
fn byte_index(text: &str, index: usize) -> usize {
    let mut units = 0;
    for (at, scalar) in text.char_indices() {
        units += scalar.len_utf16();
        if units > index {
            return at;
        }
    }
    text.len()
}

impl JsonOpFault {
    /// Adds the path at which something else is.
    pub(super) fn at(self, at: &Path) -> Self {
        match self {
            Self::Mismatch { expected, .. } => Self::Mismatch { path: at.clone(), expected },
            other => other,
        }
    }
}
