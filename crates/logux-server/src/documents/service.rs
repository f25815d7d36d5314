//! The documents of a running server, for the server's own code and for people who run it.

use std::{any::Any, collections::HashMap, fmt, sync::Arc};

use logux::{
    Action,
    action::{AuthoredText, DocumentKey, HistoryPage, Moment, NamedVersion},
    crdt::{Crdt, Document, Path},
    server::{CatalogEntry, CatalogPage, CatalogQuery, DocumentUsage},
};
use serde_json::json;

use crate::{
    documents::{
        authorship::authors,
        checks::refused,
        history::{History, named},
        open::OpenDocuments,
        purging::purge,
        storage::shared::SharedDocumentStorage,
    },
    error::HandlerError,
    handlers::handler::BoxFuture,
    hub::handle::{AddError, Handle},
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
    /// Returns the state at a moment as JSON, with its position.
    fn json_at(
        self: Arc<Self>,
        key: DocumentKey,
        moment: Moment,
        server: Handle,
    ) -> BoxFuture<(u64, serde_json::Value)>;
    /// Returns the differences of the states at two moments. For types other than
    /// [`Document`](logux::crdt::Document), the whole value.
    fn changes(
        self: Arc<Self>,
        key: DocumentKey,
        moments: [Moment; 2],
        server: Handle,
    ) -> BoxFuture<serde_json::Value>;
    /// Returns who has written the text at a path, at a moment.
    fn authors(
        self: Arc<Self>,
        key: DocumentKey,
        moment: Moment,
        path: Path,
        server: Handle,
    ) -> BoxFuture<Vec<AuthoredText>>;
    /// Returns the operations that make a new document show what a document shows.
    fn ops(self: Arc<Self>, key: DocumentKey, server: Handle) -> BoxFuture<serde_json::Value>;
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

    fn json_at(
        self: Arc<Self>,
        key: DocumentKey,
        moment: Moment,
        server: Handle,
    ) -> BoxFuture<(u64, serde_json::Value)> {
        Box::pin(async move {
            let (position, state) = self.state_at(&key, &moment, &server).await?;
            let value = tokio::task::spawn_blocking(move || state.to_json()).await?;
            Ok((position, value))
        })
    }

    fn changes(
        self: Arc<Self>,
        key: DocumentKey,
        [before, after]: [Moment; 2],
        server: Handle,
    ) -> BoxFuture<serde_json::Value> {
        Box::pin(async move {
            let (_, before) = self.state_at(&key, &before, &server).await?;
            let (_, after) = self.state_at(&key, &after, &server).await?;
            let changes = tokio::task::spawn_blocking(move || changes(&before, &after));
            Ok(changes.await??)
        })
    }

    fn authors(
        self: Arc<Self>,
        key: DocumentKey,
        moment: Moment,
        path: Path,
        server: Handle,
    ) -> BoxFuture<Vec<AuthoredText>> {
        Box::pin(async move {
            let (_, state) = self.state_at(&key, &moment, &server).await?;
            authors(state, path).await
        })
    }

    fn ops(self: Arc<Self>, key: DocumentKey, server: Handle) -> BoxFuture<serde_json::Value> {
        Box::pin(async move {
            let mut document = self.lock(&key, &server).await?;
            document.existing()?;
            let state = document.state().await?;
            drop(document);
            let ops = tokio::task::spawn_blocking(move || {
                C::default().restore_ops(&state, server.node())
            });
            Ok(serde_json::to_value(ops.await??)?)
        })
    }
}

