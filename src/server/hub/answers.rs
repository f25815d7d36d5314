//! What the application answers, and how actions end.

use std::sync::Arc;

use super::{Hub, filter_key, undo_of};
use crate::{
    action::{
        Action, ActionError,
        logux::{Processed, UNDO},
    },
    json::Json,
    log::{Draft, LogError},
    server::{About, Answer, Filter, Job, Output, Recipients, Report, SessionId, jobs::Task},
    store::Store,
    time::WallTime,
};

impl<S: Store> Hub<S> {
    pub(super) fn answer(
        &mut self,
        now: WallTime,
        job: Job,
        answer: Answer,
    ) -> Result<(), LogError<S::Error>> {
        let Some(task) = self.jobs.running(job) else { return Ok(()) };
        match answer {
            Answer::Resend(recipients) => {
                task.recipients.extend(recipients);
                Ok(())
            }
            Answer::Approved(filter) => self.approved(now, job, filter),
            // What was loaded for nobody.
            Answer::Action(..) if task.cancelled => Ok(()),
            Answer::Action(action, mut draft) => {
                let client = task.entry.meta.id.node().client_id().to_owned();
                if task.about == About::Action {
                    // A subscription is done again as a whole; this is not.
                    *draft = self.inbox.remember(&client, *draft);
                }
                draft.subprotocol = draft.subprotocol.or(self.own_draft().subprotocol);
                let Some(entry) = self.log.add(now, action, *draft)?.map(Arc::new) else {
                    return Ok(());
                };
                self.report(Report::Added(entry.clone()));
                self.deliver_also(Some(&client), &entry, &Recipients::default(), None)
            }
            Answer::Replay => self.replay(job),
            Answer::Debug(text) => {
                self.debug_author(job, |_| text);
                Ok(())
            }
            Answer::Processed => self.processed(now, job),
            Answer::Denied => {
                self.debug_author(job, |task| {
                    format!("Action \"{}\" was denied", task.entry.meta.id)
                });
                self.undone(now, job, "denied", Vec::new())
            }
            Answer::UnknownType => {
                self.debug_author(job, |task| {
                    format!("Action with unknown type {}", task.entry.action.kind())
                });
                self.undone(now, job, "unknownType", Vec::new())
            }
            Answer::WrongChannel => {
                self.debug_author(job, |task| {
                    format!(
                        "Wrong channel name {}",
                        task.entry.action.field("channel").unwrap_or("undefined")
                    )
                });
                self.undone(now, job, "wrongChannel", Vec::new())
            }
            Answer::Undo { reason, extra } => self.undone(now, job, &reason, extra),
        }
    }

    fn approved(
        &mut self,
        now: WallTime,
        job: Job,
        filter: Option<Filter>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(task) = self.jobs.running(job) else { return Ok(()) };
        if core::mem::replace(&mut task.approved, true) || task.cancelled {
            return Ok(());
        }
        let (entry, about) = (task.entry.clone(), task.about);
        if about != About::Subscription {
            let recipients = core::mem::take(&mut task.recipients);
            let entry = self.keep(now, entry, &recipients)?;
            if !recipients.channels.is_empty() {
                self.jobs.note_in_channels(job);
            }
            let author = (about == About::Action).then(|| entry.meta.id.node());
            self.deliver(&entry, &recipients, author)?;
            if let Some(task) = self.jobs.running(job) {
                (task.entry, task.recipients) = (entry, recipients);
            }
            return Ok(());
        }
        let (Some(id), Some(channel)) = (task.session, entry.action.text_field("channel")) else {
            return Ok(());
        };
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let channel: Arc<str> = channel.into();
        if session.channels.len() >= self.config.max_subscriptions
            && !session.channels.contains(&channel)
        {
            return self.undone(now, job, "subscriptionLimit", Vec::new());
        }
        session.channels.insert(channel.clone());
        let is_new = core::mem::replace(&mut session.is_new, false);
        let in_progress = self.in_progress(&channel, id);
        let key = filter_key(&entry.action);
        self.channels.subscribe(&channel, id, key.clone(), filter);
        let subscription = entry.meta.id.clone();
        self.report(Report::Subscribed {
            node: subscription.node().clone(),
            id: Some(subscription),
            channel: channel.clone(),
        });
        for entry in in_progress {
            if self.channels.passes(&channel, id, &key, &entry) {
                self.deliver_to(id, entry, false)?;
            }
        }
        if is_new { Ok(()) } else { self.tell_undos(id, &channel, &key, &entry) }
    }

