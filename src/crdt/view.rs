//! What a state shows: its JSON, with the counters, sets, lists, texts and trees in it apart.

use core::mem;

use indexmap::IndexMap;

use super::{
    element::ElementId,
    path::{Path, split_key, unescape},
    restore::RestoreError,
};
use crate::json::{Cursor, Json, JsonError, decode, write_string};

/// A value in the JSON of a state.
#[derive(Clone, Debug)]
pub(super) enum View {
    /// A written value that is not an object.
    Plain(Json),
    /// An object, also one that contains parts.
    Object(Fields),
    /// A part of a document.
    Part(PartView),
}

/// The fields of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    fields: IndexMap<String, View>,
    /// Whether a number or set at the path is shown as an object, because of a part below it. It
    /// would be shown again without the part.
    is_covering: bool,
}

/// A part of a document, with its path.
#[derive(Clone, Debug)]
pub(super) enum PartView {
    Counter(i64),
    Set(Path),
    List(Path),
    Text(Path),
    Tree(Path),
}

impl PartView {
    /// Returns `true` for two parts of the same type.
    pub(super) fn has_type_of(&self, other: &Self) -> bool {
        mem::discriminant(self) == mem::discriminant(other)
    }
}

/// Reading.
impl View {
    /// Reads checked JSON. O(length).
    pub(super) fn read(text: &str) -> Self {
        // The text is nested as deeply as it was accepted.
        read_value(&mut Cursor::with_depth(text, usize::MAX))
            .unwrap_or_else(|_| Self::Plain(Json::checked(text)))
    }

    /// Returns an object without fields.
    fn empty() -> Self {
        Self::Object(Fields::default())
    }

    /// Returns the number at a path, as a JSON Pointer. 0 if there is none.
    pub(super) fn number_at(&self, path: &str) -> i64 {
        match self {
            Self::Plain(json) => {
                let value = json.to_value();
                value.pointer(path).and_then(serde_json::Value::as_i64).unwrap_or(0)
            }
            Self::Object(object) if !path.is_empty() => {
                let (key, rest) = split_key(path);
                object.fields.get(&*unescape(key)).map_or(0, |field| field.number_at(rest))
            }
            Self::Object(_) | Self::Part(_) => 0,
        }
    }

    /// Returns the value without the parts in it. `None` if it consists of parts.
    fn without_parts(&self) -> Option<Self> {
        match self {
            Self::Plain(_) => Some(self.clone()),
            Self::Part(_) => None,
            Self::Object(object) => {
                let fields: IndexMap<_, _> = object
                    .fields
                    .iter()
                    .filter_map(|(key, field)| Some((key.clone(), field.without_parts()?)))
                    .collect();
                let is_written = object.fields.is_empty() || !fields.is_empty();
                is_written.then_some(Self::Object(Fields { fields, is_covering: false }))
            }
        }
    }

    /// Returns the value without the parts in it, as JSON.
    pub(super) fn plain_json(&self) -> Json {
        let mut text = String::new();
        match self.without_parts() {
            Some(view) => view.write_json(&mut text),
            None if matches!(self, Self::Object(_)) => text.push_str("{}"),
            None => text.push_str("null"),
        }
        Json::checked(&text)
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Self::Plain(json) => out.push_str(json.as_str()),
            Self::Object(object) => {
                out.push('{');
                for (index, (key, field)) in object.fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(out, key);
                    out.push(':');
                    field.write_json(out);
                }
                out.push('}');
            }
            Self::Part(_) => out.push_str("null"),
        }
    }

    /// Returns `true` if two values without parts are equal.
    pub(super) fn is_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(own), Self::Plain(other)) => is_equal(own, other),
            (Self::Object(own), Self::Object(other)) => {
                own.fields.len() == other.fields.len()
                    && own.fields.iter().all(|(key, field)| {
                        other.fields.get(key).is_some_and(|other| field.is_equal(other))
                    })
            }
            _ => false,
        }
    }

    /// Returns `true` if both have the same fields and parts, apart from their values.
    fn has_shape_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(_), Self::Plain(_)) => true,
            (Self::Object(own), Self::Object(other)) => own.has_shape_of(other),
            (Self::Part(own), Self::Part(other)) => own.has_type_of(other),
            _ => false,
        }
    }
}

/// Returns `true` if two texts are the same JSON value.
pub(super) fn is_equal(own: &Json, other: &Json) -> bool {
    own == other || own.to_value() == other.to_value()
}

fn read_value(cursor: &mut Cursor<'_>) -> Result<View, JsonError> {
    if cursor.peek() != Some(b'{') {
        return Ok(View::Plain(Json::checked(cursor.value()?)));
    }
    let mut fields = IndexMap::new();
    let mut has_lone_surrogate = false;
    let text = cursor.object(|cursor, key| {
        let field = cursor.inside(read_value)?;
        match decode(key) {
            Some(key) => drop(fields.insert(key.into_owned(), field)),
            None => has_lone_surrogate = true,
        }
        Ok::<_, JsonError>(())
    })?;
    // A key that a Rust string cannot hold has no path.
    Ok(if has_lone_surrogate {
        View::Plain(Json::checked(text))
    } else {
        View::Object(Fields { fields, is_covering: false })
    })
}

