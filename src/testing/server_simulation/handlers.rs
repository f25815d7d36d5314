//! The running handlers of the application.

use std::collections::VecDeque;

use super::{
    application::{Application, Database},
    context::Context,
};
use crate::{
    action::{Action, logux},
    log::Draft,
    server::{
        AddAction, HandlerRequest, HandlerResponse, Input, RequestId, RequestKind, SessionId,
    },
    store::Entry,
};

/// The number of actions of a state that are sent at a time.
const LOADED_AT_A_TIME: usize = 3;

/// The running handlers.
#[derive(Debug, Default)]
pub(super) struct Handlers {
    running: Vec<Handler>,
    /// The requests whose action has a handler from before a restart of the hub. It may still take
    /// effect, so the next call waits for its end. With the start of the server that has sent them.
    waiting: Vec<(HandlerRequest, usize)>,
    /// The subscriptions whose next page of kept actions the hub reads, with the start of the
    /// server in which they were called.
    replaying: Vec<(HandlerRequest, usize)>,
}

#[derive(Debug)]
struct Handler {
    /// The time of the next step, in milliseconds. `None`: it hangs until the server crashes.
    at: Option<u64>,
    request: HandlerRequest,
    step: Step,
    /// The start of the server in which it was called.
    server_start: usize,
}

/// The next step of a handler.
#[derive(Debug)]
enum Step {
    /// Checks access.
    Decide,
    /// Processes the action in a transaction.
    Commit,
    /// Requests the next page of the kept actions of a channel.
    Replay,
    /// Loads the state of a channel.
    Load,
    /// Sends the state of a channel in parts.
    Send(VecDeque<HandlerResponse>),
    /// Responds to the hub.
    Respond(Vec<HandlerResponse>),
}

