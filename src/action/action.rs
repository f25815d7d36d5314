//! An action: a JSON object with a `type`.

use core::fmt;
use std::{borrow::Cow, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::json::{Cursor, JsonError, decode, has_escapes, key_is, member, parse_checked};

/// A JSON object that describes a change or an event, such as
/// `{"type":"users/rename","id":"10","name":"Ada"}`.
///
/// It keeps the received text unchanged: key order, numbers of any length, strings with lone
/// surrogates. Only `type` is read in advance. Cheap to clone: clones share one buffer.
///
/// An action of one's own is made from a `json!` value, or from a type with
/// [`typed`](Self::typed); both write strings with the escapes that they need.
///
/// ```
/// use logux::Action;
/// use serde::{Deserialize, Serialize};
/// use serde_json::json;
///
/// let action = Action::try_from(json!({"type": "users/rename", "id": "10", "name": "\"Ada\""}))?;
/// assert_eq!(action.str_field("name").as_deref(), Some("\"Ada\""));
///
/// #[derive(Serialize, Deserialize)]
/// struct Rename { id: String, name: String }
///
/// let action = Action::typed("users/rename", &Rename { id: "10".into(), name: "Ada".into() })?;
/// assert_eq!(action.as_json(), r#"{"type":"users/rename","id":"10","name":"Ada"}"#);
/// assert_eq!(action.kind(), "users/rename");
/// assert_eq!(action.parse::<Rename>()?.name, "Ada");
/// # Ok::<(), logux::action::ActionError>(())
/// ```
#[derive(Clone)]
pub struct Action {
    json: Arc<str>,
    kind: Kind,
}

/// Serializes a value of `json!`, such as `json!({"type": "users/rename", "id": "10"})`. O(length).
///
/// Fails with [`ActionError::NotAnObject`] or [`ActionError::NoType`] if it is not an action.
impl TryFrom<Value> for Action {
    type Error = ActionError;

    fn try_from(value: Value) -> Result<Self, ActionError> {
        Self::from_value(&value)
    }
}

/// Serializes a value of `json!`, as the conversion of an owned value does.
impl TryFrom<&Value> for Action {
    type Error = ActionError;

    fn try_from(value: &Value) -> Result<Self, ActionError> {
        Self::from_value(value)
    }
}

/// The type: its range in the JSON text, or a decoded string if it was written with escapes.
#[derive(Clone)]
enum Kind {
    Span(u32, u32),
    Decoded(Arc<str>),
}

impl Action {
    /// Creates an action from JSON text. The last of duplicate keys counts, as in JavaScript.
    /// O(length).
    ///
    /// # Errors
    /// [`ActionError::Json`] if the text is not JSON, or is nested deeper than
    /// [`MAX_DEPTH`](crate::json::MAX_DEPTH); [`ActionError::NotAnObject`],
    /// [`ActionError::NoType`] if `type` is missing or not a string.
    pub fn new(json: impl Into<Arc<str>>) -> Result<Self, ActionError> {
        let json = json.into();
        let trimmed = json.trim_matches([' ', '\n', '\r', '\t']);
        let json = if trimmed.len() == json.len() { json } else { trimmed.into() };
        let mut cursor = Cursor::new(&json);
        let (_, kind) = skip_action(&mut cursor)?;
        cursor.end()?;
        Ok(Self { kind: Kind::within(&json, kind)?, json })
    }

    /// Serializes a value that has the field `type`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`ActionError::Write`] if the value cannot be serialized.
    pub fn from_value(value: &(impl Serialize + ?Sized)) -> Result<Self, ActionError> {
        Self::new(serde_json::to_string(value).map_err(ActionError::Write)?)
    }

    /// Serializes a value with `type` before its fields.
    ///
    /// # Errors
    /// [`ActionError::Write`] if the value is not a struct or map, or cannot be serialized.
    pub fn typed(kind: &str, fields: &(impl Serialize + ?Sized)) -> Result<Self, ActionError> {
        #[derive(Serialize)]
        struct Typed<'a, T: ?Sized> {
            r#type: &'a str,
            #[serde(flatten)]
            fields: &'a T,
        }
        Self::from_value(&Typed { r#type: kind, fields })
    }

    /// Skips an action that is part of a larger JSON text. Returns its text, and the text of its
    /// type with the quotes.
    pub(crate) fn skip<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, &'a str), ActionError> {
        skip_action(cursor)
    }

    /// Creates an action from the result of [`skip`](Self::skip).
    pub(crate) fn within(text: &str, kind: &str) -> Result<Self, ActionError> {
        Ok(Self { kind: Kind::within(text, kind)?, json: text.into() })
    }

    /// Returns the JSON text, unchanged.
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// Returns the value of `type`.
    pub fn kind(&self) -> &str {
        match &self.kind {
            Kind::Span(start, end) => &self.json[*start as usize..*end as usize],
            Kind::Decoded(text) => text,
        }
    }

    /// Returns the JSON text of one field. O(length).
    pub fn field(&self, name: &str) -> Option<&str> {
        member(&self.json, name)
    }

    /// Returns the value of a string field. `None` if the field is missing, has another type, or
    /// has a lone surrogate. O(length).
    pub fn str_field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.field(name).filter(|raw| raw.starts_with('"')).and_then(decode)
    }

    /// Deserializes the action into a type of the caller. O(length).
    ///
    /// # Errors
    /// [`ActionError::Read`] if the action does not have the shape of `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ActionError> {
        parse_checked(&self.json).map_err(ActionError::Read)
    }
}

