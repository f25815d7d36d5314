//! The fields of a JSON object, which are read one by one: derived readers of large enums make the
//! module larger.

use logux::{Json, json::JsonObject};
use serde::de::DeserializeOwned;

/// The fields of a JSON object.
pub(crate) struct Fields(JsonObject);

/// A field cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the field {name:?} {problem}")]
pub struct FieldError {
    name: String,
    problem: String,
}

impl FieldError {
    fn missing(name: &str) -> Self {
        Self { name: name.to_owned(), problem: "is missing".to_owned() }
    }
}

impl Fields {
    /// Reads an object.
    pub(crate) fn new(json: &str) -> Result<Self, logux::json::JsonError> {
        JsonObject::from_json(json).map(Self)
    }

    /// Returns the only field: its name and its value.
    pub(crate) fn only(&self) -> Option<(&str, &Json)> {
        let mut fields = self.0.iter();
        fields.next().filter(|_| fields.next().is_none())
    }

    /// Returns a field as it is.
    pub(crate) fn json(&self, name: &str) -> Result<Json, FieldError> {
        self.0.get(name).cloned().ok_or_else(|| FieldError::missing(name))
    }

    /// Reads a field.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, FieldError> {
        let value = self.0.get(name).ok_or_else(|| FieldError::missing(name))?;
        let wrong = |error: serde_json::Error| FieldError {
            name: name.to_owned(),
            problem: error.to_string(),
        };
        value.parse().map_err(wrong)
    }

    /// Reads a field that may be missing.
    pub(crate) fn optional<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, FieldError> {
        match self.0.get(name) {
            Some(value) if value.as_str() != "null" => self.read(name).map(Some),
            _ => Ok(None),
        }
    }
}
