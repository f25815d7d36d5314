//! Documents for clients that know only their JSON, such as `@logux/client`: `KIND/state` and
//! `KIND/changed` for subscriptions with `{"format":"json"}`, and `KIND/change` of any client.

use std::sync::Arc;

use logux::{
    Action, Json,
    action::{DocumentKey, DocumentOperation, DocumentVerb, logux::UNDO},
    crdt::{Crdt, JsonOp, MAX_OPERATIONS, MadeOps, Path, Shared},
    server::{FateKey, Filter, Recipients},
};
use serde::Deserialize;

use crate::{
    documents::{
        checks::{key_of, malformed, read_ops, refused},
        serving::Serving,
    },
    error::HandlerError,
    handlers::{
        action_type::{ActionType, ActionTypeBuilder},
        context::{Context, Replacement},
    },
};

/// The paths that the author of a `KIND/change` has changed, in the context of the action.
#[derive(Clone)]
struct ChangedPaths(Arc<[Path]>);

#[derive(Deserialize)]
struct ReadChange {
    changes: Vec<Json>,
}

/// Returns whether a `logux/subscribe` asks for the JSON of a document, or the error of another
/// format.
pub(super) fn is_json(subscription: &Action) -> Result<bool, HandlerError> {
    let filter = subscription.field("filter").and_then(|filter| Json::new(filter).ok());
    match filter.and_then(|filter| filter.to_value().get("format").cloned()) {
        None => Ok(false),
        Some(format) if format == "json" => Ok(true),
        Some(_) => Err(refused(
            "wrongFormat",
            &"\"filter\": expected \"json\" in \"format\", or no \"format\" for operations",
        )),
    }
}

/// Returns `true` if an action is for subscribers that know the operations of documents of a kind.
fn is_of_operations(kind: &str, action: &Action) -> bool {
    if action.kind() == UNDO {
        let undone = action.field("action").and_then(|undone| Action::new(undone).ok());
        return undone.is_none_or(|undone| is_of_operations(kind, &undone));
    }
    let verb = action.kind().strip_prefix(kind).and_then(|rest| rest.strip_prefix('/'));
    [DocumentVerb::Create, DocumentVerb::Edit, DocumentVerb::Change, DocumentVerb::Snapshot]
        .iter()
        .any(|of_operations| verb == Some(of_operations.as_str()))
}

impl<S, C> Serving<S, C>
where
    S: Send + Sync + 'static,
    C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
{
    /// Returns the filter of a subscription to the JSON of a document. `None` for others.
    pub(super) fn json_filter(
        &self,
        context: &Context<S>,
        key: &DocumentKey,
    ) -> Result<Option<Filter>, HandlerError> {
        if !is_json(context.action())? {
            return Ok(None);
        }
        let session = context.session().ok_or(HandlerError::Gone)?;
        let node = context.node_id();
        // It ends with the subscription, which drops its filter.
        let subscription = self.json.subscribe(key, node, session, context.server());
        let kind = self.kind.clone();
        Ok(Some(Arc::new(move |action, _| {
            let _held = &subscription;
            !is_of_operations(&kind, action)
        })))
    }

    /// Returns the handlers of `KIND/change`.
    pub(super) fn changes(self: &Arc<Self>) -> ActionType<S> {
        let (changing, answering) = (self.clone(), self.clone());
        ActionTypeBuilder::new()
            .access(|_| async { Ok(true) })
            .resend(move |context| changing.clone().change(context))
            .process(move |context| answering.clone().answer_change(context))
            .fate_key(|_| FateKey::none())
    }

    /// Replaces a `KIND/change` by the edit that does what it asks for, in the queue of the
    /// document.
    async fn change(self: Arc<Self>, context: Context<S>) -> Result<Recipients, HandlerError> {
        let key = key_of(&context)?;
        let changes = read_changes(&context)?;
        self.check_is_no_editor(&context, &key).await?;
        let mut document = self.documents.lock(&key, context.server()).await?;
        if document.entry().is_some() || !self.settings.is_created_by_edits {
            document.existing()?;
        }
        let (state, author) = (document.state().await?, context.node_id().clone());
        let made = tokio::task::spawn_blocking(move || state.json_ops(&changes, &author)).await?;
        let made = match made {
            Ok(made) if !made.ops.is_empty() => made,
            made => {
                // Both tell something about the document.
                self.check_access(&context, &mut document, DocumentOperation::Read).await?;
                let MadeOps { paths, .. } = made.map_err(|error| malformed(&context, &error))?;
                context.set(ChangedPaths(paths.into()));
                return Ok(Recipients::default());
            }
        };
        let shared = Shared::<C>::new(key.kind().clone(), key.id().clone());
        let edit = shared.action(&made.ops)?;
        let edited = context.with_action(edit.clone());
        let ops = read_ops::<S, C>(&edited, &key)?;
        self.edit_in(&edited, document, &ops).await?;
        context.set(ChangedPaths(made.paths.into()));
        context.set(Replacement(edit));
        Ok(Recipients::channel(key.channel().clone()))
    }

    /// Checks that the author does not have the document open by its operations: it would take the
    /// edit, which has the id of the change, for its own action.
    async fn check_is_no_editor(
        &self,
        context: &Context<S>,
        key: &DocumentKey,
    ) -> Result<(), HandlerError> {
        let node = context.node_id();
        if self.json.session_of(key.id(), node).is_some() {
            return Ok(());
        }
        let subscribers = context.server().subscribers(key.channel().clone()).await;
        if subscribers.iter().any(|(author, _)| author.node == *node) {
            let expected = "expected an edit, or a subscription with the format json";
            return Err(malformed(context, &expected));
        }
        Ok(())
    }

    /// Sends the author of a `KIND/change` what is at the paths now.
    async fn answer_change(self: Arc<Self>, context: Context<S>) -> Result<(), HandlerError> {
        let Some(ChangedPaths(paths)) = context.get() else { return Ok(()) };
        let key = key_of(&context)?;
        self.json.send_values(&key, context.node_id(), paths, context.server()).await
    }
}

fn read_changes<S>(context: &Context<S>) -> Result<Vec<JsonOp>, HandlerError> {
    let read: ReadChange = context.parse().map_err(|error| malformed(context, &error))?;
    if read.changes.len() > MAX_OPERATIONS {
        let expected = format!("expected at most {MAX_OPERATIONS} changes in an action");
        return Err(malformed(context, &expected));
    }
    let changes = read.changes.iter().enumerate().map(|(index, change)| {
        change.parse().map_err(|error| malformed(context, &format!("changes/{index}: {error}")))
    });
    changes.collect()
}
