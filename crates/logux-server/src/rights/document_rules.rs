//! The rules of a kind of documents.

use logux::{action::DocumentOperation, crdt::Path};

use crate::access_rule::{AccessRule, AccessRuleError};

/// Who may do what with the documents of a kind, for
/// [`DocumentKindBuilder::rules`](crate::DocumentKindBuilder::rules).
///
/// | Operation | Default |
/// | --- | --- |
/// | `read`, `create` | everyone |
/// | `edit` | as `read` |
/// | `comment` | as `edit` |
/// | `manage` | the creator, and the owners that rules name; everyone if there are no rules |
/// | `delete` | as `manage` |
///
/// ```
/// use logux_server::{AccessRule, DocumentRules};
///
/// // Members read, editors edit, the creator invites and deletes.
/// let rules = DocumentRules {
///     read: Some(AccessRule::Any(vec![AccessRule::Creator, AccessRule::members("/members")])),
///     edit: Some(AccessRule::Any(vec![
///         AccessRule::Creator,
///         AccessRule::members_with("/members", ["editor"]),
///     ])),
///     ..DocumentRules::default()
/// };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentRules {
    /// Who may open documents.
    pub read: Option<AccessRule>,
    /// Who may create documents. Rules about owners and members are about the new document. A
    /// field with an owner can be created with the own id only.
    pub create: Option<AccessRule>,
    /// Who may change what is not at another rule's paths.
    pub edit: Option<AccessRule>,
    /// Who may change comments ([`DocumentKind::comments_at`](crate::DocumentKind::comments_at)).
    pub comment: Option<AccessRule>,
    /// Who may delete documents.
    pub delete: Option<AccessRule>,
    /// Who may change the fields that decide about access: those with owners and members, and the
    /// [managed](crate::DocumentKind::managed_at) ones.
    pub manage: Option<AccessRule>,
}

impl DocumentRules {
    /// Returns the rules for documents of which each user reads and edits only the own ones. Their
    /// `field` is the id of the user.
    pub fn owner(field: &str) -> Self {
        let rule = Some(AccessRule::owner(field));
        Self { read: rule.clone(), create: rule, ..Self::default() }
    }

    const fn given(&self, operation: DocumentOperation) -> Option<&AccessRule> {
        match operation {
            DocumentOperation::Read => self.read.as_ref(),
            DocumentOperation::Create => self.create.as_ref(),
            DocumentOperation::Edit => self.edit.as_ref(),
            DocumentOperation::Comment => self.comment.as_ref(),
            DocumentOperation::Delete => self.delete.as_ref(),
            DocumentOperation::Manage => self.manage.as_ref(),
            _ => None,
        }
    }

    fn all(&self) -> impl Iterator<Item = &AccessRule> {
        DocumentOperation::ALL.into_iter().filter_map(|operation| self.given(operation))
    }

    /// Returns the rule of an operation, and the operation that it was given for. `None` instead of
    /// that for a default.
    pub fn rule(&self, operation: DocumentOperation) -> (AccessRule, Option<DocumentOperation>) {
        use DocumentOperation::{Comment, Create, Delete, Edit, Manage, Read};
        if let Some(rule) = self.given(operation) {
            return (rule.clone(), Some(operation));
        }
        match operation {
            Read | Create => (AccessRule::Everyone, None),
            Edit => self.rule(Read),
            Comment => self.rule(Edit),
            Delete => self.rule(Manage),
            Manage if self.all().next().is_none() => (AccessRule::Everyone, None),
            Manage => {
                let owners = self.all().flat_map(AccessRule::leaves);
                let owners = owners.filter(|rule| matches!(rule, AccessRule::Owner { .. }));
                let mut rules = vec![AccessRule::Creator];
                for owner in owners {
                    if !rules.contains(owner) {
                        rules.push(owner.clone());
                    }
                }
                (if rules.len() == 1 { AccessRule::Creator } else { AccessRule::Any(rules) }, None)
            }
            _ => (AccessRule::Nobody, None),
        }
    }

    /// Returns the paths of the owners and members that rules name.
    pub fn managed_paths(&self) -> Vec<Path> {
        let mut paths: Vec<_> =
            self.all().flat_map(AccessRule::leaves).filter_map(AccessRule::field).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Returns the paths of the owners that rules name.
    pub(crate) fn owner_paths(&self) -> Vec<Path> {
        let leaves = self.all().flat_map(AccessRule::leaves);
        leaves
            .filter(|rule| matches!(rule, AccessRule::Owner { .. }))
            .filter_map(AccessRule::field)
            .collect()
    }

    /// Checks that the rules can be used. Returns the operation of the first one that cannot.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), (DocumentOperation, AccessRuleError)> {
        DocumentOperation::ALL.into_iter().try_for_each(|operation| {
            let rule = self.given(operation);
            rule.map_or(Ok(()), |rule| rule.check().map_err(|error| (operation, error)))
        })
    }
}

#[cfg(test)]
mod tests {
    use DocumentOperation::{Comment, Create, Delete, Edit, Manage, Read};

    use super::*;

    #[test]
    fn rules_have_defaults() {
        let all = |rules: &DocumentRules| {
            DocumentOperation::ALL.map(|operation| rules.rule(operation).0.to_string())
        };
        let everyone = "\"everyone\"".to_owned();
        assert_eq!(all(&DocumentRules::default()), [(); 6].map(|()| everyone.clone()));
        let rules = DocumentRules {
            read: Some(AccessRule::Any(vec![
                AccessRule::owner("/owner"),
                AccessRule::members("/members"),
            ])),
            ..DocumentRules::default()
        };
        let rule = |operation| {
            let (rule, given) = rules.rule(operation);
            (rule.to_string(), given)
        };
        assert_eq!(rule(Create), (everyone, None));
        assert_eq!(rule(Edit), rule(Read));
        assert_eq!(rule(Comment).1, Some(Read));
        let manage = "[\"creator\", { owner = \"/owner\" }]".to_owned();
        assert_eq!((rule(Manage), rule(Delete)), ((manage.clone(), None), (manage, None)));
        assert_eq!(rules.managed_paths().len(), 2);
    }
}
