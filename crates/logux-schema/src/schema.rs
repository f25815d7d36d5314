//! A JSON Schema that is ready for use.

use std::{fmt, path::Path};

use jsonschema::{PatternOptions, ValidationError, ValidationOptions};
use logux::crdt::{CheckedChange, DocumentSchema, SchemaViolation};
use serde_json::Value;

use crate::{error::SchemaError, rules::Rules, walk::Walk};

/// A JSON Schema (drafts 4, 6, 7, 2019-09 and 2020-12) for documents, in their JSON form: a text is
/// a string, a list or tree an array, a counter a number, a set an array of strings.
///
/// A new document has to be valid. Of an action or undo, only what it touches is checked: the
/// values at its paths against their parts of the schema, and of the values that contain them what
/// `required`, `minProperties`, `maxProperties`, `propertyNames`, `minItems` and `maxItems` say. A
/// part of the schema that only decides about a value as a whole, such as `oneOf`, is checked with
/// the smallest whole value around the path that has one. So a character that is typed into a text
/// costs at most a copy of the text.
///
/// A document may be invalid already, because it is older than the schema. Then a change is
/// accepted if each rule is violated in no more places than before, and no limit is exceeded by
/// more.
///
/// `format` is checked, and the regular expressions of `pattern` and `patternProperties` have no
/// look-around and no back-references, so that they take linear time. References to other files or
/// addresses are errors.
///
/// ```
/// use logux::{Stamp, WallTime, crdt::{Crdt, Document, Shared}};
/// use logux_schema::Schema;
/// use serde_json::json;
///
/// let schema = Schema::new(&json!({
///     "properties": {"title": {"type": "string", "maxLength": 80}},
///     "required": ["title"],
/// }))?;
/// let note = Shared::<Document>::new("notes", "7");
/// let id = "1 10:ada:x 0".parse()?;
/// let empty = Document::default();
/// let create = note.create_action(&[empty.set_op(&"/title".parse()?, json!(7))])?;
/// let violation = note.check_own(&schema, &create, &id, &empty).unwrap_err();
/// assert_eq!(violation.to_string(), r#"/title: 7 is not of type "string""#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The schema of Rust types comes from `schemars`:
///
/// ```
/// # use std::collections::BTreeMap;
/// use logux_schema::Schema;
/// use schemars::{JsonSchema, schema_for};
///
/// #[derive(JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// #[allow(dead_code, reason = "only the schema is used")]
/// struct Note {
///     #[schemars(length(max = 80))]
///     title: String,
///     #[serde(default)]
///     comments: BTreeMap<String, String>,
/// }
///
/// let schema = Schema::new(schema_for!(Note).as_value())?;
/// # Ok::<(), logux_schema::SchemaError>(())
/// ```
pub struct Schema {
    rules: Rules,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("rules", &self.rules.len()).finish()
    }
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// [`SchemaError::Invalid`] if the value is not a JSON Schema.
    pub fn new(schema: &Value) -> Result<Self, SchemaError> {
        Rules::new(schema).map(|rules| Self { rules })
    }

    /// Compiles a schema in JSON.
    ///
    /// # Errors
    /// [`SchemaError::Json`], [`SchemaError::Invalid`].
    pub fn from_json(text: &str) -> Result<Self, SchemaError> {
        Self::new(&serde_json::from_str(text).map_err(SchemaError::Json)?)
    }

    /// Compiles the schema in a file.
    ///
    /// # Errors
    /// [`SchemaError::Read`] if the file cannot be read; [`SchemaError::File`] with the file and
    /// its error.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self, SchemaError> {
        let file = file.as_ref();
        let text = std::fs::read_to_string(file)
            .map_err(|error| SchemaError::Read { file: file.to_owned(), error })?;
        Self::from_json(&text)
            .map_err(|error| SchemaError::File { file: file.to_owned(), error: Box::new(error) })
    }
}

impl DocumentSchema for Schema {
    fn check(&self, change: &CheckedChange<'_>) -> Result<(), SchemaViolation> {
        Walk::new(&self.rules, change).check()
    }
}

/// Returns how schemas are compiled.
pub(crate) fn options() -> ValidationOptions<'static> {
    jsonschema::options()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
}

pub(crate) fn invalid(error: &ValidationError<'_>) -> SchemaError {
    SchemaError::Invalid { at: error.instance_path().to_string(), error: error.to_string() }
}