/// Skips an action. Returns its text and the text of its type with the quotes.
fn skip_action<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, &'a str), ActionError> {
    if cursor.peek() != Some(b'{') {
        return Err(match cursor.value() {
            Ok(_) => ActionError::NotAnObject,
            Err(error) => error.into(),
        });
    }
    let mut kind = None;
    let text = cursor.object(|cursor, key| {
        let value = cursor.inside(Cursor::value)?;
        if key_is(key, "type") {
            kind = Some(value);
        }
        Ok::<_, ActionError>(())
    })?;
    let kind = kind.filter(|value| value.starts_with('"')).ok_or(ActionError::NoType)?;
    Ok((text, kind))
}

impl Kind {
    fn within(text: &str, raw: &str) -> Result<Self, ActionError> {
        if has_escapes(raw) {
            return Ok(Self::Decoded(decode(raw).ok_or(ActionError::NoType)?.into()));
        }
        // `raw` is a slice of `text`: both are from the same cursor.
        let start = raw.as_ptr() as usize - text.as_ptr() as usize + 1;
        match (u32::try_from(start), u32::try_from(start + raw.len() - 2)) {
            (Ok(start), Ok(end)) => Ok(Self::Span(start, end)),
            _ => Ok(Self::Decoded(raw[1..raw.len() - 1].into())),
        }
    }
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for Action {}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json)
    }
}

/// An error of reading or writing an action.
#[derive(Debug)]
#[non_exhaustive]
pub enum ActionError {
    /// The text is not JSON.
    Json(JsonError),
    /// The JSON is not an object.
    NotAnObject,
    /// The object has no `type`, or its `type` is not a string or has a lone surrogate.
    NoType,
    /// The action does not have the shape of the type to deserialize.
    Read(serde_json::Error),
    /// The value cannot be serialized as JSON.
    Write(serde_json::Error),
}

impl From<JsonError> for ActionError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "expected an action: {error}"),
            Self::NotAnObject => {
                f.write_str("expected an action: a JSON object such as {\"type\":\"users/rename\"}")
            }
            Self::NoType => f.write_str("expected an action with a string in the field `type`"),
            Self::Read(error) => write!(f, "the action does not have the expected fields: {error}"),
            Self::Write(error) => write!(f, "cannot serialize the value as an action: {error}"),
        }
    }
}

impl core::error::Error for ActionError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::Read(error) | Self::Write(error) => Some(error),
            Self::NotAnObject | Self::NoType => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_text_unchanged() {
        let text =
            r#"{"z":9007199254740993,"a":0.30000000000000004,"type":"t","s":"\ud83d","a":1}"#;
        let action = Action::new(text).unwrap();
        assert_eq!((action.as_json(), action.kind()), (text, "t"));
        assert_eq!(
            (action.field("z"), action.field("a"), action.field("b")),
            (Some("9007199254740993"), Some("1"), None)
        );
        assert_eq!((action.str_field("s"), action.str_field("type").as_deref()), (None, Some("t")));
    }

    #[test]
    fn the_last_type_counts_even_with_escapes() {
        let action = Action::new(r#"{"type":"a","ty\u0070e":"b\u0041"}"#).unwrap();
        assert_eq!(action.kind(), "bA");
    }

    #[test]
    fn rejects_invalid_actions() {
        for text in [
            "",
            "1",
            "[]",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"\ud83d"}"#,
            r#"{"type":"a"} x"#,
            r#"{"type":"a""#,
        ] {
            assert!(Action::new(text).is_err(), "{text}");
        }
        assert!(Action::typed("a", &1).is_err());
    }

    #[test]
    fn values_become_actions() {
        let value = serde_json::json!({"type": "say", "text": "\"Hi\"\n", "n": 1.5});
        let action = Action::try_from(&value).unwrap();
        assert_eq!((action.kind(), action.parse::<Value>().unwrap()), ("say", value.clone()));
        assert_eq!(Action::try_from(value).unwrap(), action);
        let (no_object, no_type) = (serde_json::json!([]), serde_json::json!({"type": 1}));
        assert!(matches!(Action::try_from(no_object), Err(ActionError::NotAnObject)));
        assert!(matches!(Action::try_from(no_type), Err(ActionError::NoType)));
    }
}
