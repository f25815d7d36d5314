//! The application's handlers, found by type and channel, and called for each question of the hub.

use std::{collections::HashMap, future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use logux::{
    Action, Meta, NodeId,
    action::{ActionId, logux::Unsubscribe, logux::is_logux},
    server::{About, Answer, Ask, Author, Recipients},
};

use crate::{
    ActionType, BuildError, Channel, Context, Handle, HandlerError,
    backend::BackendClient,
    handlers::{Handler, Loaded},
    origin::Origin,
    pattern::{Params, Pattern},
};

/// All handlers and what they share.
pub(crate) struct Application<S> {
    pub(crate) state: Arc<S>,
    types: HashMap<String, ActionType<S>>,
    channels: Vec<(Pattern, Channel<S>)>,
    other_type: Option<ActionType<S>>,
    other_channel: Option<Channel<S>>,
    /// What is asked about everything that has no handlers here.
    pub(crate) backend: Option<BackendClient>,
}

impl<S: Send + Sync + 'static> Application<S> {
    pub(crate) fn new(state: S) -> Self {
        Self {
            state: Arc::new(state),
            types: HashMap::new(),
            channels: Vec::new(),
            other_type: None,
            other_channel: None,
            backend: None,
        }
    }

    pub(crate) fn add_type(&mut self, name: String, handlers: ActionType<S>) -> Result<(), BuildError> {
        // `logux/undo` may be given a meaning, as in the reference; the others have theirs.
        if is_logux(&name) && name != logux::action::logux::UNDO {
            return Err(BuildError::ReservedType(name));
        }
        if self.types.contains_key(&name) {
            return Err(BuildError::TypeTwice(name));
        }
        self.types.insert(name, handlers);
        Ok(())
    }

    pub(crate) fn add_channel(&mut self, pattern: &str, handlers: Channel<S>) -> Result<(), BuildError> {
        let parsed = Pattern::new(pattern)?;
        if self.channels.iter().any(|(other, _)| *other == parsed) {
            return Err(BuildError::ChannelTwice(pattern.to_owned()));
        }
        self.channels.push((parsed, handlers));
        Ok(())
    }

    pub(crate) fn set_other_type(&mut self, handlers: ActionType<S>) -> Result<(), BuildError> {
        match self.other_type.replace(handlers) {
            None => Ok(()),
            Some(_) => Err(BuildError::OtherTwice("other action types")),
        }
    }

    pub(crate) fn set_other_channel(&mut self, handlers: Channel<S>) -> Result<(), BuildError> {
        match self.other_channel.replace(handlers) {
            None => Ok(()),
            Some(_) => Err(BuildError::OtherTwice("other channels")),
        }
    }

    fn channel(&self, name: &str) -> Option<(&Channel<S>, Params)> {
        let known = self.channels.iter().find_map(|(pattern, channel)| Some((channel, pattern.matches(name)?)));
        known.or_else(|| Some((self.other_channel.as_ref()?, Params::new())))
    }

    /// Answers one question. A handler that panics is one that failed.
    pub(crate) async fn run(self: Arc<Self>, ask: Ask, origin: Arc<Origin>, handle: Handle) {
        let job = ask.job;
        let id = ask.entry.meta.id.clone();
        let answered = AssertUnwindSafe(self.answer(ask, origin, &handle)).catch_unwind().await;
        let last = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => failed(&id, error),
            Err(_) => {
                tracing::error!(%id, "a handler panicked");
                Answer::error()
            }
        };
        handle.answer(job, last).await;
    }

    async fn answer(&self, ask: Ask, origin: Arc<Origin>, handle: &Handle) -> Result<Answer, HandlerError> {
        let (about, entry) = (ask.about, ask.entry.clone());
        if about == About::Subscription {
            let Some(name) = entry.action.text_field("channel") else { return Ok(Answer::WrongChannel) };
            let Some((channel, params)) = self.channel(&name) else {
                return self.ask_backend(ask, origin, handle, Answer::WrongChannel).await;
            };
            let context = Context::new(ask, params, origin, self.state.clone(), handle.clone());
            let answer = subscribe(channel, &context).await;
            finish(channel.finally.as_ref(), context).await;
            return answer;
        }
        let Some(handlers) = self.types.get(entry.action.kind()).or(self.other_type.as_ref()) else {
            return self.ask_backend(ask, origin, handle, Answer::UnknownType).await;
        };
        let context = Context::new(ask, Params::new(), origin, self.state.clone(), handle.clone());
        let answer = act(handlers, &context, about).await;
        finish(handlers.finally.as_ref(), context).await;
        answer
    }

    /// What the back end answers, or `otherwise` where there is none.
    async fn ask_backend(
        &self,
        ask: Ask,
        origin: Arc<Origin>,
        handle: &Handle,
        otherwise: Answer,
    ) -> Result<Answer, HandlerError> {
        let Some(backend) = &self.backend else { return Ok(otherwise) };
        let about = ask.about;
        let context = Context::new(ask, Params::new(), origin, self.state.clone(), handle.clone());
        backend.act(&context, about).await
    }

    /// Whether actions of a type have handlers here.
    pub(crate) fn has_handlers(&self, kind: &str) -> bool {
        self.types.contains_key(kind) || self.other_type.is_some()
    }

    /// Calls the handler for a client that has left a channel, if there is one.
    pub(crate) fn unsubscribed(
        &self,
        node: NodeId,
        channel: Arc<str>,
        handle: &Handle,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let (handlers, params) = self.channel(&channel)?;
        let unsubscribe = handlers.unsubscribe.clone()?;
        let action = Unsubscribe { channel: channel.to_string() }.to_action().ok()?;
        let context = Context::unsubscribing(action, node, params, self.state.clone(), handle.clone());
        Some(async move {
            if let Err(error) = unsubscribe(context).await {
                tracing::error!(%channel, ?error, "the handler of an unsubscription failed");
            }
        })
    }
}

