//! What happened: a JSON object with a `type`.

use core::fmt;
use std::{borrow::Cow, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::json::{Cursor, JsonError, decode, has_escapes, key_is};

/// A JSON object that says what happened, such as `{"type":"users/rename","id":"10","name":"Ada"}`.
///
/// It keeps the text that came, to the letter: key order, numbers of any length, strings that only JavaScript can hold.
/// Nothing but `type` is looked at until somebody asks. Cheap to clone: clones share one buffer.
///
/// ```
/// use logux::Action;
/// use serde::{Deserialize, Serialize};
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

/// The type: a place in the text, or a text of its own where it was written with escapes.
#[derive(Clone)]
enum Kind {
    Span(u32, u32),
    Decoded(Arc<str>),
}

impl Action {
    /// Checks a JSON text. Where a key stands twice, the last counts, as in JavaScript. O(length).
    ///
    /// # Errors
    /// [`ActionError::Json`] if it is not JSON, [`ActionError::NotAnObject`], [`ActionError::NoType`] when `type` is missing or no
    /// string.
    pub fn new(json: impl Into<Arc<str>>) -> Result<Self, ActionError> {
        let json = json.into();
        let trimmed = json.trim_matches([' ', '\n', '\r', '\t']);
        let json = if trimmed.len() == json.len() { json } else { trimmed.into() };
        let mut cursor = Cursor::new(&json);
        let (_, kind) = walk(&mut cursor)?;
        cursor.end()?;
        Ok(Self { kind: Kind::within(&json, kind)?, json })
    }

    /// Writes a value of your own type, which has to have the field `type`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`ActionError::Write`] if the value cannot be JSON.
    pub fn from_value(value: &(impl Serialize + ?Sized)) -> Result<Self, ActionError> {
        Self::new(serde_json::to_string(value).map_err(ActionError::Write)?)
    }

    /// Writes a value of your own type with `type` before its fields.
    ///
    /// # Errors
    /// [`ActionError::NotAnObject`] if the value is no object, [`ActionError::Write`] if it cannot be JSON.
    pub fn typed(kind: &str, fields: &(impl Serialize + ?Sized)) -> Result<Self, ActionError> {
        #[derive(Serialize)]
        struct Typed<'a, T: ?Sized> {
            r#type: &'a str,
            #[serde(flatten)]
            fields: &'a T,
        }
        Self::from_value(&Typed { r#type: kind, fields })
    }

    /// Walks over an action in a larger text, with the cursor before it.
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, ActionError> {
        let (text, kind) = walk(cursor)?;
        Ok(Self { kind: Kind::within(text, kind)?, json: text.into() })
    }

    /// The text, as it came.
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// The value of `type`.
    pub fn kind(&self) -> &str {
        match &self.kind {
            Kind::Span(start, end) => &self.json[*start as usize..*end as usize],
            Kind::Decoded(text) => text,
        }
    }

    /// The JSON text of one field, without reading the others. O(length).
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = None;
        let walked: Result<_, JsonError> = Cursor::new(&self.json).object(|cursor, key| {
            let value = cursor.value()?;
            if key_is(key, name) {
                found = Some(value);
            }
            Ok(())
        });
        walked.ok().and(found)
    }

    /// One field that is a string. `None` when it is missing, of another type, or holds half of a surrogate pair. O(length).
    pub fn str_field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.field(name).filter(|raw| raw.starts_with('"')).and_then(decode)
    }

    /// Reads the action into a type of yours. O(length).
    ///
    /// # Errors
    /// [`ActionError::Read`] when the shapes do not fit.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ActionError> {
        serde_json::from_str(&self.json).map_err(ActionError::Read)
    }
}

/// Walks over an action: its text and the text of its type, with quotes.
fn walk<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, &'a str), ActionError> {
    if cursor.peek() != Some(b'{') {
        return Err(match cursor.value() {
            Ok(_) => ActionError::NotAnObject,
            Err(error) => error.into(),
        });
    }
    let mut kind = None;
    let text = cursor.object(|cursor, key| {
        let value = cursor.value()?;
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
        // `raw` is a slice of `text`: both came from one cursor.
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

/// Why something is not an action.
#[derive(Debug)]
#[non_exhaustive]
pub enum ActionError {
    /// The text is not JSON.
    Json(JsonError),
    /// The text is JSON, but no object.
    NotAnObject,
    /// The object has no `type`, or one that is not a string of whole characters.
    NoType,
    /// The action's JSON does not have the shape of the type it was read into.
    Read(serde_json::Error),
    /// The value cannot be written as JSON.
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
            Self::NoType => f.write_str("expected \"type\" in the action, with a string"),
            Self::Read(error) => write!(f, "the action does not have the expected fields: {error}"),
            Self::Write(error) => write!(f, "the value cannot be written as an action: {error}"),
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
    fn keeps_the_text_to_the_letter() {
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
    fn the_last_type_counts_however_it_is_written() {
        let action = Action::new(r#"{"type":"a","ty\u0070e":"b\u0041"}"#).unwrap();
        assert_eq!(action.kind(), "bA");
    }

    #[test]
    fn refuses_what_is_no_action() {
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
}
