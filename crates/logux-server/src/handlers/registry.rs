//! The application's handlers, found by type and channel, and called for each question of the hub.

use std::{collections::HashMap, future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use futures_util::FutureExt as _;
use logux::{
    Action, Meta, NodeId,
    action::{
        ActionId,
        logux::{SUBSCRIBE, Unsubscribe, is_logux},
    },
    server::{
        Author, HandlerRequest, HandlerResponse, QueueName, Recipients, RequestKind, Retention,
    },
};
use regex::Regex;
use tracing::Instrument as _;

use crate::{
    connection_info::ConnectionInfo,
    error::{BuildError, HandlerError},
    handlers::{
        action_type::ActionType,
        channel::{Channel, InitialActions},
        context::Context,
        handler::Handler,
        pattern::{ChannelMatcher, NamePattern, Params},
    },
    hub::{
        application::Application,
        handle::{Handle, HandlerResponses},
    },
    telemetry::{
        Telemetry,
        event::{Event, Failure},
        traces::span,
    },
};

/// All handlers and what they share.
pub(crate) struct HandlerRegistry<S> {
    pub(crate) state: Arc<S>,
    types: HashMap<String, ActionType<S>>,
    /// Types that a regular expression matches.
    type_families: Vec<(Regex, ActionType<S>)>,
    channels: Vec<(ChannelMatcher, Channel<S>)>,
    other_type: Option<ActionType<S>>,
    other_channel: Option<Channel<S>>,
    /// Handles everything that has no handlers here.
    pub(crate) fallback: Option<Handler<S, HandlerResponse>>,
}

impl<S: Send + Sync + 'static> HandlerRegistry<S> {
    pub(crate) fn new(state: S) -> Self {
        Self {
            state: Arc::new(state),
            types: HashMap::new(),
            type_families: Vec::new(),
            channels: Vec::new(),
            other_type: None,
            other_channel: None,
            fallback: None,
        }
    }

    pub(crate) fn add_type(
        &mut self,
        names: NamePattern,
        handlers: ActionType<S>,
    ) -> Result<(), BuildError> {
        let name = match names {
            NamePattern::Text(name) => name,
            NamePattern::Regex(regex) => {
                if self.type_families.iter().any(|(other, _)| other.as_str() == regex.as_str()) {
                    return Err(BuildError::DuplicateType(regex.as_str().to_owned()));
                }
                self.type_families.push((regex, handlers));
                return Ok(());
            }
        };
        // `logux/undo` may be given a meaning, as in the reference; the others have theirs.
        if is_logux(&name) && name != logux::action::logux::UNDO {
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
        let parsed = ChannelMatcher::new(names)?;
        if self.channels.iter().any(|(other, _)| *other == parsed) {
            return Err(BuildError::DuplicateChannel(text));
        }
        self.channels.push((parsed, handlers));
        Ok(())
    }

    pub(crate) fn set_other_type(&mut self, handlers: ActionType<S>) -> Result<(), BuildError> {
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
        let known = self
            .channels
            .iter()
            .find_map(|(pattern, channel)| Some((channel, pattern.matches(name)?)));
        known.or_else(|| Some((self.other_channel.as_ref()?, Params::new())))
    }

    fn action_type(&self, kind: &str) -> Option<&ActionType<S>> {
        let family = || {
            self.type_families
                .iter()
                .find(|(regex, _)| regex.is_match(kind))
                .map(|(_, handlers)| handlers)
        };
        // Logux's own types are in no family, and `logux/undo` only where it is named.
        let of_family =
            || if is_logux(kind) { None } else { family().or(self.other_type.as_ref()) };
        self.types.get(kind).or_else(of_family)
    }

    /// Why an action is kept once it is done.
    pub(crate) fn keep(&self, action: &Action, meta: &Meta) -> Option<Retention> {
        self.action_type(action.kind())?.keep.as_ref()?(action, meta)
    }

    /// In which queue of its client an action waits.
    pub(crate) fn queue(&self, action: &Action) -> QueueName {
        let queue = if action.kind() == SUBSCRIBE {
            let channel = action.str_field("channel");
            channel.and_then(|name| self.channel(&name).map(|(channel, _)| &channel.queue))
        } else {
            self.action_type(action.kind()).map(|handlers| &handlers.queue)
        };
        queue.cloned().unwrap_or_default()
    }

    /// The answers that are left to be told; the last ends the question.
    async fn answer(
        &self,
        request: HandlerRequest,
        info: Arc<ConnectionInfo>,
        handle: &Handle,
    ) -> Result<HandlerResponses, HandlerError> {
        let (kind, entry) = (request.kind, request.entry.clone());
        if kind == RequestKind::Subscription {
            let Some(name) = entry.action.str_field("channel") else {
                return Ok(vec![HandlerResponse::WrongChannel]);
            };
            let Some((channel, params)) = self.channel(&name) else {
                return self
                    .ask_fallback(request, info, handle, HandlerResponse::WrongChannel)
                    .await;
            };
            let context = Context::new(request, params, info, self.state.clone(), handle.clone());
            let answer = caught(subscribe(channel, &context)).await;
            finish(channel.finally.as_ref(), context).await;
            return answer;
        }
        let Some(handlers) = self.action_type(entry.action.kind()) else {
            return self.ask_fallback(request, info, handle, HandlerResponse::UnknownType).await;
        };
        let context =
            Context::new(request, Params::new(), info, self.state.clone(), handle.clone());
        let answer = caught(act(handlers, &context, kind)).await;
        finish(handlers.finally.as_ref(), context).await;
        answer
    }

    /// What the back end answers, or `otherwise` where there is none.
    async fn ask_fallback(
        &self,
        request: HandlerRequest,
        info: Arc<ConnectionInfo>,
        handle: &Handle,
        otherwise: HandlerResponse,
    ) -> Result<HandlerResponses, HandlerError> {
        let Some(fallback) = &self.fallback else { return Ok(vec![otherwise]) };
        let context =
            Context::new(request, Params::new(), info, self.state.clone(), handle.clone());
        Ok(vec![fallback(context).await?])
    }

    /// The types that were registered by name.
    pub(crate) fn type_names(&self) -> impl Iterator<Item = String> {
        self.types.keys().cloned()
    }

    /// Whether actions of a type have handlers here.
    pub(crate) fn has_handlers(&self, kind: &str) -> bool {
        self.action_type(kind).is_some()
    }
}

impl<S: Send + Sync + 'static> Application for HandlerRegistry<S> {
    /// Answers one question. A handler that panics is one that failed.
    async fn run(
        self: Arc<Self>,
        request: HandlerRequest,
        info: Arc<ConnectionInfo>,
        handle: Handle,
    ) {
        let request_id = request.id;
        let id = request.entry.meta.id.clone();
        let left = match self.answer(request, info, &handle).await {
            Ok(answers) => answers,
            Err(error) => {
                let mut answers = HandlerResponses::new();
                if let HandlerError::Failed(error) = &error {
                    answers
                        .push(HandlerResponse::Debug(format!("Action \"{id}\" failed: {error}")));
                }
                answers.push(failed(&id, error, handle.telemetry()));
                answers
            }
        };
        handle.answer(request_id, left).await;
    }

    /// Calls the handler for a client that has left a channel, if there is one.
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
                telemetry.record(&Event::Failed { what, error: &error.in_words() });
            }
        }))
    }
}