/// Returns the differences of two states as JSON.
fn changes<C: Crdt + 'static>(before: &C, after: &C) -> serde_json::Result<serde_json::Value> {
    let documents: [Option<&Document>; 2] =
        [before, after].map(|state| (state as &dyn Any).downcast_ref());
    if let [Some(before), Some(after)] = documents {
        return serde_json::to_value(before.changes_to(after));
    }
    let [before, after] = [before.to_json(), after.to_json()];
    let change = serde_json::json!({"path": "", "before": before, "after": after});
    Ok(if change["before"] == change["after"] { vec![] } else { vec![change] }.into())
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

    pub(super) fn storage(&self) -> SharedDocumentStorage {
        self.service.storage()
    }

    pub(super) fn key(&self, id: &str) -> DocumentKey {
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
    /// What clients have received stays on their devices, and so does what is in backups. Therefore
    /// the id is not used again: that it was purged, and when, stays in the log, and a later
    /// `KIND/create` is undone with the reason `purged`.
    ///
    /// # Errors
    /// If the storage fails, or the server stops. Call it again: what was removed stays removed.
    pub async fn purge(&self, id: &str) -> Result<bool, HandlerError> {
        if !self.delete(id).await? {
            return Ok(false);
        }
        self.service.clone().purge(self.key(id), self.server.clone()).await
    }

    /// Returns the actions of a document before a position, newest first, at most 200: those that
    /// are not settled, and those that the [history](crate::DocumentKind::keep_history_for) has.
    ///
    /// # Errors
    /// If the log or the storage fails.
    pub async fn history(
        &self,
        id: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<HistoryPage, HandlerError> {
        let history = History::read(self.key(id), self.service.storage(), &self.server).await?;
        history.page(before, limit).await
    }

    /// Returns the named versions of a document, oldest first.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn versions(&self, id: &str) -> Result<Vec<NamedVersion>, HandlerError> {
        let versions = self.service.storage().versions(self.key(id)).await?;
        Ok(versions.into_iter().map(named).collect())
    }

    /// Gives the current state of a document a name, as `KIND/version` of a client does.
    ///
    /// # Errors
    /// The reasons `notFound`, `nameTaken` and `versionLimit`, and if the storage fails.
    pub async fn name_version(&self, id: &str, name: &str) -> Result<(), HandlerError> {
        self.command("version", json!({"id": id, "name": name})).await
    }

    /// Removes a named version: its name is free again. The history that was kept for it alone
    /// is forgotten when the document is settled the next time. Returns `false` if the document has
    /// no such version.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn remove_version(&self, id: &str, name: &str) -> Result<bool, HandlerError> {
        self.service.storage().remove_version(self.key(id), name.into()).await
    }

    /// Returns the state of a document at a moment as JSON, with its position. O(actions since the
    /// snapshot before it).
    ///
    /// # Errors
    /// [`HandlerError::NotFound`] without such a document, version or time; the reason `forgotten`
    /// if the history does not reach so far; and if the log or the storage fails.
    pub async fn json_at(
        &self,
        id: &str,
        moment: Moment,
    ) -> Result<(u64, serde_json::Value), HandlerError> {
        self.service.clone().json_at(self.key(id), moment, self.server.clone()).await
    }

    /// Returns the differences of the states at two moments, as JSON: an array of
    /// [`DocumentChange`](logux::crdt::DocumentChange)s. For other types than `Document`, one
    /// change of the whole value.
    ///
    /// # Errors
    /// As [`json_at`](Self::json_at).
    pub async fn changes(
        &self,
        id: &str,
        from: Moment,
        to: Moment,
    ) -> Result<serde_json::Value, HandlerError> {
        self.service.clone().changes(self.key(id), [from, to], self.server.clone()).await
    }

    /// Returns who has written the text at a path, at a moment, part by part in the order of the
    /// text. In `path`, items and nodes have their names, as in [`changes`](Self::changes). The
    /// current state is that of `Moment::Position(u64::MAX)`.
    ///
    /// ```no_run
    /// use logux::action::Moment;
    /// # async fn print(server: &logux_server::Handle) -> Result<(), logux_server::HandlerError> {
    /// let notes = server.documents("notes").expect("the server has notes");
    /// let draft = Moment::Version("draft".into());
    /// for part in notes.authors("7", draft, &"/body".parse().expect("a path")).await? {
    ///     println!("{:?} by {:?}", part.text, part.user);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`json_at`](Self::json_at), and the reason `noText` if no text was at the path that
    /// merges: a string that was set as a value has no authors.
    pub async fn authors(
        &self,
        id: &str,
        moment: Moment,
        path: &Path,
    ) -> Result<Vec<AuthoredText>, HandlerError> {
        let (key, path) = (self.key(id), path.clone());
        self.service.clone().authors(key, moment, path, self.server.clone()).await
    }

    /// Makes a document show what it showed at a moment, by one edit, as `KIND/restore` of a client
    /// does. The edit can be undone.
    ///
    /// # Errors
    /// As [`json_at`](Self::json_at).
    pub async fn restore(&self, id: &str, moment: &Moment) -> Result<(), HandlerError> {
        let mut fields = serde_json::to_value(moment)?;
        fields["id"] = id.into();
        self.command("restore", fields).await
    }

    /// Exports a document: `{"kind","id","creator","createdAt","changedAt","value","ops"}`.
    /// `value` is what it shows; `ops` are operations that make a new document show the same, with
    /// texts, lists, trees, counters and sets as such. Times are milliseconds since the epoch.
    ///
    /// # Errors
    /// [`HandlerError::NotFound`], the reason `deleted`, and if the log or the storage fails.
    pub async fn export(&self, id: &str) -> Result<serde_json::Value, HandlerError> {
        let entry = self.find(id).await?.ok_or(HandlerError::NotFound)?;
        let ops = self.service.clone().ops(self.key(id), self.server.clone()).await?;
        let value = self.json(id).await?;
        Ok(json!({
            "kind": self.kind(),
            "id": id,
            "creator": entry.creator,
            "createdAt": entry.created_at.as_millis(),
            "changedAt": entry.changed_at.as_millis(),
            "value": value,
            "ops": ops,
        }))
    }

    /// Creates a document from what [`export`](Self::export) returned, or from an object with only
    /// a `value`, whose parts are then plain values. `creator` is the user who is to be its
    /// creator.
    ///
    /// # Errors
    /// The reason `exists` if there is such a document, `wrongFormat` for operations that are not
    /// valid, and if the log or the storage fails.
    pub async fn import(
        &self,
        id: &str,
        exported: &serde_json::Value,
        creator: Option<&str>,
    ) -> Result<(), HandlerError> {
        if self.find(id).await?.is_some() {
            return Err(HandlerError::undo("exists"));
        }
        let ops = match (exported.get("ops"), exported.get("value")) {
            (Some(ops), _) => ops.clone(),
            (None, Some(value)) => json!([{"op": "set", "path": "", "value": value}]),
            (None, None) => {
                return Err(refused(
                    "wrongFormat",
                    &"expected an object with \"ops\" or \"value\"",
                ));
            }
        };
        let mut fields = json!({"id": id, "ops": ops});
        if let Some(creator) = creator {
            fields["creator"] = creator.into();
        }
        self.command("create", fields).await
    }

    /// Lets the server process an action of its own.
    async fn command(&self, name: &str, fields: serde_json::Value) -> Result<(), HandlerError> {
        let action = Action::typed(&format!("{}/{name}", self.kind()), &fields)?;
        match self.server.process(action).await {
            Ok(()) => Ok(()),
            Err(AddError::Undone(reason)) if reason == "notFound" => Err(HandlerError::NotFound),
            Err(AddError::Undone(reason)) => Err(HandlerError::undo(reason)),
            Err(error) => Err(HandlerError::unavailable(error)),
        }
    }
}
