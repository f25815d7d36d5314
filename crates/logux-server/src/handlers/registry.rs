//! Finds the application's handlers by action type and channel, and calls them for each request of
//! the hub.

use std::{
    collections::HashMap,
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use logux::{
    Action, Meta, NodeId,
    action::{
        ActionError, ActionId, DocumentKey,
        logux::{SUBSCRIBE, UNDO, Unsubscribe, is_logux},
    },
    client::Subscription,
    server::{
        Author, DocumentKinds, DocumentSnapshot, FateKey, FateKeys, HandlerRequest,
        HandlerResponse, QueueName, Recipients, RequestKind, Retention, SettlementRequest,
        SettlementRule, UndoTarget,
    },
};
use regex::Regex;
use tracing::Instrument as _;

use crate::{
    error::{BuildError, HandlerError},
    handlers::{
        action_type::{ActionType, UndoRule},
        channel::Channel,
        context::{Context, Replacement},
        deletions::Deletions,
        handler::{BoxFuture, Handler},
        load_limiter::LoadLimiter,
        pattern::{ChannelMatcher, NamePattern, Params},
    },
    hub::{
        application::{ApplicationHandlers, AuthorConnection},
        handle::{Handle, HandlerResponses, Subscriber},
    },
    telemetry::{
        Telemetry,
        event::{Event, Failure},
        traces::span,
    },
};

/// The pause before handlers whose database was not available are called again; it doubles before
/// each further call.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The largest pause between calls.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Makes a snapshot of a document.
pub(crate) type MakeSnapshot =
    Arc<dyn Fn(DocumentKey, Handle) -> BoxFuture<Option<DocumentSnapshot>> + Send + Sync>;

/// All handlers, and the state that they share.
pub(crate) struct HandlerRegistry<S> {
    pub(crate) state: Arc<S>,
    types: HashMap<String, ActionType<S>>,
    /// Handlers that are registered by regular expressions, in the order of registration.
    type_patterns: Vec<(Regex, ActionType<S>)>,
    channels: Vec<(ChannelMatcher, Channel<S>)>,
    /// The kinds of documents, and the functions that make their snapshots.
    pub(crate) document_kinds: DocumentKinds,
    snapshots: HashMap<Arc<str>, MakeSnapshot>,
    /// The deletions of the collections of records, by their names.
    deletions: HashMap<String, Arc<Deletions>>,
    other_type: Option<ActionType<S>>,
    other_channel: Option<Channel<S>>,
    /// Handles all actions and subscriptions that have no handlers.
    pub(crate) fallback: Option<Handler<S, HandlerResponse>>,
    /// The fate keys of the actions that have no handlers.
    pub(crate) fallback_fate_keys: FateKeys,
    loads: LoadLimiter,
}

impl<S: Send + Sync + 'static> HandlerRegistry<S> {
    pub(crate) fn new(state: S) -> Self {
        Self {
            state: Arc::new(state),
            types: HashMap::new(),
            type_patterns: Vec::new(),
            channels: Vec::new(),
            document_kinds: DocumentKinds::default(),
            snapshots: HashMap::new(),
            deletions: HashMap::new(),
            other_type: None,
            other_channel: None,
            fallback: None,
            fallback_fate_keys: FateKeys::default(),
            loads: LoadLimiter::default(),
        }
    }

    pub(crate) fn add_type(
        &mut self,
        names: NamePattern,
        handlers: ActionType<S>,
    ) -> Result<(), BuildError> {
        let is_undoable_only = handlers.undo.is_some() && handlers.retention.is_none();
        let name = match names {
            NamePattern::Text(name) if is_undoable_only => {
                return Err(BuildError::UndoableNotKept(name));
            }
            NamePattern::Regex(regex) if is_undoable_only => {
                return Err(BuildError::UndoableNotKept(regex.as_str().to_owned()));
            }
            NamePattern::Text(name) => name,
            NamePattern::Regex(regex) => {
                if self.type_patterns.iter().any(|(other, _)| other.as_str() == regex.as_str()) {
                    return Err(BuildError::DuplicateType(regex.as_str().to_owned()));
                }
                self.type_patterns.push((regex, handlers));
                return Ok(());
            }
        };
        // Of Logux's own types, only `logux/undo` may have handlers, as in the reference.
        if is_logux(&name) && name != UNDO {
            return Err(BuildError::ReservedType(name));
        }
        if self.types.contains_key(&name) {
            return Err(BuildError::DuplicateType(name));
        }
        self.types.insert(name, handlers);
        Ok(())
    }

    pub(crate) fn add_channel(
        &mut self,
        names: NamePattern,
        handlers: Channel<S>,
    ) -> Result<(), BuildError> {
        let text = match &names {
            NamePattern::Text(text) => text.clone(),
            NamePattern::Regex(regex) => regex.as_str().to_owned(),
        };
        self.add_matcher(ChannelMatcher::new(names)?, text, handlers)
    }

    /// Adds a kind of documents.
    pub(crate) fn add_documents(
        &mut self,
        kind: &str,
        rule: SettlementRule,
        make_snapshot: MakeSnapshot,
    ) -> Result<(), BuildError> {
        if self.deletions.contains_key(kind) || !self.document_kinds.insert(kind, rule) {
            return Err(BuildError::DuplicateKind(kind.to_owned()));
        }
        self.snapshots.insert(kind.into(), make_snapshot);
        Ok(())
    }

    /// Returns the deletions of a collection, which its channels share.
    pub(crate) fn deletions(&mut self, plural: &str) -> Arc<Deletions> {
        self.deletions.entry(plural.to_owned()).or_default().clone()
    }

    /// Adds the channels `PLURAL/ID` of the records of a collection.
    pub(crate) fn add_record_channel(
        &mut self,
        plural: &str,
        handlers: Channel<S>,
    ) -> Result<(), BuildError> {
        let matcher = ChannelMatcher::Records(format!("{plural}/"));
        self.add_matcher(matcher, format!("{plural}/:id"), handlers)
    }

    fn add_matcher(
        &mut self,
        matcher: ChannelMatcher,
        text: String,
        handlers: Channel<S>,
    ) -> Result<(), BuildError> {
        if self.channels.iter().any(|(other, _)| *other == matcher) {
            return Err(BuildError::DuplicateChannel(text));
        }
        self.channels.push((matcher, handlers));
        Ok(())
    }

    pub(crate) fn set_other_type(&mut self, handlers: ActionType<S>) -> Result<(), BuildError> {
        if handlers.undo.is_some() && handlers.retention.is_none() {
            return Err(BuildError::UndoableNotKept("other types".to_owned()));
        }
        match self.other_type.replace(handlers) {
            None => Ok(()),
            Some(_) => Err(BuildError::DuplicateFallback("other action types")),
        }
    }

    pub(crate) fn set_other_channel(&mut self, handlers: Channel<S>) -> Result<(), BuildError> {
        match self.other_channel.replace(handlers) {
            None => Ok(()),
            Some(_) => Err(BuildError::DuplicateFallback("other channels")),
        }
    }

    fn channel(&self, name: &str) -> Option<(&Channel<S>, Params)> {
        let find = |matches: fn(&ChannelMatcher, &str) -> Option<Params>| {
            let mut channels = self.channels.iter();
            channels.find_map(|(matcher, channel)| Some((channel, matches(matcher, name)?)))
        };
        let registered =
            find(ChannelMatcher::matches).or_else(|| find(ChannelMatcher::matches_any_id));
        registered.or_else(|| Some((self.other_channel.as_ref()?, Params::new())))
    }

    /// Returns `true` if subscribers of a channel show themselves to each other.
    pub(crate) fn has_presence(&self, channel: &str) -> bool {
        self.channel(channel).is_some_and(|(handlers, _)| handlers.has_presence)
    }

    fn action_type(&self, kind: &str) -> Option<&ActionType<S>> {
        let by_pattern = || {
            self.type_patterns
                .iter()
                .find(|(regex, _)| regex.is_match(kind))
                .map(|(_, handlers)| handlers)
        };
        // Regular expressions and `other_type` do not apply to Logux's own types.
        let by_rule =
            || if is_logux(kind) { None } else { by_pattern().or(self.other_type.as_ref()) };
        self.types.get(kind).or_else(by_rule)
    }

    /// Decides whether and how long a processed action is kept.
    pub(crate) fn retention(&self, action: &Action, meta: &Meta) -> Option<Retention> {
        self.action_type(action.kind())?.retention.as_ref()?(action, meta)
    }

    /// Returns the rule that decides who may undo an action.
    fn undo_rule(&self, target: &UndoTarget) -> Option<&UndoRule<S>> {
        self.action_type(target.action.action.kind())?.undo.as_ref()
    }

    /// Returns the queue of its client in which an action waits.
    pub(crate) fn queue(&self, action: &Action) -> QueueName {
        let queue = if action.kind() == SUBSCRIBE {
            let channel = action.str_field("channel");
            channel.and_then(|name| self.channel(&name).map(|(channel, _)| &channel.queue))
        } else {
            self.action_type(action.kind()).map(|handlers| &handlers.queue)
        };
        queue.cloned().unwrap_or_default()
    }

    /// Returns the key of the actions that fail together with an action.
    pub(crate) fn fate_key(&self, action: &Action) -> FateKey {
        let handlers = self.action_type(action.kind());
        if handlers.is_none() && action.kind() == UNDO && self.fallback.is_none() {
            // Nothing that its client does later depends on it.
            return FateKey::none();
        }
        handlers.map_or(&self.fallback_fate_keys, |handlers| &handlers.fate_keys).key(action)
    }

    /// Calls the handlers for a request, and again after a pause while a database that they use is
    /// not available: this is no reason to undo an action. Returns a transient error when the hub
    /// has restarted and asks again.
    async fn respond_when_available(
        &self,
        request: HandlerRequest,
        connection: AuthorConnection,
        handle: &Handle,
    ) -> Result<HandlerResponses, HandlerError> {
        let restarts = handle.log_status().restarts();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.respond(request.clone(), connection.clone(), handle).await {
                Err(error) if error.needs_claims() => {
                    handle.telemetry().record(&Event::HandlerRetried {
                        id: &request.entry.meta.id,
                        error: &error.message(),
                    });
                    // The user may connect much later, and the hub may restart in the meantime.
                    let mut known = pin!(handle.known_claims().wait(&request.author.node));
                    while tokio::time::timeout(MAX_PAUSE, &mut known).await.is_err() {
                        if handle.log_status().restarts() != restarts {
                            return Err(error);
                        }
                    }
                }
                Err(error) if error.is_transient() => {
                    handle.telemetry().record(&Event::HandlerRetried {
                        id: &request.entry.meta.id,
                        error: &error.message(),
                    });
                    tokio::time::sleep(pause).await;
                    if handle.log_status().restarts() != restarts {
                        return Err(error);
                    }
                }
                result => return result,
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Calls the handlers for a request. Returns the responses that are not sent yet; the last one
    /// completes the request.
    async fn respond(
        &self,
        request: HandlerRequest,
        connection: AuthorConnection,
        handle: &Handle,
    ) -> Result<HandlerResponses, HandlerError> {
        let (kind, entry) = (request.kind, request.entry.clone());
        if kind == RequestKind::Subscription {
            let Some(name) = entry.action.str_field("channel") else {
                return Ok(vec![HandlerResponse::WrongChannel]);
            };
            let Some((channel, params)) = self.channel(&name) else {
                return self
                    .call_fallback(request, connection, handle, HandlerResponse::WrongChannel)
                    .await;
            };
            let context =
                Context::new(request, params, connection, self.state.clone(), handle.clone());
            let responses = catch_panic(handle_subscription(channel, &context, &self.loads)).await;
            call_finally(channel.finally.as_ref(), context).await;
            return responses;
        }
        if let Some(Ok(target)) = &request.target
            && let Some(rule) = self.undo_rule(target)
        {
            let target = target.clone();
            let context = Context::new(
                request,
                Params::new(),
                connection,
                self.state.clone(),
                handle.clone(),
            );
            return catch_panic(decide_undo(rule, context, target)).await;
        }
        let Some(handlers) = self.action_type(entry.action.kind()) else {
            let default = match &request.target {
                Some(Ok(_)) => HandlerResponse::Denied,
                Some(Err(refusal)) => HandlerResponse::undo(refusal.reason()),
                None => HandlerResponse::UnknownType,
            };
            return self.call_fallback(request, connection, handle, default).await;
        };
        let context =
            Context::new(request, Params::new(), connection, self.state.clone(), handle.clone());
        let responses = catch_panic(handle_action(handlers, &context, kind)).await;
        call_finally(handlers.finally.as_ref(), context).await;
        responses
    }

    /// Calls the fallback. Returns `default` if there is none.
    async fn call_fallback(
        &self,
        request: HandlerRequest,
        connection: AuthorConnection,
        handle: &Handle,
        default: HandlerResponse,
    ) -> Result<HandlerResponses, HandlerError> {
        let Some(fallback) = &self.fallback else { return Ok(vec![default]) };
        let context =
            Context::new(request, Params::new(), connection, self.state.clone(), handle.clone());
        Ok(vec![fallback(context).await?])
    }

    /// Returns the types that are registered by name, in no particular order.
    pub(crate) fn type_names(&self) -> impl Iterator<Item = String> {
        self.types.keys().cloned()
    }

    /// Returns `true` if actions of a type have handlers.
    pub(crate) fn has_handlers(&self, kind: &str) -> bool {
        self.action_type(kind).is_some()
    }
}

impl<S: Send + Sync + 'static> ApplicationHandlers for HandlerRegistry<S> {
    async fn run(
        self: Arc<Self>,
        request: HandlerRequest,
        connection: AuthorConnection,
        handle: Handle,
    ) {
        // A client that does not read the answers to its actions waits for the next ones.
        let _ = connection.reader.room().await;
        let request_id = request.id;
        let id = request.entry.meta.id.clone();
        let responses = match self.respond_when_available(request, connection, &handle).await {
            Ok(responses) => responses,
            Err(error) if error.is_transient() => return,
            Err(error) => {
                let mut responses = HandlerResponses::new();
                if let HandlerError::Failed(error) = &error {
                    responses
                        .push(HandlerResponse::Debug(format!("Action \"{id}\" failed: {error}")));
                }
                responses.push(error_response(&id, error, handle.telemetry()));
                responses
            }
        };
        handle.respond(request_id, responses).await;
    }

    fn settle(
        &self,
        request: SettlementRequest,
        handle: &Handle,
    ) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let key = request.key.clone();
        let snapshot = self.snapshots.get(key.kind())?(key.clone(), handle.clone());
        let handle = handle.clone();
        Some(Box::pin(async move {
            let snapshot = snapshot.await.unwrap_or_else(|error| {
                let what = Failure::Settlement { channel: key.channel() };
                handle.telemetry().record(&Event::Failed { what, error: &error.message() });
                None
            });
            handle.settle(request, snapshot).await;
        }))
    }

    fn unsubscribed(
        &self,
        node: NodeId,
        channel: Arc<str>,
        handle: &Handle,
    ) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let (handlers, params) = self.channel(&channel)?;
        let unsubscribe = handlers.unsubscribe.clone()?;
        let action = Unsubscribe { channel: channel.to_string() }.to_action().ok()?;
        let context = Context::unsubscribing(
            action,
            node.clone(),
            params,
            self.state.clone(),
            handle.clone(),
        );
        let telemetry = handle.telemetry().clone();
        Some(Box::pin(async move {
            if let Err(error) = unsubscribe(context).await {
                let what = Failure::Unsubscription { node: &node, channel: &channel };
                telemetry.record(&Event::Failed { what, error: &error.message() });
            }
        }))
    }
}

