//! The running handlers of the application.

use super::{
    application::{Application, Database},
    context::Context,
};
use crate::{
    action::{Action, logux},
    log::Draft,
    server::{HandlerRequest, HandlerResponse, RequestId, RequestKind},
};

/// The running handlers.
#[derive(Debug, Default)]
pub(super) struct Handlers(Vec<Handler>);

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
    /// Loads the state of a channel.
    Load,
    /// Responds to the hub.
    Respond(Vec<HandlerResponse>),
}

impl Handlers {
    pub(super) fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `true` if a handler hangs.
    pub(super) fn any_hangs(&self) -> bool {
        self.0.iter().any(|handler| handler.at.is_none())
    }

    /// Returns the time of the next step, in milliseconds.
    pub(super) fn next_event(&self) -> Option<u64> {
        self.0.iter().filter_map(|handler| handler.at).min()
    }

    /// Starts the handler of a request.
    pub(super) fn start(&mut self, context: &mut Context, request: HandlerRequest) {
        let id = &request.entry.meta.id;
        context.record(|| format!("the application receives a request for {id}"));
        if request.kind == RequestKind::Action {
            context.check_request(id);
        }
        let server_start = context.server_starts;
        self.schedule(context, request, Step::Decide, server_start);
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
        self.0.push(Handler { at: (!hangs).then_some(at), request, step, server_start });
    }

    /// Executes the steps that are due, and returns their responses to the hub.
    pub(super) fn wake<A: Application>(
        &mut self,
        context: &mut Context,
        application: &A,
        database: &mut Database<A::Data>,
    ) -> Vec<(RequestId, HandlerResponse)> {
        let now = context.now_ms;
        let is_due = |handler: &mut Handler| handler.at.is_some_and(|at| at <= now);
        let due: Vec<Handler> = self.0.extract_if(.., is_due).collect();
        let mut responses = Vec::new();
        for handler in due {
            let id = handler.request.id;
            let of_step = self.take_step(context, application, database, handler);
            responses.extend(of_step.into_iter().map(|response| (id, response)));
        }
        responses
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
            Step::Decide if request.kind == RequestKind::Subscription => {
                self.schedule(context, request, Step::Load, server_start);
                let replay = application.replays(&channel).then_some(HandlerResponse::Replay);
                core::iter::once(HandlerResponse::Approved(None)).chain(replay).collect()
            }
            Step::Decide => {
                self.schedule(context, request, Step::Commit, server_start);
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
                let mut responses: Vec<HandlerResponse> =
                    loaded.into_iter().map(response).collect();
                responses.push(HandlerResponse::Processed);
                self.schedule(context, request, Step::Respond(responses), server_start);
                Vec::new()
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
                let sent_back = application.send_back(&entry);
                context.sent_back.insert(entry.meta.id.clone(), sent_back.clone());
                let sent_back =
                    sent_back.into_iter().map(|action| response((action, Draft::default())));
                let responses = sent_back.chain([HandlerResponse::Processed]).collect();
                self.schedule(context, request, Step::Respond(responses), server_start);
                Vec::new()
            }
            Step::Respond(responses) => responses,
        }
    }
}

fn response((action, draft): (Action, Draft)) -> HandlerResponse {
    debug_assert!(!logux::is_logux(action.kind()), "an application sends only its own actions");
    HandlerResponse::Action(action, Box::new(draft))
}
