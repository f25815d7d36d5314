//! The rules of collections in `logux.toml`: `[collections.NAME]`.
//!
//! ```toml
//! [collections.tasks]
//! owner = "userId"      # the rule of all four
//! read = "everyone"     # a rule of its own
//!
//! [collections.news]
//! create = "nobody"
//! change = { owner = "author" }
//! ```

use logux_server::{AccessRule, AccessRules};
use toml::{Table, Value};

/// A rule of a collection cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("collections.{0}: expected a table of rules, such as {{ owner = \"userId\" }}")]
    NotATable(String),
    #[error(
        "collections.{collection}: unknown rule `{rule}`; expected owner, read, create, change or \
         delete"
    )]
    Unknown { collection: String, rule: String },
    #[error(
        "collections.{collection}.{rule}: expected \"everyone\", \"nobody\" or \
         {{ owner = \"FIELD\" }}"
    )]
    Invalid { collection: String, rule: String },
    #[error("collections.{0}.owner: expected the field that has the id of the user, a string")]
    Owner(String),
}

/// Reads the rules of all collections.
pub(super) fn read_rules(
    collections: &Table,
) -> Result<impl Iterator<Item = (String, AccessRules)>, RuleError> {
    let read = |(name, rules): (&String, &Value)| Ok((name.clone(), read_collection(name, rules)?));
    Ok(collections.iter().map(read).collect::<Result<Vec<_>, RuleError>>()?.into_iter())
}

fn read_collection(name: &str, rules: &Value) -> Result<AccessRules, RuleError> {
    let Value::Table(rules) = rules else { return Err(RuleError::NotATable(name.to_owned())) };
    let mut read = match rules.get("owner") {
        None => AccessRules::default(),
        Some(Value::String(field)) if !field.is_empty() => AccessRules::owner(field.as_str()),
        Some(_) => return Err(RuleError::Owner(name.to_owned())),
    };
    for (rule, value) in rules {
        let target = match rule.as_str() {
            "owner" => continue,
            "read" => &mut read.read,
            "create" => &mut read.create,
            "change" => &mut read.change,
            "delete" => &mut read.delete,
            _ => {
                let (collection, rule) = (name.to_owned(), rule.clone());
                return Err(RuleError::Unknown { collection, rule });
            }
        };
        *target = read_rule(value).ok_or_else(|| RuleError::Invalid {
            collection: name.to_owned(),
            rule: rule.clone(),
        })?;
    }
    Ok(read)
}

fn read_rule(value: &Value) -> Option<AccessRule> {
    match value {
        Value::String(word) if word == "everyone" => Some(AccessRule::Everyone),
        Value::String(word) if word == "nobody" => Some(AccessRule::Nobody),
        Value::Table(table) if table.len() == 1 => {
            let field = table.get("owner")?.as_str().filter(|field| !field.is_empty())?;
            Some(AccessRule::Owner { field: field.into() })
        }
        _ => None,
    }
}
