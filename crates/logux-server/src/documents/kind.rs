//! A kind of documents: who may use them, and their limits.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc, time::Duration};

use logux::{
    action::DocumentOperation,
    crdt::{Crdt, DocumentSchema, Path},
    server::{SettlementRule, UndoTarget},
};

use crate::{
    access_rule::AccessRuleError,
    documents::{
        change_feed::{ChangeHook, ChangedDocument, hook},
        request::DocumentRequest,
    },
    error::HandlerError,
    handlers::{context::Context, handler::BoxFuture},
};

/// The rule that decides about a request.
pub(super) type Access<S, C> = Arc<dyn Fn(DocumentRequest<S, C>) -> BoxFuture<bool> + Send + Sync>;
/// The rule that decides who may undo an edit.
pub(super) type UndoRule<S> = Arc<dyn Fn(Context<S>, UndoTarget) -> BoxFuture<bool> + Send + Sync>;

/// Builds a [`DocumentKind`], beginning with the rule for access.
pub struct DocumentKindBuilder<S, C>(PhantomData<fn(S, C)>);

impl<S, C> fmt::Debug for DocumentKindBuilder<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DocumentKindBuilder")
    }
}

impl<S: Send + Sync + 'static, C: Crdt> DocumentKindBuilder<S, C> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }

    /// Decides whether the author may do something with a document. `false` undoes the action with
    /// the reason `denied`.
    ///
    /// The rule is called for each operation that an action needs, and once for each operation when
    /// a client subscribes, to tell the client what it may do. The rule of an edit runs in the
    /// queue of its document: later edits of the document wait for it.
    ///
    /// ```
    /// use logux::{action::DocumentOperation, crdt::Document};
    /// use logux_server::{DocumentKind, DocumentKindBuilder};
    ///
    /// // Everyone reads, the members edit, the creator does everything.
    /// fn notes(kind: DocumentKindBuilder<(), Document>) -> DocumentKind<(), Document> {
    ///     kind.access(|request| async move {
    ///         let Some(user) = request.user_id() else { return Ok(false) };
    ///         Ok(match request.operation() {
    ///             DocumentOperation::Read | DocumentOperation::Create => true,
    ///             DocumentOperation::Edit => {
    ///                 let members = request.state().await?.get(&"/members".parse()?);
    ///                 let is_member = members.is_some_and(|members| members.get(user).is_some());
    ///                 is_member || request.creator() == Some(user)
    ///             }
    ///             _ => request.creator() == Some(user),
    ///         })
    ///     })
    ///     .managed_at(["/members".parse().expect("a path")])
    ///     .undoable()
    /// }
    /// ```
    pub fn access<F>(
        self,
        access: impl Fn(DocumentRequest<S, C>) -> F + Send + Sync + 'static,
    ) -> DocumentKind<S, C>
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        DocumentKind {
            access: Arc::new(move |request| Box::pin(access(request))),
            undo: None,
            settlement: SettlementRule::default(),
            limits: DocumentLimits::default(),
            schema: None,
            comments: Vec::new(),
            managed: Vec::new(),
            deletions_kept_for: DELETIONS_KEPT_FOR,
            history_kept_for: HISTORY_KEPT_FOR,
            is_created_by_edits: false,
            on_change: None,
            rule_error: None,
        }
    }
}

/// The default of [`DocumentKind::keep_history_for`].
const HISTORY_KEPT_FOR: Duration = Duration::from_hours(30 * 24);
/// The default of [`DocumentKind::keep_deleted_for`].
const DELETIONS_KEPT_FOR: Duration = Duration::from_hours(30 * 24);

/// A kind of documents of a server: who may use them, when they are settled, and their limits.
pub struct DocumentKind<S, C: Crdt> {
    pub(super) access: Access<S, C>,
    pub(super) undo: Option<UndoRule<S>>,
    pub(super) settlement: SettlementRule,
    pub(super) limits: DocumentLimits,
    pub(super) schema: Option<Arc<dyn DocumentSchema>>,
    /// The paths that a [`Comment`](logux::action::DocumentOperation::Comment) may change.
    pub(super) comments: Vec<Path>,
    /// The paths that only a [`Manage`](logux::action::DocumentOperation::Manage) may change.
    pub(super) managed: Vec<Path>,
    pub(super) deletions_kept_for: Duration,
    pub(super) history_kept_for: Duration,
    pub(super) is_created_by_edits: bool,
    pub(super) on_change: Option<ChangeHook>,
    /// The first rule that cannot be used.
    pub(super) rule_error: Option<(DocumentOperation, AccessRuleError)>,
}

/// What a kind of documents checks besides the rule of access.
#[derive(Clone, Copy)]
pub(super) struct Checks<'a> {
    pub(super) limits: &'a DocumentLimits,
    pub(super) schema: Option<&'a dyn DocumentSchema>,
}

/// The limits of documents. What exceeds one is undone with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentLimits {
    /// The largest size of a document, in bytes of the JSON of its snapshot and of the later
    /// actions. The reason is `documentTooLarge`. Edits that make what the document shows smaller
    /// are accepted up to twice the size. Default: 4 MiB.
    pub max_bytes: u64,
    /// The number of documents of a kind that one user may have created and not deleted. The
    /// reason is `documentLimit`. Default: no limit.
    pub max_documents_per_user: Option<u64>,
    /// The size of all documents of a kind that one user has created and not deleted, in bytes.
    /// When it is reached, the user creates no more, and those documents do not grow. The reason is
    /// `userBytesLimit`. The sizes are some seconds old. Default: no limit.
    pub max_bytes_per_user: Option<u64>,
}

