//! Rules of access to the records of a collection.

use std::sync::Arc;

/// Who may read and edit the records of a collection, for
/// [`Builder::collection`](crate::Builder::collection). Default: everyone.
///
/// ```
/// use logux_server::{AccessRule, AccessRules};
///
/// // Everyone reads; users edit their own records, which have the id of the user in `author`.
/// let rules = AccessRules { read: AccessRule::Everyone, ..AccessRules::owner("author") };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessRules {
    /// Who may subscribe to records, and which records are in the lists of a client.
    pub read: AccessRule,
    /// Who may create records. For a record that exists already, the rule of `change` applies too.
    pub create: AccessRule,
    /// Who may change fields of records.
    pub change: AccessRule,
    /// Who may delete records.
    pub delete: AccessRule,
}

/// Who may do something with a record. Actions of the server itself need no permission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessRule {
    /// Every client that is logged in.
    #[default]
    Everyone,
    /// No client.
    Nobody,
    /// The user whose id is in a field of the record, as a string. A record without the field has
    /// no owner. The field may be set to the own id only.
    Owner {
        /// The key of the field.
        field: Arc<str>,
    },
}

impl AccessRules {
    /// Users read and edit only their own records, whose `field` is the id of the user.
    pub fn owner(field: impl Into<Arc<str>>) -> Self {
        let rule = AccessRule::Owner { field: field.into() };
        Self { read: rule.clone(), create: rule.clone(), change: rule.clone(), delete: rule }
    }
}
