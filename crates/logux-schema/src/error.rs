//! Why a schema cannot be used.

use std::path::PathBuf;

/// The reason why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The file cannot be read.
    #[error("cannot read the schema {}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The error of the file system.
        error: std::io::Error,
    },
    /// The text is not JSON.
    #[error("expected a JSON Schema, got text that is not JSON: {0}")]
    Json(serde_json::Error),
    /// The JSON is not a JSON Schema, or one that refers to something unknown.
    #[error("invalid JSON Schema at {at:?}: {error}")]
    Invalid {
        /// The place in the schema, a JSON Pointer. Empty for the whole.
        at: String,
        /// What was expected, and what came.
        error: String,
    },
    /// The schema in a file has an error.
    #[error("{}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The error.
        error: Box<Self>,
    },
}
