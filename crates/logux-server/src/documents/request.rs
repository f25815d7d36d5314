//! What a client wants to do with a document, for the rule that decides about it.

use std::{fmt, sync::Arc};

use logux::{
    action::{DocumentKey, DocumentOperation},
    crdt::{Crdt, Shared},
    server::CatalogEntry,
};

use crate::{documents::open::OpenDocuments, error::HandlerError, handlers::context::Context};

/// A request of a client to do something with a document of type `C`, for
/// [`DocumentKindBuilder::access`](crate::DocumentKindBuilder::access).
///
/// An action that needs several operations, such as an edit of a text and of the list of members,
/// leads to one request for each.
pub struct DocumentRequest<S, C: Crdt> {
    pub(super) context: Context<S>,
    pub(super) key: DocumentKey,
    pub(super) operation: DocumentOperation,
    pub(super) entry: Option<CatalogEntry>,
    pub(super) state: StateSource<C>,
}

/// Where a request finds the state of its document.
pub(super) enum StateSource<C: Crdt> {
    /// The request is in the queue of the document, which stays as it is.
    Known(C),
    /// The document is opened when the rule asks for its state.
    OnDemand(Arc<OpenDocuments<C>>),
}

impl<S, C: Crdt> fmt::Debug for DocumentRequest<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentRequest")
            .field("context", &self.context)
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

impl<S, C: Crdt> DocumentRequest<S, C> {
    /// Returns the context of the action, with its author.
    pub const fn context(&self) -> &Context<S> {
        &self.context
    }

    /// Returns the user who sent the action. `None` if the node id has no user.
    pub fn user_id(&self) -> Option<&str> {
        self.context.user_id()
    }

    /// Returns the kind and the id of the document.
    pub const fn key(&self) -> &DocumentKey {
        &self.key
    }

    /// Returns the id of the document.
    pub const fn id(&self) -> &Arc<str> {
        self.key.id()
    }

    /// Returns what the author wants to do.
    pub const fn operation(&self) -> DocumentOperation {
        self.operation
    }

    /// Returns `true` if the document exists, or is deleted and can be taken back.
    pub const fn exists(&self) -> bool {
        self.entry.is_some()
    }

    /// Returns the user who created the document. `None` if it does not exist, or was created by a
    /// client without a user.
    pub fn creator(&self) -> Option<&str> {
        self.entry.as_ref()?.creator.as_deref()
    }
}

impl<S, C> DocumentRequest<S, C>
where
    S: Send + Sync + 'static,
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    /// Returns the state of the document before the action. For a document that does not exist, the
    /// empty state. Only a rule that asks for it opens the document for a subscription.
    ///
    /// # Errors
    /// If the log or the storage fails. Pass the error on.
    pub async fn state(&self) -> Result<C, HandlerError> {
        match &self.state {
            StateSource::Known(state) => Ok(state.clone()),
            StateSource::OnDemand(documents) => {
                let mut document = documents.lock(&self.key, self.context.server()).await?;
                document.state().await
            }
        }
    }

    /// Returns the state of the document after the action: for `KIND/create` and `KIND/edit` with
    /// its operations, for others as [`state`](Self::state).
    ///
    /// # Errors
    /// As [`state`](Self::state), and if the operations are not valid for the document.
    pub async fn result(&self) -> Result<C, HandlerError> {
        let state = self.state().await?;
        let shared = Shared::<C>::new(self.key.kind().clone(), self.key.id().clone());
        let context = &self.context;
        let result = shared.admit(&state, context.action(), &context.meta().stamp());
        result.map_err(|error| super::checks::malformed(context, &error))
    }
}