    fn processed(&mut self, now: WallTime, job: Job) -> Result<(), LogError<S::Error>> {
        if let Some(task) = self.jobs.running(job)
            && !task.approved
        {
            // Processed without a word about access: that is for the application to say, and it has not.
            return self.undone(now, job, "error", Vec::new());
        }
        let Some(task) = self.jobs.finish(job) else { return Ok(()) };
        let (id, queue, ticket) = (task.entry.meta.id.clone(), task.queue.clone(), task.ticket);
        let is_wanted = task.about == About::Subscription && !task.cancelled;
        if is_wanted && task.session.is_none_or(|session| self.sessions.get(session).is_none()) {
            self.park(now, task)?;
        } else {
            self.report(Report::Processed(task.entry.clone()));
            let answer = Processed { id: id.to_text() }.to_action();
            match task.session.filter(|_| is_wanted) {
                Some(session) => self.subscribed(now, session, task, answer)?,
                None => {
                    let kept = self.reasons_to_keep(&task.entry)?;
                    self.conclude(now, &task, answer, now, &Recipients::default())?;
                    if let Some(reasons) = kept {
                        self.record(&task.entry, reasons)?;
                    }
                }
            }
            self.pending.extend(ticket.map(|ticket| Output::Done(ticket, Ok(()))));
        }
        self.start_next(now, id.node(), &queue)
    }

    /// Tells a client that it is subscribed. Until it has confirmed that, the subscription is one that may have to be done again.
    fn subscribed(
        &mut self,
        now: WallTime,
        session: SessionId,
        task: Task,
        answer: Result<Action, ActionError>,
    ) -> Result<(), LogError<S::Error>> {
        // A text can always be written as JSON.
        let Ok(answer) = answer else { return Ok(()) };
        let draft = self.inbox.alone(at(now));
        let entry =
            self.inbox.answer_for_now(&mut self.log, now, &task.entry.meta.id, answer, draft)?;
        let Some(entry) = entry.map(Arc::new) else { return Ok(()) };
        for _ in 0..task.repeats {
            self.deliver_to(session, entry.clone(), false)?;
        }
        if let (Some(session), Some(added)) = (self.sessions.get_mut(session), entry.meta.added) {
            session.unacknowledged.push_back((added, task));
        }
        self.deliver_to(session, entry, true)
    }

    /// Takes an action back, and what the client has sent behind it.
    pub(super) fn undone(
        &mut self,
        now: WallTime,
        job: Job,
        reason: &str,
        extra: Vec<(String, Json)>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(task) = self.jobs.finish(job) else { return Ok(()) };
        let node = task.entry.meta.id.node().clone();
        let is_own = task.about == About::OwnAction;
        let behind = if is_own { Vec::new() } else { self.jobs.drain_behind(&task) };
        self.undo_task(now, &task, reason, extra)?;
        for behind in behind {
            self.undo_task(now, &behind, "error", Vec::new())?;
        }
        self.start_next(now, &node, &task.queue)
    }

    pub(super) fn undo_task(
        &mut self,
        now: WallTime,
        task: &Task,
        reason: &str,
        extra: Vec<(String, Json)>,
    ) -> Result<(), LogError<S::Error>> {
        self.report_undone(&task.entry, reason);
        if let (About::Subscription, Some(id), Some(channel)) =
            (task.about, task.session, task.entry.action.text_field("channel"))
            && task.approved
            // What was cancelled has subscribed to nothing; another may have meanwhile.
            && !task.cancelled
        {
            self.unsubscribe_session(id, &channel, &filter_key(&task.entry.action));
        }
        let recipients =
            if task.approved { task.recipients.clone() } else { Recipients::default() };
        let undo = undo_of(&task.entry, reason, extra);
        // Clients of the reference take an action back only by an undo that is later, and clocks are never quite corrected.
        let time = now.max(task.entry.meta.time.shifted(1));
        self.conclude(now, task, undo, time, &recipients)?;
        if let Some(ticket) = task.ticket {
            self.pending.push_back(Output::Done(ticket, Err(reason.to_owned())));
        }
        Ok(())
    }

    /// Tells the author, and the recipients if they have to know, how an action ended.
    pub(super) fn conclude(
        &mut self,
        now: WallTime,
        task: &Task,
        answer: Result<Action, ActionError>,
        time: WallTime,
        recipients: &Recipients,
    ) -> Result<(), LogError<S::Error>> {
        // A text and a checked action can always be written as JSON.
        let Ok(answer) = answer else { return Ok(()) };
        let id = &task.entry.meta.id;
        let mut draft = at(time);
        if answer.kind() == UNDO {
            draft = self.keep_undo(&task.entry, draft)?;
            draft = self.inbox.remember_undo(draft, recipients);
        }
        let entry = if task.kept {
            self.inbox.answer(&mut self.log, now, id, answer, draft)?
        } else {
            draft.subprotocol = self.own_draft().subprotocol;
            self.log.add(now, answer, draft)?
        };
        let Some(entry) = entry else { return Ok(()) };
        let entry = Arc::new(entry);
        let author = (task.about != About::OwnAction).then(|| id.node().client_id());
        // What came twice is answered twice.
        for _ in 0..task.repeats {
            self.deliver_also(author, &entry, &Recipients::default(), None)?;
        }
        self.deliver_also(author, &entry, recipients, None)
    }
}

fn at(time: WallTime) -> Draft {
    Draft { time: Some(time), ..Draft::default() }
}