/// Writing.
impl View {
    /// Writes `new` at a path, or deletes what is there, as
    /// [`write_at`](super::map::write_at) does.
    pub(super) fn write(&mut self, path: &str, new: Option<Self>) {
        if path.is_empty() {
            *self = new.unwrap_or_else(|| Self::read("null"));
            return;
        }
        if !matches!(self, Self::Object(_)) {
            if new.is_none() {
                return;
            }
            let is_covering = matches!(self, Self::Part(PartView::Counter(_) | PartView::Set(_)));
            *self = Self::Object(Fields { is_covering, ..Fields::default() });
        }
        let (key, rest) = split_key(path);
        let key = unescape(key);
        let Self::Object(Fields { fields, .. }) = self else { return };
        match (rest.is_empty(), new) {
            (true, None) => drop(fields.shift_remove(&*key)),
            (true, Some(new)) => drop(fields.insert(key.into_owned(), new)),
            (false, None) => {
                if let Some(field) = fields.get_mut(&*key) {
                    field.write(rest, None);
                }
            }
            (false, new) => {
                let field = fields.entry(key.into_owned()).or_insert_with(|| Self::read("null"));
                field.write(rest, new);
            }
        }
    }
}

impl Fields {
    /// Returns a field.
    pub(super) fn get(&self, key: &str) -> Option<&View> {
        self.fields.get(key)
    }

    /// Returns the fields.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &View)> {
        self.fields.iter().map(|(key, field)| (&**key, field))
    }

    fn has_shape_of(&self, other: &Self) -> bool {
        self.fields.len() == other.fields.len()
            && self.fields.iter().all(|(key, field)| {
                other.fields.get(key).is_some_and(|other| field.has_shape_of(other))
            })
    }

    /// Returns `true` if writes of fields turn the object at a path into `target`.
    fn can_become(&self, target: &Self, path: &Path) -> bool {
        let is_kept = |key: &String| match (self.fields.get(key), target.fields.get(key)) {
            (Some(own), Some(target)) => own.is_equal(target),
            _ => false,
        };
        let keys = || self.fields.keys().chain(target.fields.keys());
        // Without fields, an object that nobody has written disappears.
        (!target.fields.is_empty() || self.fields.is_empty())
            && (!self.is_covering || self.has_shape_of(target))
            && keys().all(|key| is_field(key) && path.join(key).is_ok() || is_kept(key))
    }
}

/// Returns `true` if a key names a field, and not an item of a list or a node of a tree.
pub(super) fn is_field(key: &str) -> bool {
    !key.starts_with('@') || key.parse::<ElementId>().is_err()
}

/// Makes the operations on the values of a state.
pub(super) trait ValueEditor {
    /// Writes a value.
    fn set(&mut self, path: &Path, value: Json);

    /// Deletes a value and everything below it.
    fn delete(&mut self, path: &Path);

    /// Changes a part of the same type, which is shown at a path.
    fn change(
        &mut self,
        path: &Path,
        own: &PartView,
        target: &PartView,
    ) -> Result<(), RestoreError>;

    /// Makes a part at a path where nothing is shown.
    fn create(&mut self, path: &Path, target: &PartView) -> Result<(), RestoreError>;
}

/// Makes the operations that turn what is shown at a path into `target`.
pub(super) fn restore_value(
    editor: &mut impl ValueEditor,
    path: &Path,
    own: Option<&View>,
    target: &View,
) -> Result<(), RestoreError> {
    match (own, target) {
        (Some(View::Part(own)), View::Part(target)) if own.has_type_of(target) => {
            editor.change(path, own, target)
        }
        (_, View::Part(target)) => {
            if own.is_some() {
                editor.delete(path);
            }
            editor.create(path, target)
        }
        (Some(own), View::Plain(_)) if own.is_equal(target) => Ok(()),
        (_, View::Plain(value)) => {
            editor.set(path, value.clone());
            Ok(())
        }
        (Some(View::Object(own)), View::Object(target)) if own.can_become(target, path) => {
            restore_fields(editor, path, own, target)
        }
        (_, View::Object(fields)) => {
            let plain = match target.without_parts() {
                None if own.is_some() => Some(View::empty()),
                plain => plain,
            };
            if let Some(plain) = &plain {
                editor.set(path, plain.plain_json());
            }
            match plain {
                Some(View::Object(plain)) => restore_fields(editor, path, &plain, fields),
                _ => restore_fields(editor, path, &Fields::default(), fields),
            }
        }
    }
}

fn restore_fields(
    editor: &mut impl ValueEditor,
    path: &Path,
    own: &Fields,
    target: &Fields,
) -> Result<(), RestoreError> {
    for key in own.fields.keys().filter(|key| !target.fields.contains_key(*key)) {
        editor.delete(&path.join(key)?);
    }
    for (key, field) in &target.fields {
        let own = own.fields.get(key);
        match path.join(key) {
            Ok(below) if is_field(key) => restore_value(editor, &below, own, field)?,
            // It was written with the object.
            _ if own.is_some_and(|own| own.is_equal(field)) => {}
            below => drop(below?),
        }
    }
    Ok(())
}