async fn handle_action<S>(
    handlers: &ActionType<S>,
    context: &Context<S>,
    kind: RequestKind,
) -> Result<HandlerResponses, HandlerError> {
    if kind == RequestKind::Action
        && !(handlers.access)(context.clone()).instrument(span!("access")).await?
    {
        return Ok(vec![HandlerResponse::Denied]);
    }
    let mut responses = HandlerResponses::with_capacity(3);
    if let Some(resend) = &handlers.resend {
        let recipients: Recipients = resend(context.clone()).instrument(span!("resend")).await?;
        if let Some(Replacement(action)) = context.get() {
            responses.push(HandlerResponse::Replace(action));
        }
        responses.push(HandlerResponse::Resend(recipients));
    }
    responses.push(HandlerResponse::Approved(None));
    // The recipients do not wait until the action is processed.
    if handlers.process.is_some() || handlers.finally.is_some() {
        context.respond(std::mem::take(&mut responses)).await;
    }
    if let Some(process) = &handlers.process {
        process(context.clone()).instrument(span!("process")).await?;
    }
    responses.push(HandlerResponse::Processed);
    Ok(responses)
}

async fn decide_undo<S>(
    rule: &UndoRule<S>,
    context: Context<S>,
    target: UndoTarget,
) -> Result<HandlerResponses, HandlerError> {
    let is_allowed = rule(context, target).instrument(span!("access")).await?;
    Ok(vec![if is_allowed { HandlerResponse::AcceptUndo } else { HandlerResponse::Denied }])
}

