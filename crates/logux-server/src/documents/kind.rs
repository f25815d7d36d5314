//! Documents that clients edit together: their channels and action types, and the snapshots that
//! settle them.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

use logux::{
    Entry, WallTime,
    action::{DocumentKey, DocumentVerb},
    crdt::{Crdt, Shared},
    replay::Reducer as _,
    server::{
        DocumentSnapshot, FateKey, Recipients, Retention, SettlementRule, SnapshotBuilder,
        UndoTarget,
    },
    store::Store,
};
use tokio::sync::Semaphore;

use crate::{
    error::HandlerError,
    handlers::{
        action_type::{ActionType, ActionTypeBuilder},
        context::Context,
        handler::BoxFuture,
    },
    hub::handle::Handle,
    server::builder::Builder,
    telemetry::event::Event,
};

/// What a client wants to do with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DocumentOperation {
    /// Receive its state and its edits: `logux/subscribe` to `KIND/ID`.
    Read,
    /// Begin it: `KIND/create`.
    Create,
    /// Change it: `KIND/edit`.
    Edit,
}

type Access<S> =
    Arc<dyn Fn(Context<S>, Arc<str>, DocumentOperation) -> BoxFuture<bool> + Send + Sync>;
type Undoable<S> = Box<dyn FnOnce(ActionType<S>) -> ActionType<S>>;

/// Builds a [`DocumentKind`], beginning with the rule for access.
pub struct DocumentKindBuilder<S>(PhantomData<fn(S)>);

impl<S> fmt::Debug for DocumentKindBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DocumentKindBuilder")
    }
}

impl<S: Send + Sync + 'static> DocumentKindBuilder<S> {
    /// Decides whether the author may do something with the document that has this id. `false`
    /// undoes the action with the reason `denied`.
    pub fn access<F>(
        self,
        access: impl Fn(Context<S>, Arc<str>, DocumentOperation) -> F + Send + Sync + 'static,
    ) -> DocumentKind<S>
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        let access: Access<S> =
            Arc::new(move |context, id, operation| Box::pin(access(context, id, operation)));
        DocumentKind { access, undo: None, rule: SettlementRule::default() }
    }
}

/// A kind of documents of a server: who may use them, and when they are settled.
pub struct DocumentKind<S = ()> {
    access: Access<S>,
    undo: Option<Undoable<S>>,
    rule: SettlementRule,
}

impl<S> fmt::Debug for DocumentKind<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentKind").field("rule", &self.rule).finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static> DocumentKind<S> {
    /// Lets each user undo and redo the own edits, as [`ActionType::undoable`] does, until they are
    /// settled. Default: clients may undo nothing.
    #[must_use]
    pub fn undoable(mut self) -> Self {
        self.undo = Some(Box::new(ActionType::undoable));
        self
    }

    /// Decides who may undo an edit, or an undo of it, as [`ActionType::undoable_by`] does.
    #[must_use]
    pub fn undoable_by<F>(
        mut self,
        rule: impl Fn(Context<S>, UndoTarget) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        self.undo = Some(Box::new(move |action| action.undoable_by(rule)));
        self
    }

    /// Sets how many edits of a document stay open, and for how long a device may be away. Default:
    /// the latest 10,000 edits can be undone; 90 days.
    #[must_use]
    pub fn settlement(mut self, rule: SettlementRule) -> Self {
        self.rule = rule;
        self
    }
}

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Serves documents of type `C` that clients edit together: the channels `KIND/ID`, and the
    /// action types `KIND/create` and `KIND/edit`. The server keeps their edits, and settles them
    /// by snapshots. See [`documents`](crate::documents).
    ///
    /// An edit with operations that `C` does not know, or that exceed its limits, is undone with
    /// the reason `wrongFormat`. A name is either a kind of documents or a
    /// [collection](Self::sync_map) of records.
    ///
    /// ```
    /// use logux::crdt::Document;
    /// use logux_server::{DocumentOperation, Server};
    ///
    /// let server = Server::builder()
    ///     .auth(|login| async move { Ok(login.token.is_some()) })
    ///     .documents::<Document>("notes", |kind| {
    ///         kind.access(|context, _id, operation| async move {
    ///             Ok(operation == DocumentOperation::Read || context.user_id() != Some("guest"))
    ///         })
    ///         .undoable()
    ///     });
    /// ```
    #[must_use]
    pub fn documents<C: Crdt + Send + 'static>(
        self,
        kind: &str,
        handlers: impl FnOnce(DocumentKindBuilder<S>) -> DocumentKind<S>,
    ) -> Self
    where
        C::Op: Send,
    {
        let DocumentKind { access, undo, rule } = handlers(DocumentKindBuilder(PhantomData));
        let limit = Arc::new(Semaphore::new(1));
        let settle =
            move |key: DocumentKey, handle: Handle| -> BoxFuture<Option<DocumentSnapshot>> {
                let limit = limit.clone();
                Box::pin(async move { make_snapshot::<C>(key, rule, &handle, &limit).await })
            };
        let server = self.add_documents(kind, rule, Arc::new(settle));
        let may_read = access.clone();
        let server = server.record_channel(kind, |channel| {
            let access = move |context: Context<S>| {
                let id = context.param("id").into();
                may_read(context, id, DocumentOperation::Read)
            };
            channel.access(access).replay().presence()
        });
        let edit = edit_type::<S, C>(&access, DocumentOperation::Edit);
        let create = edit_type::<S, C>(&access, DocumentOperation::Create);
        let undo = undo.unwrap_or_else(|| Box::new(|action| action));
        let name = |verb: DocumentVerb| format!("{kind}/{}", verb.as_str());
        server
            .action_type(name(DocumentVerb::Edit), |_| undo(edit))
            .action_type(name(DocumentVerb::Create), |_| create)
            .action_type(name(DocumentVerb::Snapshot), ActionTypeBuilder::own)
    }
}

