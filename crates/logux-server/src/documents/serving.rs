//! The channels and action types of a kind of documents.

use std::{future::Future, sync::Arc};

use logux::{
    action::{AccessList, DocumentAccess, DocumentKey, DocumentOperation, DocumentVerb},
    crdt::{Crdt, Shared},
    replay::Reducer as _,
    server::{
        CatalogEntry, CreateOutcome, DocumentCreation, DocumentDeletion, FateKey, Recipients,
        RequestKind, Retention, UndoTarget,
    },
    store::Store,
};

use crate::{
    documents::{
        access_changes::{AccessChanges, AccessObserver, manages, to_node},
        change_feed::{ChangeFeed, FeedObserver},
        checks::{admit, admit_undo, key_of, operations, read_ops},
        inspected,
        json_feeds::{JsonFeeds, JsonObserver},
        json_format::is_json,
        kind::{DocumentKind, DocumentKindBuilder},
        open::{LockedDocument, OpenDocuments, Recorder},
        purging::{is_purged, purge_deleted},
        request::{DocumentRequest, StateSource},
        service::DocumentServices,
        settlement::Settlements,
        storage::{DocumentStorage, shared::SharedDocumentStorage},
    },
    error::{BuildError, HandlerError},
    handlers::{
        action_type::{ActionType, ActionTypeBuilder},
        channel::{Channel, ChannelBuilder},
        context::Context,
    },
    http::inspected_documents::InspectedDocuments,
    hub::handle::{Handle, WeakHandle},
    server::builder::Builder,
    telemetry::event::{Event, Failure},
};

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Serves documents of type `C` that clients edit together: the channels `KIND/ID`, and the
    /// action types `KIND/create`, `KIND/edit` and `KIND/delete`. The server's log has the latest
    /// snapshot of each document and the later edits; the storage has which documents exist, and
    /// former edits. See [`documents`](crate::documents).
    ///
    /// A name is either a kind of documents or a [collection](Self::sync_map) of records.
    ///
    /// ```
    /// use logux::{action::DocumentOperation, crdt::Document};
    /// use logux_server::{MemoryDocuments, Server};
    ///
    /// let server = Server::builder()
    ///     .auth(|login| async move { Ok(login.token.is_some()) })
    ///     .documents::<Document>("notes", MemoryDocuments::new(), |kind| {
    ///         kind.access(|request| async move {
    ///             let is_guest = request.user_id() == Some("guest");
    ///             Ok(request.operation() == DocumentOperation::Read || !is_guest)
    ///         })
    ///         .undoable()
    ///     });
    /// ```
    #[must_use]
    pub fn documents<C>(
        self,
        kind: &str,
        storage: impl DocumentStorage,
        configure: impl FnOnce(DocumentKindBuilder<S, C>) -> DocumentKind<S, C>,
    ) -> Self
    where
        C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
    {
        let mut settings = configure(DocumentKindBuilder::new());
        let rules = settings.rule_error.take().map_or(Ok(()), |(operation, error)| {
            Err(BuildError::AccessRule { name: kind.into(), row: operation.as_str(), error })
        });
        let storage: SharedDocumentStorage = Arc::new(storage);
        let documents = OpenDocuments::<C>::new(kind, storage);
        let feed = settings.on_change.clone().map(|hook| ChangeFeed::new(kind, hook));
        let settlements = Settlements {
            feed: feed.clone(),
            rule: settings.settlement,
            history_kept_for: settings.history_kept_for,
            storage: documents.storage(),
        };
        let snapshots = settlements.make_snapshots::<C>();
        let server = self.record(rules).add_documents(kind, settings.settlement, snapshots);
        let json = JsonFeeds::new(documents.clone());
        let server = server
            .observer(Box::new(Recorder(documents.clone())))
            .observer(Box::new(JsonObserver(json.clone())));
        let server = match feed {
            Some(feed) => server
                .observer(Box::new(FeedObserver(feed.clone())))
                .background(move |handle| feed.run(handle)),
            None => server,
        };
        let (purged, kept_for) = (documents.clone(), settings.deletions_kept_for);
        let mut server = server.background(move |handle| purge_deleted(purged, kept_for, handle));
        let services = server.extensions().get_or_insert_default::<DocumentServices>();
        services.insert(kind.into(), documents.clone());
        server.extensions().insert(InspectedDocuments(inspected::answer));
        let changes = Arc::new(AccessChanges::default());
        if !settings.managed.is_empty() {
            let (kind, manages) = (kind.into(), manages::<C>(settings.managed.clone()));
            let observer = AccessObserver { kind, changes: changes.clone(), manages };
            server = server.observer(Box::new(observer));
        }
        let state = server.state().clone();
        let kind_name = kind.into();
        let serving =
            Arc::new(Serving { kind: kind_name, documents, settings, json, changes, state });
        let telling = serving.clone();
        let server = server.background(move |handle| telling.tell_changes(handle));
        let name = |verb: DocumentVerb| format!("{kind}/{}", verb.as_str());
        server
            .document_commands(kind, &serving)
            .record_channel(kind, |channel| serving.channel(channel))
            .action_type(name(DocumentVerb::Create), |_| serving.edits(Serving::create))
            .action_type(name(DocumentVerb::Edit), |_| serving.undoable_edits())
            .action_type(name(DocumentVerb::Change), |_| serving.changes())
            .action_type(name(DocumentVerb::Delete), |_| serving.actions(Serving::delete))
            .action_type(name(DocumentVerb::Snapshot), ActionTypeBuilder::own)
            .action_type(format!("{kind}/state"), ActionTypeBuilder::own)
            .action_type(format!("{kind}/changed"), ActionTypeBuilder::own)
    }
}

