//! The application at work: what it was asked, and how far it is.

use super::{
    application::{Application, Database},
    course::Course,
};
use crate::{
    action::{Action, logux},
    log::Draft,
    server::{HandlerRequest, HandlerResponse, RequestId, RequestKind},
};

/// What the application is working on.
#[derive(Debug, Default)]
pub(super) struct Handlers(Vec<Handler>);

#[derive(Debug)]
struct Handler {
    /// When it goes on; `None`: it hangs, until the server crashes.
    at: Option<u64>,
    ask: HandlerRequest,
    step: Step,
}

/// What it does next.
#[derive(Debug)]
enum Step {
    Decide,
    /// Commits what an action changes.
    Commit,
    /// Reads what a subscriber is to get.
    Load,
    /// Says what it has found.
    Respond(Vec<HandlerResponse>),
}

impl Handlers {
    pub(super) fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them goes on only after a crash.
    pub(super) fn hang(&self) -> bool {
        self.0.iter().any(|handler| handler.at.is_none())
    }

    pub(super) fn next_moment(&self) -> Option<u64> {
        self.0.iter().filter_map(|handler| handler.at).min()
    }

    /// A question has come.
    pub(super) fn start(&mut self, course: &mut Course, ask: HandlerRequest) {
        let id = &ask.entry.meta.id;
        course.tell(|| format!("the application is asked about {id}"));
        if ask.kind == RequestKind::Action {
            course.note_asked(id);
        }
        self.go_on(course, ask, Step::Decide);
    }

    fn go_on(&mut self, course: &mut Course, ask: HandlerRequest, step: Step) {
        let hangs = course.fails(course.config.hangs_once_in);
        let at = course.after(course.config.handler_ms);
        if hangs {
            course.counts.hangs += 1;
            course.tell(|| format!("the handler of {} hangs", ask.entry.meta.id));
        }
        self.0.push(Handler { at: (!hangs).then_some(at), ask, step });
    }

    /// Does what is due; returns what the hub is answered.
    pub(super) fn wake<A: Application>(
        &mut self,
        course: &mut Course,
        application: &A,
        database: &mut Database<A::Data>,
    ) -> Vec<(RequestId, HandlerResponse)> {
        let now = course.ms();
        let is_due = |handler: &mut Handler| handler.at.is_some_and(|at| at <= now);
        let due: Vec<Handler> = self.0.extract_if(.., is_due).collect();
        let mut answers = Vec::new();
        for Handler { ask, step, .. } in due {
            let job = ask.id;
            let said = self.take_step(course, application, database, ask, step);
            answers.extend(said.into_iter().map(|answer| (job, answer)));
        }
        answers
    }

    fn take_step<A: Application>(
        &mut self,
        course: &mut Course,
        application: &A,
        database: &mut Database<A::Data>,
        ask: HandlerRequest,
        step: Step,
    ) -> Vec<HandlerResponse> {
        let entry = ask.entry.clone();
        let channel = entry.action.str_field("channel").unwrap_or_default();
        match step {
            Step::Decide if !application.access(&database.data, &entry) => {
                vec![HandlerResponse::Denied]
            }
            Step::Decide if ask.kind == RequestKind::Subscription => {
                self.go_on(course, ask, Step::Load);
                let replay = application.replays(&channel).then_some(HandlerResponse::Replay);
                core::iter::once(HandlerResponse::Approved(None)).chain(replay).collect()
            }
            Step::Decide => {
                self.go_on(course, ask, Step::Commit);
                vec![
                    HandlerResponse::Resend(application.resend(&entry)),
                    HandlerResponse::Approved(None),
                ]
            }
            // A database that cannot be reached: where the action was done already, the handler has to wait for it.
            Step::Load | Step::Commit
                if database.times(&entry.meta.id) == 0
                    && course.fails(course.config.errors_once_in) =>
            {
                course.tell(|| format!("the handler of {} fails", entry.meta.id));
                vec![HandlerResponse::error()]
            }
            Step::Load => {
                let loaded = application.load(&database.data, &channel);
                let mut answers: Vec<HandlerResponse> = loaded.into_iter().map(sent).collect();
                answers.push(HandlerResponse::Processed);
                self.go_on(course, ask, Step::Respond(answers));
                Vec::new()
            }
            Step::Commit => {
                let before = database.times(&entry.meta.id);
                if let Err(reason) = database.commit(application, &entry) {
                    return vec![HandlerResponse::Undo { reason, extra: Vec::new() }];
                }
                if database.times(&entry.meta.id) > before {
                    course.tell(|| format!("{} is done", entry.meta.id));
                }
                course.note_done(&entry.meta.id);
                let sent_back = application
                    .send_back(&entry)
                    .into_iter()
                    .map(|action| sent((action, Draft::default())));
                let answers = sent_back.chain([HandlerResponse::Processed]).collect();
                self.go_on(course, ask, Step::Respond(answers));
                Vec::new()
            }
            Step::Respond(answers) => answers,
        }
    }
}

fn sent((action, draft): (Action, Draft)) -> HandlerResponse {
    debug_assert!(!logux::is_logux(action.kind()), "an application sends what is its own");
    HandlerResponse::Action(action, Box::new(draft))
}