async fn handle_subscription<S>(
    channel: &Channel<S>,
    context: &Context<S>,
    loads: &LoadLimiter,
) -> Result<HandlerResponses, HandlerError> {
    if !(channel.access)(context.clone()).instrument(span!("access")).await? {
        return Ok(vec![HandlerResponse::Denied]);
    }
    let filter = match &channel.filter {
        Some(filter) => filter(context.clone()).instrument(span!("filter")).await?,
        None => None,
    };
    let replays = channel.replay.as_ref().is_some_and(|rule| rule(context.action()));
    let has_state = replays || channel.load.is_some();
    let _permit = if has_state { Some(loads.acquire(context).await?) } else { None };
    let mut responses = vec![HandlerResponse::Approved(filter)];
    if replays {
        responses.push(HandlerResponse::Replay);
        while context.respond_with_page(responses).await? {
            context.wait_for_reader().await?;
            responses = vec![HandlerResponse::Replay];
        }
    } else {
        context.respond(responses).await;
    }
    if let Some(load) = &channel.load {
        let actions = load(context.clone()).instrument(span!("load")).await?;
        for page in actions.into_pages() {
            context.send_page(page).await?;
        }
    }
    Ok(vec![HandlerResponse::Processed])
}

/// Converts a panic of a handler to an error.
async fn catch_panic(
    handlers: impl Future<Output = Result<HandlerResponses, HandlerError>>,
) -> Result<HandlerResponses, HandlerError> {
    let result = AssertUnwindSafe(handlers).catch_unwind().await;
    result.unwrap_or_else(|_| Err(HandlerError::failed("a handler panicked")))
}