async fn act<S>(
    handlers: &ActionType<S>,
    context: &Context<S>,
    kind: RequestKind,
) -> Result<HandlerResponses, HandlerError> {
    if kind == RequestKind::Action
        && !(handlers.access)(context.clone()).instrument(span!("access")).await?
    {
        return Ok(vec![HandlerResponse::Denied]);
    }
    let mut answers = HandlerResponses::with_capacity(3);
    if let Some(resend) = &handlers.resend {
        let recipients: Recipients = resend(context.clone()).instrument(span!("resend")).await?;
        answers.push(HandlerResponse::Resend(recipients));
    }
    answers.push(HandlerResponse::Approved(None));
    // Who gets it too does not wait until it is processed.
    if handlers.process.is_some() || handlers.finally.is_some() {
        context.answer(std::mem::take(&mut answers)).await;
    }
    if let Some(process) = &handlers.process {
        process(context.clone()).instrument(span!("process")).await?;
    }
    answers.push(HandlerResponse::Processed);
    Ok(answers)
}

async fn subscribe<S>(
    channel: &Channel<S>,
    context: &Context<S>,
) -> Result<HandlerResponses, HandlerError> {
    if !(channel.access)(context.clone()).instrument(span!("access")).await? {
        return Ok(vec![HandlerResponse::Denied]);
    }
    let filter = match &channel.filter {
        Some(filter) => filter(context.clone()).instrument(span!("filter")).await?,
        None => None,
    };
    let mut answers = vec![HandlerResponse::Approved(filter)];
    answers.extend(channel.replays.then_some(HandlerResponse::Replay));
    context.answer(answers).await;
    if let Some(load) = &channel.load {
        let InitialActions(actions) = load(context.clone()).instrument(span!("load")).await?;
        for (action, draft) in actions {
            context.send_back_with(action, draft).await;
        }
    }
    Ok(vec![HandlerResponse::Processed])
}

/// A handler that panics is one that failed.
async fn caught(
    running: impl Future<Output = Result<HandlerResponses, HandlerError>>,
) -> Result<HandlerResponses, HandlerError> {
    let ended = AssertUnwindSafe(running).catch_unwind().await;
    ended.unwrap_or_else(|_| Err(HandlerError::failed("a handler panicked")))
}

async fn finish<S>(finally: Option<&Handler<S, ()>>, context: Context<S>) {
    if let Some(finally) = finally {
        let id = context.meta().id.clone();
        let telemetry = context.server().telemetry().clone();
        let ended = AssertUnwindSafe(finally(context)).catch_unwind().await;
        if let Err(error) = ended.unwrap_or_else(|_| Err(HandlerError::failed("it panicked"))) {
            telemetry
                .record(&Event::Failed { what: Failure::Action(&id), error: &error.in_words() });
        }
    }
}

fn failed(id: &ActionId, error: HandlerError, telemetry: &Telemetry) -> HandlerResponse {
    match error {
        HandlerError::Failed(error) => {
            telemetry.record(&Event::Failed { what: Failure::Action(id), error: &error });
            HandlerResponse::error()
        }
        HandlerError::Denied => HandlerResponse::Denied,
        HandlerError::NotFound => HandlerResponse::not_found(),
        HandlerError::UnknownType => HandlerResponse::UnknownType,
        HandlerError::WrongChannel => HandlerResponse::WrongChannel,
        HandlerError::Undo { reason, extra } => HandlerResponse::Undo { reason, extra },
    }
}

impl<S> Context<S> {
    /// The context of a client's leaving, which is no action of its own when the connection is gone.
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
        Self::new(request, params, ConnectionInfo::nowhere(), state, handle)
    }
}