async fn act<S>(handlers: &ActionType<S>, context: &Context<S>, about: About) -> Result<Answer, HandlerError> {
    if about == About::Action && !(handlers.access)(context.clone()).await? {
        return Ok(Answer::Denied);
    }
    if let Some(resend) = &handlers.resend {
        let recipients: Recipients = resend(context.clone()).await?;
        context.answer(Answer::Resend(recipients)).await;
    }
    context.answer(Answer::Approved(None)).await;
    if let Some(process) = &handlers.process {
        process(context.clone()).await?;
    }
    Ok(Answer::Processed)
}

async fn subscribe<S>(channel: &Channel<S>, context: &Context<S>) -> Result<Answer, HandlerError> {
    if !(channel.access)(context.clone()).await? {
        return Ok(Answer::Denied);
    }
    let filter = match &channel.filter {
        Some(filter) => filter(context.clone()).await?,
        None => None,
    };
    context.answer(Answer::Approved(filter)).await;
    if let Some(load) = &channel.load {
        let Loaded(actions) = load(context.clone()).await?;
        for (action, time) in actions {
            context.answer(Answer::Action(action, time)).await;
        }
    }
    Ok(Answer::Processed)
}

async fn finish<S>(finally: Option<&Handler<S, ()>>, context: Context<S>) {
    if let Some(finally) = finally {
        let id = context.meta().id.clone();
        if let Err(error) = finally(context).await {
            tracing::error!(%id, ?error, "the last handler of an action failed");
        }
    }
}

fn failed(id: &ActionId, error: HandlerError) -> Answer {
    match error {
        HandlerError::Failed(error) => {
            tracing::error!(%id, %error, "a handler failed");
            Answer::error()
        }
        HandlerError::Denied => Answer::Denied,
        HandlerError::NotFound => Answer::not_found(),
        HandlerError::Undo { reason, extra } => Answer::Undo { reason, extra },
    }
}

impl<S> Context<S> {
    /// The context of a client's leaving, which is no action of its own when the connection is gone.
    fn unsubscribing(action: Action, node: NodeId, params: Params, state: Arc<S>, handle: Handle) -> Self {
        let meta = Meta::new(ActionId::new(logux::WallTime::default(), node.clone(), 0));
        let ask = Ask::notice(
            logux::Entry::new(action, meta),
            Author { node, subprotocol: None, headers: None, session: None },
        );
        Self::new(ask, params, Origin::nowhere(), state, handle)
    }
}