impl Handlers {
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty() && self.replaying.is_empty()
    }

    /// Returns `true` if a handler hangs.
    pub(super) fn any_hangs(&self) -> bool {
        self.running.iter().any(|handler| handler.at.is_none())
    }

    /// Returns the time of the next step, in milliseconds.
    pub(super) fn next_event(&self) -> Option<u64> {
        self.running.iter().filter_map(|handler| handler.at).min()
    }

    /// Starts the handler of a request.
    pub(super) fn start(&mut self, context: &mut Context, request: HandlerRequest) {
        let id = &request.entry.meta.id;
        context.record(|| format!("the application receives a request for {id}"));
        if request.kind == RequestKind::Action {
            context.check_request(id);
            if self.is_running(&request) {
                return self.waiting.push((request, context.server_starts));
            }
        }
        let server_start = context.server_starts;
        self.schedule(context, request, Step::Decide, server_start);
    }

    /// Returns `true` if the action of a request has a handler.
    fn is_running(&self, request: &HandlerRequest) -> bool {
        let id = &request.entry.meta.id;
        self.running.iter().any(|handler| handler.request.entry.meta.id == *id)
    }

    /// Starts the handlers that have waited for earlier ones of the same action.
    fn start_waiting(&mut self, context: &mut Context) {
        for (request, server_start) in core::mem::take(&mut self.waiting) {
            if self.is_running(&request) {
                self.waiting.push((request, server_start));
            } else {
                self.schedule(context, request, Step::Decide, server_start);
            }
        }
    }

    /// Continues a subscription after a page of kept actions.
    pub(super) fn replayed(&mut self, context: &mut Context, id: RequestId, has_more: bool) {
        let position = self.replaying.iter().position(|(request, _)| request.id == id);
        if let Some(position) = position {
            let (request, server_start) = self.replaying.swap_remove(position);
            let step = if has_more { Step::Replay } else { Step::Load };
            self.schedule(context, request, step, server_start);
        }
    }

    /// Ends the replays, because the hub has forgotten them.
    pub(super) fn forget_replays(&mut self) {
        self.replaying.clear();
    }

    fn schedule(
        &mut self,
        context: &mut Context,
        request: HandlerRequest,
        step: Step,
        server_start: usize,
    ) {
        let hangs = context.fails(context.config.hangs_once_in);
        let is_immediate = context.random.one_in(3);
        let at = context.after(|config| &config.handler_delay);
        let at = if is_immediate { context.now_ms } else { at };
        if hangs {
            context.counts.hangs += 1;
            context.record(|| format!("the handler of {} hangs", request.entry.meta.id));
        }
        self.running.push(Handler { at: (!hangs).then_some(at), request, step, server_start });
    }

    /// Executes the steps that are due, and returns their inputs for the hub.
    pub(super) fn wake<A: Application>(
        &mut self,
        context: &mut Context,
        application: &A,
        database: &mut Database<A::Data>,
        is_connected: impl Fn(SessionId) -> bool,
    ) -> Vec<Input> {
        let now = context.now_ms;
        let is_due = |handler: &mut Handler| handler.at.is_some_and(|at| at <= now);
        let due: Vec<Handler> = self.running.extract_if(.., is_due).collect();
        let mut inputs = Vec::new();
        for handler in due {
            let id = handler.request.id;
            let session = handler.request.author.session;
            if session.is_none_or(|session| !is_connected(session))
                && matches!(handler.step, Step::Replay | Step::Load | Step::Send(_))
            {
                let action_id = &handler.request.entry.meta.id;
                context.record(|| format!("{action_id} is not needed any more"));
                inputs.push(Input::Respond(id, HandlerResponse::Postponed));
                continue;
            }
            let entry = handler.request.entry.clone();
            let is_commit = matches!(handler.step, Step::Commit);
            let responses = self.take_step(context, application, database, handler);
            if is_commit && database.times_processed(&entry.meta.id) > 0 {
                let sent = application.send(&database.data, &entry).into_iter();
                inputs.extend(sent.map(|(action, draft, to)| {
                    let addition = AddAction { action, draft, to, process: false, ticket: None };
                    Input::Add(Box::new(addition))
                }));
            }
            inputs.extend(responses.into_iter().map(|response| Input::Respond(id, response)));
        }
        self.start_waiting(context);
        inputs
    }

    fn take_step<A: Application>(
        &mut self,
        context: &mut Context,
        application: &A,
        database: &mut Database<A::Data>,
        handler: Handler,
    ) -> Vec<HandlerResponse> {
        let Handler { request, step, server_start, .. } = handler;
        let entry = request.entry.clone();
        let channel = entry.action.str_field("channel").unwrap_or_default();
        match step {
            Step::Decide if !application.access(&database.data, &entry) => {
                context.failed.insert(entry.meta.id.clone());
                vec![HandlerResponse::Denied]
            }
            Step::Decide if request.target.is_some() => {
                let reason = match &request.target {
                    Some(Ok(target)) if application.may_undo(target, &entry) => {
                        // It is processed when the hub has accepted it.
                        let end = HandlerResponse::AcceptUndo;
                        let responses = Self::send_back(context, application, &entry, end);
                        self.schedule(context, request, Step::Respond(responses), server_start);
                        return Vec::new();
                    }
                    Some(Err(refusal)) => refusal.reason(),
                    _ => "denied",
                };
                context.failed.insert(entry.meta.id.clone());
                vec![HandlerResponse::undo(reason)]
            }
            Step::Decide if request.kind == RequestKind::Subscription => {
                if application.replays(&channel) {
                    self.replaying.push((request, server_start));
                    return vec![HandlerResponse::Approved(None), HandlerResponse::Replay];
                }
                self.schedule(context, request, Step::Load, server_start);
                vec![HandlerResponse::Approved(None)]
            }
            Step::Replay => {
                self.replaying.push((request, server_start));
                vec![HandlerResponse::Paused, HandlerResponse::Replay]
            }
            Step::Decide => {
                let is_kept = application.is_processed_by_log(&entry.action);
                let next = if is_kept {
                    let end = HandlerResponse::Processed;
                    Step::Respond(Self::send_back(context, application, &entry, end))
                } else {
                    Step::Commit
                };
                self.schedule(context, request, next, server_start);
                vec![
                    HandlerResponse::Resend(application.resend(&entry)),
                    HandlerResponse::Approved(None),
                ]
            }
            // The database fails. A handler whose action was processed already may not fail.
            Step::Load | Step::Commit
                if database.times_processed(&entry.meta.id) == 0
                    && context.fails(context.config.errors_once_in) =>
            {
                context.record(|| format!("the handler of {} fails", entry.meta.id));
                context.failed.insert(entry.meta.id.clone());
                vec![HandlerResponse::error()]
            }
            Step::Load => {
                let loaded = application.load(&database.data, &channel);
                let responses = loaded.into_iter().map(response);
                let responses = responses.chain([HandlerResponse::Processed]).collect();
                self.schedule(context, request, Step::Send(responses), server_start);
                Vec::new()
            }
            Step::Send(mut rest) => {
                let mut part: Vec<_> = rest.drain(..LOADED_AT_A_TIME.min(rest.len())).collect();
                if !rest.is_empty() {
                    part.push(HandlerResponse::Paused);
                    self.schedule(context, request, Step::Send(rest), server_start);
                }
                part
            }
            Step::Commit => {
                let before = database.times_processed(&entry.meta.id);
                if let Err(reason) = database.commit(application, &entry) {
                    context.failed.insert(entry.meta.id.clone());
                    return vec![HandlerResponse::Undo { reason, extra: Vec::new() }];
                }
                if database.times_processed(&entry.meta.id) > before {
                    context.record(|| format!("{} is processed", entry.meta.id));
                }
                context.check_processed(&entry.meta.id, server_start);
                let end = HandlerResponse::Processed;
                let responses = Self::send_back(context, application, &entry, end);
                self.schedule(context, request, Step::Respond(responses), server_start);
                Vec::new()
            }
            Step::Respond(responses) => responses,
        }
    }

    /// Returns the responses that send actions back to an author, and `end`.
    fn send_back<A: Application>(
        context: &mut Context,
        application: &A,
        entry: &Entry,
        end: HandlerResponse,
    ) -> Vec<HandlerResponse> {
        let sent_back = application.send_back(entry);
        context.sent_back.insert(entry.meta.id.clone(), sent_back.clone());
        let sent_back = sent_back.into_iter().map(|action| response((action, Draft::default())));
        sent_back.chain([end]).collect()
    }
}

fn response((action, draft): (Action, Draft)) -> HandlerResponse {
    debug_assert!(!logux::is_logux(action.kind()), "an application sends only its own actions");
    HandlerResponse::Action(action, Box::new(draft))
}
