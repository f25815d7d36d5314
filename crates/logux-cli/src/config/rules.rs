//! One rule of access in `logux.toml`, and the error of a table of rules.
//!
//! ```toml
//! read = "everyone"       # or "nobody", or "creator"
//! edit = { owner = "userId" }
//! comment = { members = "/team/members", role = ["editor", "admin"] }
//! delete = [{ claim = "role", is = "staff" }, "creator"]  # any of them
//! ```

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use logux_schema::SchemaError;
use logux_server::{AccessRule, AccessRuleError};
use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

/// A table of rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{row}: {problem}")]
pub(crate) struct RuleError {
    /// The table and its key, such as `documents.notes.read`.
    pub(crate) row: String,
    pub(crate) problem: RuleProblem,
}

/// The file with the rules, and the lines of its rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleSource {
    /// The file. Empty if there is none.
    pub(crate) file: PathBuf,
    /// The lines of rows such as `documents.notes.read`.
    lines: BTreeMap<String, usize>,
}

impl RuleSource {
    /// Finds the lines of the tables of collections and documents. Without them in a text that is
    /// not TOML.
    pub(super) fn new(file: PathBuf, text: &str) -> Self {
        let mut lines = BTreeMap::new();
        let table = DeTable::parse(text).map(toml::Spanned::into_inner).unwrap_or_default();
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        for (section, tables) in &table {
            let section = section.get_ref();
            let DeValue::Table(tables) = tables.get_ref() else { continue };
            if section != "collections" && section != "documents" {
                continue;
            }
            for (name, rows) in tables {
                let table = format!("{section}.{}", name.get_ref());
                if let DeValue::Table(rows) = rows.get_ref() {
                    for row in rows.keys() {
                        let at = line(row.span().start);
                        lines.insert(format!("{table}.{}", row.get_ref()), at);
                    }
                }
                lines.insert(table, line(name.span().start));
            }
        }
        Self { file, lines }
    }

    /// Returns the line of a row.
    pub(crate) fn line(&self, row: &str) -> Option<usize> {
        self.lines.get(row).copied()
    }
}

/// What is wrong with a row of a table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleProblem {
    #[error("expected a table of rules, such as {{ owner = \"userId\" }}, got {}", shown(.0))]
    NotATable(Value),
    #[error("unknown rule `{name}`; expected {expected}")]
    Unknown { name: String, expected: &'static str },
    #[error(
        "expected \"everyone\", \"nobody\", \"creator\", {{ owner = \"FIELD\" }}, {{ members = \
         \"FIELD\" }}, {{ members = \"FIELD\", role = \"ROLE\" }}, {{ claim = \"NAME\", is = VALUE \
         }}, or a list of these, got {}",
        shown(.0)
    )]
    NotARule(Value),
    #[error("expected the field that has the id of the user, a string, got {}", shown(.0))]
    Owner(Value),
    #[error("expected {expected}, got {}", shown(got))]
    Value { expected: &'static str, got: Value },
    #[error(transparent)]
    Rule(#[from] AccessRuleError),
    #[error(transparent)]
    Schema(#[from] Box<SchemaError>),
}

/// Returns a value on one line.
fn shown(value: &Value) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    let text: String = json.chars().take(MAX_SHOWN).collect();
    if text.len() < json.len() { text + "…" } else { text }
}

/// The largest number of characters of a value in an error.
const MAX_SHOWN: usize = 100;

impl RuleProblem {
    /// Returns the error of a row.
    pub(super) fn at(self, table: &str, row: &str) -> RuleError {
        RuleError { row: format!("{table}.{row}"), problem: self }
    }
}

/// Reads a rule.
pub(super) fn read_rule(value: &Value) -> Result<AccessRule, RuleProblem> {
    let rule = rule(value).ok_or_else(|| RuleProblem::NotARule(value.clone()))?;
    rule.check()?;
    Ok(rule)
}

fn rule(value: &Value) -> Option<AccessRule> {
    match value {
        Value::String(word) => match word.as_str() {
            "everyone" => Some(AccessRule::Everyone),
            "nobody" => Some(AccessRule::Nobody),
            "creator" => Some(AccessRule::Creator),
            _ => None,
        },
        Value::Array(rules) => {
            Some(AccessRule::Any(rules.iter().map(rule).collect::<Option<_>>()?))
        }
        Value::Table(table) => read_table(table),
        _ => None,
    }
}

fn read_table(table: &Table) -> Option<AccessRule> {
    let text = |key: &str| table.get(key)?.as_str();
    let mut keys: Vec<_> = table.keys().map(String::as_str).collect();
    keys.sort_unstable();
    match &*keys {
        ["owner"] => Some(AccessRule::owner(text("owner")?)),
        ["members"] => Some(AccessRule::members(text("members")?)),
        ["members", "role"] => {
            let roles = one_or_list(table.get("role")?).into_iter().map(|role| role.as_str());
            let roles: Vec<&str> = roles.collect::<Option<_>>()?;
            (!roles.is_empty()).then_some(AccessRule::members_with(text("members")?, roles))
        }
        ["claim", "is"] => {
            let values = one_or_list(table.get("is")?).into_iter().map(to_json);
            let values: Vec<serde_json::Value> = values.collect::<Option<_>>()?;
            Some(AccessRule::Claim { name: Arc::from(text("claim")?), values })
        }
        _ => None,
    }
}

fn one_or_list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        value => vec![value],
    }
}

fn to_json(value: &Value) -> Option<serde_json::Value> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Integer(number) => Some((*number).into()),
        Value::Float(number) => Some((*number).into()),
        Value::Boolean(boolean) => Some((*boolean).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<AccessRule, RuleProblem> {
        read_rule(&toml::from_str::<Table>(&format!("rule = {toml}")).unwrap()["rule"])
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        for rule in [
            r#""everyone""#,
            r#""nobody""#,
            r#""creator""#,
            r#"{ owner = "userId" }"#,
            r#"{ members = "/a~1b/c" }"#,
            r#"{ members = "team", role = "editor" }"#,
            r#"{ members = "team", role = ["editor", "\"admin\""] }"#,
            r#"{ claim = "role", is = "staff" }"#,
            r#"{ claim = "/app/level", is = [1, 2.5, true] }"#,
            r#"["creator", [{ owner = "userId" }], { claim = "admin", is = true }]"#,
        ] {
            assert_eq!(read(rule).unwrap().to_string(), rule);
        }
        for wrong in [
            r#""owner""#,
            "1",
            "[]",
            "{}",
            r#"["everyone", 1]"#,
            r#"{ owner = "" }"#,
            r#"{ owner = "/a~" }"#,
            r#"{ owner = "a", role = "b" }"#,
            r#"{ members = "a", role = [] }"#,
            r#"{ members = "a", role = [1] }"#,
            r#"{ members = "a", roles = "b" }"#,
            r#"{ claim = "a" }"#,
            r#"{ claim = "a", is = [] }"#,
            r#"{ claim = "a", is = [[1]] }"#,
            r#"{ claim = "a", is = 2020-01-01 }"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
