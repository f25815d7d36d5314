//! The rules of collections in `logux.toml`: `[collections.NAME]`.
//!
//! ```toml
//! [collections.tasks]
//! owner = "userId"      # the rule of read, create, change and delete
//! read = "everyone"     # a rule of its own
//!
//! [collections.news]
//! create = "nobody"
//! change = { owner = "author" }
//! ```

use logux_server::AccessRules;
use toml::{Table, Value};

use super::rules::{RuleError, RuleProblem, read_rule};

/// Reads the rules of all collections.
pub(super) fn read_rules(collections: &Table) -> Result<Vec<(String, AccessRules)>, RuleError> {
    let read = |(name, rules): (&String, &Value)| Ok((name.clone(), read_collection(name, rules)?));
    collections.iter().map(read).collect()
}

fn read_collection(name: &str, rules: &Value) -> Result<AccessRules, RuleError> {
    let Value::Table(rules) = rules else {
        return Err(RuleProblem::NotATable(rules.clone()).at("collections", name));
    };
    let table = format!("collections.{name}");
    let mut read = match rules.get("owner") {
        None => AccessRules::default(),
        Some(Value::String(field)) if !field.is_empty() => AccessRules::owner(field.as_str()),
        Some(other) => return Err(RuleProblem::Owner(other.clone()).at(&table, "owner")),
    };
    for (row, value) in rules.iter().filter(|(row, _)| *row != "owner") {
        let rule = || read_rule(value).map_err(|problem| problem.at(&table, row));
        match row.as_str() {
            "read" => read.read = rule()?,
            "create" => read.create = rule()?,
            "change" => read.change = rule()?,
            "delete" => read.delete = rule()?,
            "manage" => read.manage = Some(rule()?),
            _ => {
                let expected = "owner, read, create, change, delete or manage";
                let problem = RuleProblem::Unknown { name: row.clone(), expected };
                return Err(problem.at("collections", name));
            }
        }
    }
    read.check().map_err(|(row, error)| {
        let row = if rules.contains_key(row) { row } else { "owner" };
        RuleProblem::Rule(error).at(&table, row)
    })?;
    Ok(read)
}