/// Returns the handlers of the actions that begin or change a document.
fn edit_type<S: Send + Sync + 'static, C: Crdt>(
    access: &Access<S>,
    operation: DocumentOperation,
) -> ActionType<S> {
    let access = access.clone();
    let access = move |context: Context<S>| {
        let decision =
            check_edit::<S, C>(&context).map(|key| access(context, key.id().clone(), operation));
        async move { decision?.await }
    };
    let builder = ActionTypeBuilder::new().access(access);
    builder
        .resend(|context| {
            let key = DocumentKey::of(context.action());
            async move { Ok(key.map_or_else(Recipients::default, |(key, _)| channel_of(&key))) }
        })
        .keep_by(|action, _| Some(Retention::forever(DocumentKey::of(action)?.0.channel())))
        // Edits merge one by one.
        .fate_key(|_| FateKey::none())
}

fn channel_of(key: &DocumentKey) -> Recipients {
    Recipients::channel(key.channel().clone())
}

/// Returns the document of an edit whose operations are valid.
fn check_edit<S, C: Crdt>(context: &Context<S>) -> Result<DocumentKey, HandlerError> {
    let wrong_format = |error: &dyn fmt::Display| {
        let event = Event::WrongFormat { id: &context.meta().id, error };
        context.server().telemetry().record(&event);
        HandlerError::undo("wrongFormat")
    };
    let Some((key, _)) = DocumentKey::of(context.action()) else {
        return Err(wrong_format(&"expected \"id\" with the id of a document, a non-empty string"));
    };
    let shared = Shared::<C>::new(key.kind().clone(), key.id().clone());
    match shared.read(context.action()) {
        Ok(_) => Ok(key),
        Err(error) => Err(wrong_format(&error)),
    }
}

/// Makes the snapshot of a document, on a thread for blocking work. One at a time for each kind.
async fn make_snapshot<C: Crdt + Send + 'static>(
    key: DocumentKey,
    rule: SettlementRule,
    handle: &Handle,
    limit: &Semaphore,
) -> Result<Option<DocumentSnapshot>, HandlerError>
where
    C::Op: Send,
{
    let _permit = limit.acquire().await?;
    let mut builder = SnapshotBuilder::<C>::new(key, rule);
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = Some(builder.query());
    while let Some(query) = next {
        let page = handle.log_page(query).await?;
        entries.extend(page.entries);
        next = page.next;
    }
    let now: WallTime = handle.now();
    let snapshot = tokio::task::spawn_blocking(move || {
        entries.iter().for_each(|entry| builder.add(entry));
        builder.build(now)
    });
    Ok(snapshot.await??)
}
