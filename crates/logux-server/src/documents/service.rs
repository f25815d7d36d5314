//! The documents of a running server, for the server's own code and for people who run it.

use std::{collections::HashMap, fmt, sync::Arc};

use logux::{
    action::DocumentKey,
    crdt::Crdt,
    server::{CatalogEntry, CatalogPage, CatalogQuery, DocumentUsage},
};

use crate::{
    documents::{open::OpenDocuments, purging::purge, storage::shared::SharedDocumentStorage},
    error::HandlerError,
    handlers::handler::BoxFuture,
    hub::handle::Handle,
};

/// The documents of a kind on a running server: [`Handle::documents`]. What it does needs no
/// permission. Cheap to clone.
///
/// ```no_run
/// use logux::server::CatalogQuery;
/// # async fn list(server: &logux_server::Handle) -> Result<(), logux_server::HandlerError> {
/// let notes = server.documents("notes").expect("the server has notes");
/// for entry in notes.list(&CatalogQuery::new(20)).await?.entries {
///     println!("{} by {:?}, {} bytes", entry.id, entry.creator, entry.bytes);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Documents {
    service: Arc<dyn DocumentService>,
    server: Handle,
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").field("kind", self.kind()).finish_non_exhaustive()
    }
}

/// The services of all kinds of documents, by kind.
pub(crate) type DocumentServices = HashMap<Arc<str>, Arc<dyn DocumentService>>;

/// What a [`Documents`] does, for documents of any type.
pub(crate) trait DocumentService: Send + Sync {
    fn kind(&self) -> &Arc<str>;
    fn storage(&self) -> SharedDocumentStorage;
    /// Returns the state as JSON. `None` if the document does not exist, or is deleted.
    fn json(
        self: Arc<Self>,
        key: DocumentKey,
        server: Handle,
    ) -> BoxFuture<Option<serde_json::Value>>;
    fn purge(self: Arc<Self>, key: DocumentKey, server: Handle) -> BoxFuture<bool>;
}

impl<C> DocumentService for OpenDocuments<C>
where
    C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
{
    fn kind(&self) -> &Arc<str> {
        self.kind()
    }

    fn storage(&self) -> SharedDocumentStorage {
        self.storage()
    }

    fn json(
        self: Arc<Self>,
        key: DocumentKey,
        server: Handle,
    ) -> BoxFuture<Option<serde_json::Value>> {
        Box::pin(async move {
            let mut document = self.lock(&key, &server).await?;
            if document.existing().is_err() {
                return Ok(None);
            }
            let state = document.state().await?;
            // The queue of the document goes on while its state is written.
            drop(document);
            Ok(Some(tokio::task::spawn_blocking(move || state.to_json()).await?))
        })
    }

    fn purge(self: Arc<Self>, key: DocumentKey, server: Handle) -> BoxFuture<bool> {
        Box::pin(async move { purge(&self, &key, &server).await })
    }
}

impl Handle {
    /// Returns the documents of a kind. `None` if the server has no such kind.
    pub fn documents(&self, kind: &str) -> Option<Documents> {
        let services = self.extensions().get::<DocumentServices>()?;
        Some(Documents { service: services.get(kind)?.clone(), server: self.clone() })
    }

    /// Returns the kinds of documents that the server has, in the order of their names.
    pub fn document_kinds(&self) -> Vec<Arc<str>> {
        let services = self.extensions().get::<DocumentServices>();
        let mut kinds: Vec<_> = services.into_iter().flat_map(HashMap::keys).cloned().collect();
        kinds.sort();
        kinds
    }
}

impl Documents {
    /// Returns the kind.
    pub fn kind(&self) -> &Arc<str> {
        self.service.kind()
    }

    fn key(&self, id: &str) -> DocumentKey {
        DocumentKey::new(self.kind().clone(), id)
    }

    /// Returns what the catalog has of a document: who created it and when, its size, and its
    /// deletion. `None` if it does not exist.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn find(&self, id: &str) -> Result<Option<CatalogEntry>, HandlerError> {
        self.service.storage().find(self.key(id)).await
    }

    /// Lists documents in pages, newest change first.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn list(&self, query: &CatalogQuery) -> Result<CatalogPage, HandlerError> {
        self.service.storage().list(self.kind().clone(), query.clone()).await
    }

    /// Returns what a user has created.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn usage(&self, user: &str) -> Result<DocumentUsage, HandlerError> {
        self.service.storage().usage(user.into(), Some(self.kind().clone())).await
    }

    /// Returns the state of a document as JSON. `None` if it does not exist, or is deleted. O(what
    /// the log has of the document) if it is not open.
    ///
    /// # Errors
    /// If the log or the storage fails.
    pub async fn json(&self, id: &str) -> Result<Option<serde_json::Value>, HandlerError> {
        self.service.clone().json(self.key(id), self.server.clone()).await
    }

    /// Deletes a document, as `KIND/delete` of a client does. Its subscribers are notified. Returns
    /// `false` if it does not exist.
    ///
    /// # Errors
    /// If the storage fails, or the server stops.
    pub async fn delete(&self, id: &str) -> Result<bool, HandlerError> {
        let key = self.key(id);
        if self.find(id).await?.is_none() {
            return Ok(false);
        }
        self.server.process(key.delete_action()?).await?;
        Ok(true)
    }

    /// Removes a document for good, deleted or not: its state, its edits and its history, in the
    /// log and the storage. Its subscribers are notified of the deletion first. Returns `false` if
    /// it does not exist.
    ///
    /// What clients have received stays on their devices, and so does what is in backups. A later
    /// `KIND/create` begins a new document.
    ///
    /// # Errors
    /// If the storage fails, or the server stops. Call it again: what was removed stays removed.
    pub async fn purge(&self, id: &str) -> Result<bool, HandlerError> {
        if !self.delete(id).await? {
            return Ok(false);
        }
        self.service.clone().purge(self.key(id), self.server.clone()).await
    }
}