async fn call_finally<S>(finally: Option<&Handler<S, ()>>, context: Context<S>) {
    if let Some(finally) = finally {
        let id = context.meta().id.clone();
        let telemetry = context.server().telemetry().clone();
        let result = AssertUnwindSafe(finally(context)).catch_unwind().await;
        let panicked = |_| Err(HandlerError::failed("a handler panicked"));
        if let Err(error) = result.unwrap_or_else(panicked) {
            telemetry
                .record(&Event::Failed { what: Failure::Action(&id), error: &error.message() });
        }
    }
}

/// Returns the response that undoes an action after an error of its handler.
fn error_response(id: &ActionId, error: HandlerError, telemetry: &Telemetry) -> HandlerResponse {
    match error {
        HandlerError::Failed(error) | HandlerError::Unavailable(error) => {
            telemetry.record(&Event::Failed { what: Failure::Action(id), error: &error });
            HandlerResponse::error()
        }
        HandlerError::Denied => HandlerResponse::Denied,
        HandlerError::NotFound => HandlerResponse::not_found(),
        HandlerError::UnknownType => HandlerResponse::UnknownType,
        HandlerError::WrongChannel => HandlerResponse::WrongChannel,
        HandlerError::Gone => HandlerResponse::Postponed,
        HandlerError::Undo { reason, extra } => HandlerResponse::Undo { reason, extra },
    }
}

impl<S> Context<S> {
    /// Creates the context of a client that is subscribed to a channel, to decide about its access
    /// again. The action is its subscription.
    pub(crate) fn of_subscriber(
        (author, connection): Subscriber,
        channel: &str,
        state: Arc<S>,
        handle: Handle,
    ) -> Result<Self, ActionError> {
        let action = Subscription::to(channel).subscribe()?;
        let meta = Meta::new(ActionId::new(logux::WallTime::default(), author.node.clone(), 0));
        let request = HandlerRequest::notice(logux::Entry::new(action, meta), author);
        Ok(Self::new(request, Params::new(), connection, state, handle))
    }

    /// Creates the context for the end of a subscription, with a `logux/unsubscribe` that the
    /// client may not have sent: its connection may have been closed.
    fn unsubscribing(
        action: Action,
        node: NodeId,
        params: Params,
        state: Arc<S>,
        handle: Handle,
    ) -> Self {
        let meta = Meta::new(ActionId::new(logux::WallTime::default(), node.clone(), 0));
        let request = HandlerRequest::notice(
            logux::Entry::new(action, meta),
            Author { node, subprotocol: None, headers: None, session: None },
        );
        Self::new(request, params, AuthorConnection::none(), state, handle)
    }
}