/// A kind of documents that is served.
pub(super) struct Serving<S, C: Crdt> {
    pub(super) kind: Arc<str>,
    pub(super) documents: Arc<OpenDocuments<C>>,
    pub(super) settings: DocumentKind<S, C>,
    pub(super) json: Arc<JsonFeeds<C>>,
    changes: Arc<AccessChanges>,
    state: Arc<S>,
}

impl<S, C> Serving<S, C>
where
    S: Send + Sync + 'static,
    C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
{
    /// Returns the handlers of the channels. A subscriber receives the snapshot and the edits, or
    /// the edits that it has missed; then what it may do.
    fn channel(self: &Arc<Self>, channel: ChannelBuilder<S>) -> Channel<S> {
        let [reading, filtering, telling] = [self.clone(), self.clone(), self.clone()];
        channel
            .access(move |context| reading.clone().may_read(context))
            .filter_if(move |context| {
                let filter = filtering.json_filter(&context, &filtering.key_of_channel(&context));
                async move { filter }
            })
            .replay_if(|subscription| !is_json(subscription).unwrap_or_default())
            .load(move |context| {
                let serving = telling.clone();
                async move {
                    let access = serving.access_of_new(&context).await?.to_action()?;
                    if is_json(context.action())? {
                        serving
                            .json
                            .send_state(&context, &serving.key_of_channel(&context))
                            .await?;
                    }
                    Ok(access)
                }
            })
            .presence()
    }

    fn key_of_channel(&self, context: &Context<S>) -> DocumentKey {
        DocumentKey::new(self.kind.clone(), context.param("id"))
    }

    async fn may_read(self: Arc<Self>, context: Context<S>) -> Result<bool, HandlerError> {
        let key = self.key_of_channel(&context);
        let entry = {
            let document = self.documents.lock(&key, context.server()).await?;
            // Who may not read learns nothing else about a document that exists.
            document.entry().cloned()
        };
        if entry.is_none()
            && (!self.settings.is_created_by_edits || is_purged(&key, context.server()).await?)
        {
            return Err(HandlerError::NotFound);
        }
        let is_deleted = entry.as_ref().is_some_and(|entry| entry.deletion().is_some());
        let may_read = self.allows(&context, &key, entry, DocumentOperation::Read, None).await?;
        if may_read && is_deleted {
            return Err(HandlerError::undo("deleted"));
        }
        Ok(may_read)
    }

    /// Asks the rule of access whether the author may do something with a document, whose state is
    /// read only if the rule asks for it. `state`: it is known, because the queue of the document
    /// is held, or the document is a new one.
    pub(super) async fn allows(
        &self,
        context: &Context<S>,
        key: &DocumentKey,
        entry: Option<CatalogEntry>,
        operation: DocumentOperation,
        state: Option<C>,
    ) -> Result<bool, HandlerError> {
        let on_demand = || StateSource::OnDemand(self.documents.clone());
        let state = state.map_or_else(on_demand, StateSource::Known);
        let (context, key) = (context.clone(), key.clone());
        (self.settings.access)(DocumentRequest { context, key, operation, entry, state }).await
    }

    /// Returns what a subscriber may do, as the action that tells it.
    async fn access_of(
        &self,
        context: &Context<S>,
        key: DocumentKey,
    ) -> Result<DocumentAccess, HandlerError> {
        let entry = self.documents.lock(&key, context.server()).await?.entry().cloned();
        let mut operations = Vec::new();
        for operation in DocumentOperation::ALL {
            if operation == DocumentOperation::Create {
                continue;
            }
            if self.allows(context, &key, entry.clone(), operation, None).await? {
                operations.push(operation);
            }
        }
        let operations: AccessList = operations.into_iter().collect();
        Ok(DocumentAccess { key, operations })
    }

    /// Returns what a new subscriber may do. It may have lost the right to read since its request
    /// was checked, before it was known as a subscriber.
    async fn access_of_new(&self, context: &Context<S>) -> Result<DocumentAccess, HandlerError> {
        let access = self.access_of(context, self.key_of_channel(context)).await?;
        if access.operations.allows(DocumentOperation::Read) {
            Ok(access)
        } else {
            Err(HandlerError::Denied)
        }
    }

    /// Tells subscribers of documents whose rights have changed what they may do, until the server
    /// ends.
    async fn tell_changes(self: Arc<Self>, server: WeakHandle) {
        while let Some((handle, changed)) = server.wait_for(self.changes.next()).await {
            for id in changed {
                let key = DocumentKey::new(self.kind.clone(), id);
                if let Err(error) = self.tell_subscribers(&key, &handle).await {
                    let what = Failure::Access { channel: key.channel() };
                    handle.telemetry().record(&Event::Failed { what, error: &error.message() });
                }
            }
        }
    }

    async fn tell_subscribers(
        &self,
        key: &DocumentKey,
        handle: &Handle,
    ) -> Result<(), HandlerError> {
        let channel = key.channel();
        for subscriber in handle.subscribers(channel.clone()).await {
            let (state, server) = (self.state.clone(), handle.clone());
            let context = Context::of_subscriber(subscriber, channel, state, server)?;
            let access = self.access_of(&context, key.clone()).await?;
            let node = to_node(context.node_id());
            if access.operations.allows(DocumentOperation::Read) {
                handle.send(access.to_action()?, node).await;
            } else {
                handle.unsubscribe(node, channel.clone()).await;
            }
        }
        Ok(())
    }

    /// Checks that the author may do something with a document whose queue is held.
    pub(super) async fn check_access(
        &self,
        context: &Context<S>,
        document: &mut LockedDocument<C>,
        operation: DocumentOperation,
    ) -> Result<(), HandlerError> {
        if context.request_kind() == RequestKind::OwnAction {
            return Ok(());
        }
        let (key, entry) = (document.key().clone(), document.entry().cloned());
        let state = document.state().await?;
        let is_allowed = self.allows(context, &key, entry, operation, Some(state)).await?;
        if is_allowed { Ok(()) } else { Err(HandlerError::Denied) }
    }

    pub(super) async fn check_operations(
        &self,
        context: &Context<S>,
        document: &mut LockedDocument<C>,
        ops: &[C::Op],
    ) -> Result<(), HandlerError> {
        for operation in operations::<C>(ops, &self.settings.comments, &self.settings.managed) {
            self.check_access(context, document, operation).await?;
        }
        Ok(())
    }

    /// Returns the handlers of actions about a document, for its subscribers: `accept` decides
    /// about them, also about those of the server itself, before others receive them.
    fn actions<F>(
        self: &Arc<Self>,
        accept: impl Fn(Arc<Self>, Context<S>, DocumentKey) -> F + Send + Sync + Copy + 'static,
    ) -> ActionType<S>
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let serving = self.clone();
        ActionTypeBuilder::new()
            .access(|_| async { Ok(true) })
            .resend(move |context: Context<S>| {
                let serving = serving.clone();
                async move {
                    let key = key_of(&context)?;
                    accept(serving, context, key.clone()).await?;
                    Ok(Recipients::channel(key.channel().clone()))
                }
            })
            // Edits merge one by one.
            .fate_key(|_| FateKey::none())
    }

    /// Returns the handlers of actions that change a document, which the log keeps.
    fn edits<F>(
        self: &Arc<Self>,
        accept: impl Fn(Arc<Self>, Context<S>, DocumentKey) -> F + Send + Sync + Copy + 'static,
    ) -> ActionType<S>
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.actions(accept)
            .keep_by(|action, _| Some(Retention::forever(DocumentKey::of(action)?.0.channel())))
    }

    fn undoable_edits(self: &Arc<Self>) -> ActionType<S> {
        let edits = self.edits(Self::edit);
        if self.settings.undo.is_none() {
            return edits;
        }
        let serving = self.clone();
        edits.undoable_by(move |context, target| serving.clone().may_undo(context, target))
    }

    /// Decides about the undo of an edit. It needs the same permissions as the edit, and its result
    /// has to fulfil the schema.
    async fn may_undo(
        self: Arc<Self>,
        context: Context<S>,
        target: UndoTarget,
    ) -> Result<bool, HandlerError> {
        let Some(rule) = &self.settings.undo else { return Ok(false) };
        if !rule(context.clone(), target.clone()).await? {
            return Ok(false);
        }
        let Some((key, _)) = DocumentKey::of(&target.action.action) else { return Ok(false) };
        let mut document = self.documents.lock(&key, context.server()).await?;
        document.existing()?;
        let shared = Shared::<C>::new(key.kind().clone(), key.id().clone());
        let Ok(Some(ops)) = shared.read(&target.action.action) else { return Ok(false) };
        match self.check_operations(&context, &mut document, &ops).await {
            Ok(()) => {}
            Err(HandlerError::Denied) => return Ok(false),
            Err(error) => return Err(error),
        }
        if let Some(schema) = &self.settings.schema {
            admit_undo(&mut document, &**schema, &target).await?;
        }
        Ok(true)
    }

    async fn edit(
        self: Arc<Self>,
        context: Context<S>,
        key: DocumentKey,
    ) -> Result<(), HandlerError> {
        let ops = read_ops::<S, C>(&context, &key)?;
        let document = self.documents.lock(&key, context.server()).await?;
        self.edit_in(&context, document, &ops).await
    }

    /// Decides about the operations of an edit of a document whose queue is held, and applies them.
    pub(super) async fn edit_in(
        &self,
        context: &Context<S>,
        mut document: LockedDocument<C>,
        ops: &[C::Op],
    ) -> Result<(), HandlerError> {
        if document.entry().is_none() && self.settings.is_created_by_edits {
            self.check_operations(context, &mut document, ops).await?;
            return self.create_in(context, document, ops).await;
        }
        document.existing()?;
        self.check_operations(context, &mut document, ops).await?;
        if let Some(max) = self.settings.limits.max_bytes_per_user
            && document.used_by_creator().await?.is_some_and(|bytes| bytes >= max)
        {
            return Err(HandlerError::undo("userBytesLimit"));
        }
        admit(context, &mut document, self.settings.checks(), false).await
    }

    async fn create(
        self: Arc<Self>,
        context: Context<S>,
        key: DocumentKey,
    ) -> Result<(), HandlerError> {
        let ops = read_ops::<S, C>(&context, &key)?;
        let document = self.documents.lock(&key, context.server()).await?;
        self.create_in(&context, document, &ops).await
    }

    async fn create_in(
        &self,
        context: &Context<S>,
        mut document: LockedDocument<C>,
        ops: &[C::Op],
    ) -> Result<(), HandlerError> {
        let creation = DocumentCreation {
            stamp: context.meta().stamp(),
            creator: creator_of(context),
            at: context.server().now(),
        };
        let outcome = document.entry().cloned().map(|mut entry| entry.create(&creation));
        match outcome {
            None | Some(CreateOutcome::Created) => {
                self.check_access(context, &mut document, DocumentOperation::Create).await?;
            }
            // Who creates a document that exists adds to it.
            Some(CreateOutcome::Existed) => {
                self.check_operations(context, &mut document, ops).await?;
            }
            Some(CreateOutcome::Revived) => {
                self.check_access(context, &mut document, DocumentOperation::Delete).await?;
                if !ops.is_empty() {
                    self.check_operations(context, &mut document, ops).await?;
                }
            }
            Some(CreateOutcome::Deleted) => return Err(HandlerError::undo("deleted")),
        }
        let is_new = outcome.is_none();
        if is_new && is_purged(document.key(), context.server()).await? {
            return Err(HandlerError::undo("purged"));
        }
        if is_new {
            self.check_quota(context, creation.creator.as_deref()).await?;
        }
        admit(context, &mut document, self.settings.checks(), is_new).await?;
        let created = document.storage().create(document.key().clone(), creation).await;
        match created {
            Ok((_, entry)) => {
                document.set_entry(Some(entry));
                if outcome == Some(CreateOutcome::Revived) {
                    self.json.dropped(document.key().id());
                }
            }
            Err(error) => {
                // The action is in the state, but not in the catalog.
                document.close();
                self.json.changed(document.key().id());
                return Err(error);
            }
        }
        Ok(())
    }

    /// Checks that a user may create one more document. The server may in any case.
    pub(super) async fn check_quota(
        &self,
        context: &Context<S>,
        creator: Option<&str>,
    ) -> Result<(), HandlerError> {
        if context.request_kind() == RequestKind::OwnAction {
            return Ok(());
        }
        let limits = &self.settings.limits;
        let Some(user) = creator else { return Ok(()) };
        if limits.max_documents_per_user.is_none() && limits.max_bytes_per_user.is_none() {
            return Ok(());
        }
        let usage = self.documents.storage().usage(user.into(), Some(self.kind.clone())).await?;
        if limits.max_documents_per_user.is_some_and(|max| usage.documents >= max) {
            return Err(HandlerError::undo("documentLimit"));
        }
        if limits.max_bytes_per_user.is_some_and(|max| usage.bytes >= max) {
            return Err(HandlerError::undo("userBytesLimit"));
        }
        Ok(())
    }

    /// Decides about `KIND/delete`. The edits stay until the document is purged.
    async fn delete(
        self: Arc<Self>,
        context: Context<S>,
        key: DocumentKey,
    ) -> Result<(), HandlerError> {
        let mut document = self.documents.lock(&key, context.server()).await?;
        if document.entry().is_none() {
            return Err(HandlerError::NotFound);
        }
        self.check_access(&context, &mut document, DocumentOperation::Delete).await?;
        let deletion = DocumentDeletion {
            stamp: context.meta().stamp(),
            by: context.user_id().map(Into::into),
            at: context.server().now(),
        };
        let deleted = document.storage().delete(key, deletion).await?;
        document.set_entry(deleted.map(|(_, entry)| entry));
        self.json.dropped(document.key().id());
        Ok(())
    }
}

/// Returns the user who creates a document: the author, or whom an action of the server names.
fn creator_of<S>(context: &Context<S>) -> Option<Arc<str>> {
    if context.is_server() {
        return context.action().str_field("creator").map(Into::into);
    }
    context.user_id().map(Into::into)
}
