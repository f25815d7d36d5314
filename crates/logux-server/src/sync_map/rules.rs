//! Rules of access to the records of a collection.

use std::sync::Arc;

use logux::crdt::Path;

use crate::access_rule::{AccessRule, AccessRuleError};

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
    /// Who may create records. Rules about owners and members are about the new record, of which a
    /// field with an owner can have the own id only. For a record that exists already, the rule of
    /// `change` applies too.
    pub create: AccessRule,
    /// Who may change fields of records, except those that decide about access.
    pub change: AccessRule,
    /// Who may delete records.
    pub delete: AccessRule,
    /// Who may change the fields with owners and members that rules name. `None`: the owners may
    /// change the members, and nobody the owner. Who changes them needs `change` too.
    pub manage: Option<AccessRule>,
}

impl AccessRules {
    /// Users read and edit only their own records, whose `field` is the id of the user.
    pub fn owner(field: impl Into<Arc<str>>) -> Self {
        let rule = AccessRule::Owner { field: field.into() };
        Self {
            read: rule.clone(),
            create: rule.clone(),
            change: rule.clone(),
            delete: rule,
            manage: None,
        }
    }

    /// Returns the rules with their names in `logux.toml`.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &AccessRule)> {
        let rows = [
            ("read", &self.read),
            ("create", &self.create),
            ("change", &self.change),
            ("delete", &self.delete),
        ];
        rows.into_iter().chain(self.manage.as_ref().map(|rule| ("manage", rule)))
    }

    fn leaves(&self) -> impl Iterator<Item = &AccessRule> {
        self.rows().flat_map(|(_, rule)| rule.leaves())
    }

    /// Returns the names of the fields that decide about access.
    pub(crate) fn managed_fields(&self) -> Vec<Arc<str>> {
        let mut fields: Vec<Arc<str>> = self
            .leaves()
            .filter_map(|rule| Some(rule.field()?.keys().next()?.as_ref().into()))
            .collect();
        fields.sort();
        fields.dedup();
        fields
    }

    /// Returns the rules about owners, each once.
    pub(crate) fn owners(&self) -> Vec<(AccessRule, Path)> {
        let mut owners: Vec<(AccessRule, Path)> = Vec::new();
        for rule in self.leaves().filter(|rule| matches!(rule, AccessRule::Owner { .. })) {
            if let Some(path) = rule.field()
                && owners.iter().all(|(_, known)| *known != path)
            {
                owners.push((rule.clone(), path));
            }
        }
        owners
    }

    /// Checks that the rules can be used. Returns the name of the first one that cannot.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), (&'static str, AccessRuleError)> {
        for (row, rule) in self.rows() {
            rule.check().map_err(|error| (row, error))?;
            if rule.leaves().contains(&&AccessRule::Creator) {
                return Err((row, AccessRuleError::CreatorOfRecord));
            }
        }
        Ok(())
    }
}
