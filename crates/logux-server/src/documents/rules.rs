//! Rules of access to documents, without code.

use std::sync::Arc;

use logux::{
    action::{DocumentOperation, logux::SUBSCRIBE},
    crdt::{Document, Path},
};
use serde_json::Value;

use crate::{
    access_rule::AccessRule,
    documents::{
        kind::{DocumentKind, DocumentKindBuilder},
        request::DocumentRequest,
    },
    error::HandlerError,
    rights::{decision::allows, document_rules::DocumentRules},
};

impl<S: Send + Sync + 'static> DocumentKindBuilder<S, Document> {
    /// Decides by rules who may do what with a document: see [`rights`](crate::rights). The paths
    /// of the owners and members that the rules name are
    /// [managed](DocumentKind::managed_at).
    ///
    /// ```
    /// use logux::crdt::Document;
    /// use logux_server::{AccessRule, DocumentRules, MemoryDocuments, Server};
    ///
    /// let members = AccessRule::Any(vec![AccessRule::Creator, AccessRule::members("/members")]);
    /// let rules = DocumentRules { read: Some(members), ..DocumentRules::default() };
    /// let server = Server::builder()
    ///     .auth(|login| async move { Ok(login.token.as_deref() == Some("secret")) })
    ///     .documents::<Document>("notes", MemoryDocuments::new(), |kind| {
    ///         kind.rules(rules).undoable()
    ///     });
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "rules are written in place")]
    pub fn rules(self, rules: DocumentRules) -> DocumentKind<S, Document> {
        let managed = rules.managed_paths();
        let error = rules.check().err();
        let table = Arc::new(RuleTable::new(&rules));
        let mut kind = self.access(move |request| {
            let table = table.clone();
            async move { table.decide(&request).await }
        });
        kind.rule_error = error;
        kind.managed_at(managed)
    }
}

/// The rules with their defaults.
struct RuleTable {
    by_operation: Vec<(DocumentOperation, AccessRule)>,
    owners: Vec<Path>,
}

impl RuleTable {
    fn new(rules: &DocumentRules) -> Self {
        let rule = |operation| (operation, rules.rule(operation).0);
        let by_operation = DocumentOperation::ALL.into_iter().map(rule).collect();
        Self { by_operation, owners: rules.owner_paths() }
    }

    fn rule(&self, operation: DocumentOperation) -> &AccessRule {
        let found = self.by_operation.iter().find(|(of, _)| *of == operation);
        found.map_or(&AccessRule::Nobody, |(_, rule)| rule)
    }

    async fn decide<S: Send + Sync + 'static>(
        &self,
        request: &DocumentRequest<S, Document>,
    ) -> Result<bool, HandlerError> {
        use DocumentOperation::{Comment, Create, Edit, Manage};
        let operation = request.operation();
        if operation == Create || !request.exists() && matches!(operation, Edit | Comment | Manage)
        {
            return self.may_create(request).await;
        }
        let rule = self.rule(operation);
        let state = if rule.needs_fields() { Some(request.state().await?) } else { None };
        let field = |path: &Path| state.as_ref()?.get(path);
        allows(rule, request.context(), request.creator(), field)
    }

    /// Decides about the creation of a document, by its content.
    async fn may_create<S: Send + Sync + 'static>(
        &self,
        request: &DocumentRequest<S, Document>,
    ) -> Result<bool, HandlerError> {
        let (rule, context) = (self.rule(DocumentOperation::Create), request.context());
        // Who asks what it may do with a document that it could create has no content of it yet.
        let creates = context.action().kind() != SUBSCRIBE;
        let state = if creates && (rule.needs_fields() || !self.owners.is_empty()) {
            request.result().await?
        } else if creates || !rule.needs_fields() {
            Document::default()
        } else {
            return Ok(context.user_id().is_some());
        };
        // The author is the creator then.
        let user = context.user_id();
        let is_own = |path: &Path| match state.get(path) {
            None | Some(Value::Null) => true,
            Some(owner) => owner.as_str() == user,
        };
        Ok(self.owners.iter().all(is_own) && allows(rule, context, user, |path| state.get(path))?)
    }
}