impl Default for DocumentLimits {
    fn default() -> Self {
        Self { max_bytes: 4 * 1024 * 1024, max_documents_per_user: None, max_bytes_per_user: None }
    }
}

impl<S, C: Crdt> fmt::Debug for DocumentKind<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentKind")
            .field("settlement", &self.settlement)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static, C: Crdt> DocumentKind<S, C> {
    /// Lets each user undo and redo the own edits, as
    /// [`ActionType::undoable`](crate::ActionType::undoable) does, until they are settled. The user
    /// also needs access to the operations of the edit. Default: clients may undo nothing.
    #[must_use]
    pub fn undoable(self) -> Self {
        self.undoable_by(|context, target| async move { Ok(target.is_by(context.node_id())) })
    }

    /// Decides who may undo an edit, or an undo of it, as
    /// [`ActionType::undoable_by`](crate::ActionType::undoable_by) does. The user also needs access
    /// to the operations of the edit.
    #[must_use]
    pub fn undoable_by<F>(
        mut self,
        rule: impl Fn(Context<S>, UndoTarget) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        self.undo = Some(Arc::new(move |context, target| Box::pin(rule(context, target))));
        self
    }

    /// Sets how many edits of a document stay open, and for how long a device may be away. Default:
    /// the latest 2,000 edits can be undone; 90 days.
    #[must_use]
    pub fn settlement(mut self, rule: SettlementRule) -> Self {
        self.settlement = rule;
        self
    }

    /// Sets the limits of documents.
    #[must_use]
    pub fn limits(mut self, limits: DocumentLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the schema of documents. An action, or an undo by a client, that adds a violation of it
    /// is undone with the reason `schema` and two keys: `path`, the JSON Pointer of the field, and
    /// `error`, what was expected and what came, in at most 300 bytes. The crate `logux-schema` has
    /// JSON Schema.
    ///
    /// Documents that are older than the schema stay as they are, and what they violate already
    /// refuses no edit. The schema is also for the actions of the server itself, not for what the
    /// storage has. Default: none.
    #[must_use]
    pub fn schema(mut self, schema: impl DocumentSchema + 'static) -> Self {
        self.schema = Some(Arc::new(schema));
        self
    }

    pub(super) fn checks(&self) -> Checks<'_> {
        Checks { limits: &self.limits, schema: self.schema.as_deref() }
    }

    /// Sets the paths of comments: who may [comment](logux::action::DocumentOperation::Comment)
    /// changes what is at these paths and below. Who may edit needs that permission too to change
    /// them. Default: none.
    #[must_use]
    pub fn comments_at(mut self, paths: impl IntoIterator<Item = Path>) -> Self {
        self.comments = paths.into_iter().collect();
        self
    }

    /// Adds paths that decide who may do what, such as the list of members: only who may
    /// [manage](logux::action::DocumentOperation::Manage) the document changes what is at these
    /// paths and below, or above them. Default: those that [rules](DocumentKindBuilder::rules)
    /// name.
    #[must_use]
    pub fn managed_at(mut self, paths: impl IntoIterator<Item = Path>) -> Self {
        self.managed.extend(paths);
        self
    }

    /// Calls a function after each change of a document: for each accepted `KIND/create` and
    /// `KIND/edit`, each undo of one and each edit of the server, in the order in which the server
    /// has accepted them, one at a time. For a search index, or a message to those who are away.
    ///
    /// It is called at least once for each, also after a crash: compare the
    /// [id](ChangedDocument::action_id) of the action where that matters. After an error it is
    /// called again, with a pause of 100 ms to 5 s, and later changes wait. No client waits for
    /// it. Deletions are not among them.
    ///
    /// ```
    /// use logux::crdt::Document;
    /// use logux_server::{MemoryDocuments, Server};
    ///
    /// let server = Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
    ///     kind.access(|_| async { Ok(true) }).on_change(|change| async move {
    ///         let notes = change.server().documents("notes").expect("this kind");
    ///         let state = notes.json(change.key().id()).await?;
    ///         println!("{} is now {state:?}", change.key().channel());
    ///         Ok(())
    ///     })
    /// });
    /// ```
    #[must_use]
    pub fn on_change<F>(
        mut self,
        call: impl Fn(ChangedDocument) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.on_change = Some(hook(call));
        self
    }

    /// Lets the first edit of a document create it, for an author with access to
    /// [`Create`](logux::action::DocumentOperation::Create). A missing document can be opened
    /// then, and is empty. Default: only `KIND/create` creates a document.
    #[must_use]
    pub fn created_by_edits(mut self) -> Self {
        self.is_created_by_edits = true;
        self
    }

    /// Sets for how long former states of a document can be looked at and restored, after the edits
    /// that led to them were settled. The storage keeps these edits: about as many bytes as their
    /// JSON. Named versions keep the history since the oldest of them for longer. With zero,
    /// settled edits are forgotten at once. Default: 30 days.
    #[must_use]
    pub fn keep_history_for(mut self, duration: Duration) -> Self {
        self.history_kept_for = duration;
        self
    }

    /// Sets for how long the deletion of a document can be taken back, by `KIND/create`. Then the
    /// document is purged. Default: 30 days.
    #[must_use]
    pub fn keep_deleted_for(mut self, duration: Duration) -> Self {
        self.deletions_kept_for = duration;
        self
    }
}
