//! Who may do something with a record or a document.

use std::{fmt, sync::Arc};

use logux::crdt::{Path, PathError};
use serde_json::Value;

/// Who may do something with a record or a document. Actions of the server itself need no
/// permission.
///
/// `Display` is the form of `logux.toml`:
///
/// ```
/// use logux_server::AccessRule;
///
/// let editors = AccessRule::members_with("/members", ["editor", "admin"]);
/// assert_eq!(editors.to_string(), r#"{ members = "/members", role = ["editor", "admin"] }"#);
/// let staff = AccessRule::Any(vec![AccessRule::Creator, AccessRule::claim("role", ["staff"])]);
/// assert_eq!(staff.to_string(), r#"["creator", { claim = "role", is = "staff" }]"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessRule {
    /// Every client that is logged in.
    #[default]
    Everyone,
    /// No client.
    Nobody,
    /// The user who created the document. Records have no known creator.
    Creator,
    /// The user whose id is in a field, as a string. Without the field, there is no owner.
    Owner {
        /// The name of the field or, if it begins with a slash, its JSON pointer.
        field: Arc<str>,
    },
    /// The users in a field: an object with their ids as keys and their roles as values, or an
    /// array of their ids.
    ///
    /// A role is a string, or an array of strings. With `null` or `false` as the role, a user is no
    /// member.
    Members {
        /// The name of the field or, if it begins with a slash, its JSON pointer.
        field: Arc<str>,
        /// The roles of which a member needs one. Empty: every member.
        roles: Vec<Arc<str>>,
    },
    /// The users with a [claim](crate::Claims) that is one of these values, or an array with one of
    /// them.
    Claim {
        /// The name of the claim or, if it begins with a slash, its JSON pointer.
        name: Arc<str>,
        /// The values: strings, numbers, booleans.
        values: Vec<Value>,
    },
    /// Who is allowed by any of these rules.
    Any(Vec<Self>),
}

/// A rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessRuleError {
    /// The field of an owner or of members is not a path.
    #[error("expected the name of a field, or a JSON pointer such as /members: {0}")]
    Field(#[from] PathError),
    /// The field of an owner or of members, or the name of a claim, is empty.
    #[error("expected a name, got an empty string")]
    Empty,
    /// A list has no rules, no roles or no values.
    #[error("expected at least one item in a list")]
    EmptyList,
    /// A value of a claim is not a scalar.
    #[error("expected strings, numbers or booleans as values of a claim, got {0}")]
    Value(Value),
    /// A collection of records has a rule about the creator.
    #[error("expected a rule without \"creator\": records have no known creator")]
    CreatorOfRecord,
}

impl AccessRule {
    /// Returns the rule for the user whose id is in a field.
    pub fn owner(field: impl Into<Arc<str>>) -> Self {
        Self::Owner { field: field.into() }
    }

    /// Returns the rule for all members in a field.
    pub fn members(field: impl Into<Arc<str>>) -> Self {
        Self::Members { field: field.into(), roles: Vec::new() }
    }

    /// Returns the rule for the members in a field with one of these roles.
    pub fn members_with<R: Into<Arc<str>>>(
        field: impl Into<Arc<str>>,
        roles: impl IntoIterator<Item = R>,
    ) -> Self {
        let roles = roles.into_iter().map(Into::into).collect();
        Self::Members { field: field.into(), roles }
    }

    /// Returns the rule for the users with a claim that is, or contains, one of these values.
    pub fn claim<V: Into<Value>>(
        name: impl Into<Arc<str>>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self::Claim { name: name.into(), values: values.into_iter().map(Into::into).collect() }
    }

    /// Checks that the rule can be used.
    ///
    /// # Errors
    /// [`AccessRuleError`] with what is wrong.
    pub fn check(&self) -> Result<(), AccessRuleError> {
        match self {
            Self::Everyone | Self::Nobody | Self::Creator => Ok(()),
            Self::Owner { field } => field_path(field).map(drop),
            Self::Members { field, roles } => {
                if roles.iter().any(|role| role.is_empty()) {
                    return Err(AccessRuleError::Empty);
                }
                field_path(field).map(drop)
            }
            Self::Claim { name, .. } if name.is_empty() => Err(AccessRuleError::Empty),
            Self::Claim { values, .. } if values.is_empty() => Err(AccessRuleError::EmptyList),
            Self::Claim { values, .. } => {
                let is_scalar = |value: &Value| {
                    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
                };
                let other = values.iter().find(|value| !is_scalar(value));
                other.map_or(Ok(()), |value| Err(AccessRuleError::Value(value.clone())))
            }
            Self::Any(rules) if rules.is_empty() => Err(AccessRuleError::EmptyList),
            Self::Any(rules) => rules.iter().try_for_each(Self::check),
        }
    }

    /// Returns the rules of a list, also of lists in it, or the rule itself.
    pub(crate) fn leaves(&self) -> Vec<&Self> {
        match self {
            Self::Any(rules) => rules.iter().flat_map(Self::leaves).collect(),
            rule => vec![rule],
        }
    }

    /// Returns the path of the field with the owner or the members.
    pub(crate) fn field(&self) -> Option<Path> {
        match self {
            Self::Owner { field } | Self::Members { field, .. } => field_path(field).ok(),
            _ => None,
        }
    }

    /// Returns `true` if it depends on who created the document.
    pub fn needs_creator(&self) -> bool {
        self.leaves().contains(&&Self::Creator)
    }

    /// Returns `true` if it depends on the record or the state of the document.
    pub fn needs_fields(&self) -> bool {
        self.leaves().iter().any(|rule| matches!(rule, Self::Owner { .. } | Self::Members { .. }))
    }
}

/// Returns the path of a field: a JSON pointer, or a name.
fn field_path(field: &str) -> Result<Path, AccessRuleError> {
    match field {
        "" => Err(AccessRuleError::Empty),
        pointer if pointer.starts_with('/') => Ok(Path::new(pointer)?),
        name => Ok(Path::of(&[name])?),
    }
}

impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("\"everyone\""),
            Self::Nobody => f.write_str("\"nobody\""),
            Self::Creator => f.write_str("\"creator\""),
            Self::Owner { field } => write!(f, "{{ owner = {} }}", quoted(field)),
            Self::Members { field, roles } if roles.is_empty() => {
                write!(f, "{{ members = {} }}", quoted(field))
            }
            Self::Members { field, roles } => {
                let roles = one_or_list(roles.iter().map(|role| quoted(role)));
                write!(f, "{{ members = {}, role = {roles} }}", quoted(field))
            }
            Self::Claim { name, values } => {
                let values = one_or_list(values.iter().map(Value::to_string));
                write!(f, "{{ claim = {}, is = {values} }}", quoted(name))
            }
            Self::Any(rules) => {
                let rules: Vec<_> = rules.iter().map(Self::to_string).collect();
                write!(f, "[{}]", rules.join(", "))
            }
        }
    }
}

/// Returns a string of TOML. Its escapes are those of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn one_or_list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    match &*items {
        [item] => item.clone(),
        items => format!("[{}]", items.join(", ")),
    }
}
