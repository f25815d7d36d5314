//! The kinds of documents in `logux.toml`: `[documents.NAME]`.
//!
//! ```toml
//! [documents.notes]
//! read = ["creator", { members = "/members" }]
//! edit = ["creator", { members = "/members", role = "editor" }]
//! comments = ["/comments"]
//! max_bytes = 1000000
//! schema = "notes.schema.json"
//! ```

use std::{path::Path as FilePath, sync::Arc, time::Duration};

use logux::{
    action::DocumentOperation,
    crdt::{Document, Path},
    server::SettlementRule,
};
use logux_schema::Schema;
use logux_server::{DocumentKind, DocumentKindBuilder, DocumentLimits, DocumentRules};
use toml::{Table, Value};

use super::rules::{RuleError, RuleProblem, read_rule};

/// A kind of documents.
#[derive(Clone, Debug, Default)]
pub(crate) struct DocumentTable {
    pub(crate) rules: DocumentRules,
    comments: Vec<Path>,
    managed: Vec<Path>,
    limits: DocumentLimits,
    keep_deleted: Option<Duration>,
    open_actions: Option<u64>,
    created_by_edits: Option<bool>,
    pub(super) schema: Option<Arc<Schema>>,
}

/// Reads all kinds of documents. Paths of files are relative to `folder`.
pub(super) fn read_documents(
    kinds: &Table,
    folder: &FilePath,
) -> Result<Vec<(String, DocumentTable)>, RuleError> {
    let read =
        |(name, table): (&String, &Value)| Ok((name.clone(), read_kind(name, table, folder)?));
    kinds.iter().map(read).collect()
}

fn read_kind(name: &str, value: &Value, folder: &FilePath) -> Result<DocumentTable, RuleError> {
    let Value::Table(rows) = value else {
        return Err(RuleProblem::NotATable(value.clone()).at("documents", name));
    };
    let table = format!("documents.{name}");
    let mut kind = DocumentTable::default();
    if let Some(owner) = rows.get("owner") {
        let Some(field) = owner.as_str().filter(|field| !field.is_empty()) else {
            return Err(RuleProblem::Owner(owner.clone()).at(&table, "owner"));
        };
        kind.rules = DocumentRules::owner(field);
        kind.rules.check().map_err(|(_, error)| RuleProblem::Rule(error).at(&table, "owner"))?;
    }
    for (row, value) in rows.iter().filter(|(row, _)| *row != "owner") {
        kind.set(row, value, folder).map_err(|problem| match problem {
            RuleProblem::Unknown { .. } => problem.at("documents", name),
            problem => problem.at(&table, row),
        })?;
    }
    Ok(kind)
}

impl DocumentTable {
    fn set(&mut self, row: &str, value: &Value, folder: &FilePath) -> Result<(), RuleProblem> {
        match row {
            "read" => self.rules.read = Some(read_rule(value)?),
            "create" => self.rules.create = Some(read_rule(value)?),
            "edit" => self.rules.edit = Some(read_rule(value)?),
            "comment" => self.rules.comment = Some(read_rule(value)?),
            "delete" => self.rules.delete = Some(read_rule(value)?),
            "manage" => self.rules.manage = Some(read_rule(value)?),
            "comments" => self.comments = read_paths(value)?,
            "managed" => self.managed = read_paths(value)?,
            "max_bytes" => self.limits.max_bytes = read_number(value)?,
            "max_documents_per_user" => {
                self.limits.max_documents_per_user = Some(read_number(value)?);
            }
            "max_bytes_per_user" => self.limits.max_bytes_per_user = Some(read_number(value)?),
            "keep_deleted_days" => {
                let hours = read_number(value)?.saturating_mul(24).min(MAX_HOURS);
                self.keep_deleted = Some(Duration::from_hours(hours));
            }
            "open_actions" => {
                self.open_actions = Some(read_number(value)?);
            }
            "created_by_edits" => {
                let expected = "true or false";
                let error = || RuleProblem::Value { expected, got: value.clone() };
                self.created_by_edits = Some(value.as_bool().ok_or_else(error)?);
            }
            "schema" => {
                let expected = "the path of a JSON Schema such as \"notes.schema.json\"";
                let error = || RuleProblem::Value { expected, got: value.clone() };
                let file = value.as_str().filter(|file| !file.is_empty()).ok_or_else(error)?;
                let schema = Schema::from_file(folder.join(file)).map_err(Box::new)?;
                self.schema = Some(Arc::new(schema));
            }
            _ => {
                return Err(RuleProblem::Unknown { name: row.to_owned(), expected: ROWS });
            }
        }
        Ok(())
    }

    /// Returns `true` if the first edit of a document creates it. A document that does not exist
    /// has nobody who may read it, if that depends on the document: then it has to be created first
    /// by default.
    fn is_created_by_edits(&self) -> bool {
        let (read, _) = self.rules.rule(DocumentOperation::Read);
        let depends = read.needs_fields() || read.needs_creator();
        self.created_by_edits.unwrap_or(!depends)
    }

    /// Configures the kind.
    pub(crate) fn configure(
        &self,
        kind: DocumentKindBuilder<(), Document>,
    ) -> DocumentKind<(), Document> {
        let mut kind = kind
            .rules(self.rules.clone())
            .comments_at(self.comments.clone())
            .managed_at(self.managed.clone())
            .limits(self.limits.clone())
            .undoable();
        if let Some(duration) = self.keep_deleted {
            kind = kind.keep_deleted_for(duration);
        }
        if let Some(open_actions) = self.open_actions {
            kind = kind.settlement(SettlementRule { open_actions, ..SettlementRule::default() });
        }
        if self.is_created_by_edits() { kind.created_by_edits() } else { kind }
    }
}

/// The largest time in the configuration: 1,000 years.
const MAX_HOURS: u64 = 1_000 * 366 * 24;

/// The rows of a table.
const ROWS: &str = "owner, read, create, edit, comment, delete, manage, comments, managed, \
                    max_bytes, max_documents_per_user, max_bytes_per_user, keep_deleted_days, \
                    open_actions, created_by_edits or schema";

fn read_number(value: &Value) -> Result<u64, RuleProblem> {
    let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
    let number = number.filter(|number| *number > 0);
    let expected = "a whole number above 0";
    number.ok_or_else(|| RuleProblem::Value { expected, got: value.clone() })
}

fn read_paths(value: &Value) -> Result<Vec<Path>, RuleProblem> {
    let expected = "a list of paths such as [\"/comments\"]";
    let error = || RuleProblem::Value { expected, got: value.clone() };
    let path = |item: &Value| Path::new(item.as_str()?).ok();
    let paths = value.as_array().and_then(|items| items.iter().map(path).collect());
    paths.ok_or_else(error)
}
