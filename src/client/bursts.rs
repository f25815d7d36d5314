//! Bursts of typing: edits that follow each other within moments are one action.

use core::time::Duration;
use std::sync::Arc;

use super::{
    Client, Fate, Output,
    actions::{OwnAction, is_connected},
};
use crate::{
    action::{Action, ActionId, DocumentKey, DocumentVerb},
    log::{Draft, LogError, Observer},
    replay::TimelineSet,
    store::{Entry, Store},
    time::{MonoTime, Now},
};

/// When a burst of typing ends. With a limit of zero, each edit is an action of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstLimits {
    /// The time without an edit after which the burst ends. Default: 500 ms.
    pub pause: Duration,
    /// The time after the first edit at which the burst ends, so that others see what is typed
    /// without a pause. Default: 2 s.
    pub age: Duration,
    /// The largest action, in bytes of JSON. Default: 1,024.
    pub bytes: usize,
}

impl BurstLimits {
    /// No bursts: each edit is an action of its own.
    pub const NONE: Self = Self { pause: Duration::ZERO, age: Duration::ZERO, bytes: 0 };
}

impl Default for BurstLimits {
    fn default() -> Self {
        Self { pause: Duration::from_millis(500), age: Duration::from_secs(2), bytes: 1_024 }
    }
}

/// The burst of a client: one at a time, so that actions are sent in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Bursts {
    limits: BurstLimits,
    open: Option<Burst>,
}

/// An own action that becomes longer, and is not sent meanwhile.
#[derive(Debug)]
struct Burst {
    timeline: Arc<str>,
    id: ActionId,
    first_edit: MonoTime,
    last_edit: MonoTime,
}

impl Bursts {
    /// Returns the time at which the open burst ends.
    pub(super) fn end(&self) -> Option<MonoTime> {
        let burst = self.open.as_ref()?;
        let by_pause = burst.last_edit.after(self.limits.pause);
        Some(by_pause.min(burst.first_edit.after(self.limits.age)))
    }

    /// Ends the burst, whose action is in the log.
    pub(super) fn forget(&mut self) {
        self.open = None;
    }

    const fn allow(&self, bytes: usize) -> bool {
        let BurstLimits { pause, age, bytes: max_bytes } = self.limits;
        !pause.is_zero() && !age.is_zero() && bytes <= max_bytes
    }

    /// Returns the action of the open burst, if it is of a timeline and has not ended.
    fn of(&self, timeline: &str, now: MonoTime) -> Option<&ActionId> {
        let is_over = self.end().is_none_or(|end| end <= now);
        let burst = self.open.as_ref().filter(|burst| *burst.timeline == *timeline && !is_over);
        burst.map(|burst| &burst.id)
    }
}

impl<S: Store> Client<S, TimelineSet> {
    /// Adds an own action as [`edit`](Self::edit) does, as a part of a burst of typing: the first
    /// edit of a burst adds an action, which changes the state and is kept at once, but is not sent
    /// yet; the next ones become a part of it, with its id and time. Returns the id of the action.
    ///
    /// The burst ends, and its action is sent and does not change any more, at a
    /// [limit](BurstLimits); at the next own action that is not a part of it, since actions are
    /// sent in the order of their ids; at the end of the step of undo ([`close_step`]); at an undo;
    /// when the device falls asleep; and when a connection opens. After a restart, the action is
    /// sent as the store has it.
    ///
    /// While others show themselves in the document ([`presence`](Client::presence)), they see each
    /// edit at once: it is an action of its own.
    ///
    /// `action` is an edit of a document, as [`Shared::action`] makes it, of its current state. An
    /// edit whose effect depends on its time, such as a write, does not become a part of an action
    /// that others have edited the document after. Edits of other timelines are added as they are.
    ///
    /// [`close_step`]: Self::close_step
    /// [`Shared::action`]: crate::crdt::Shared::action
    ///
    /// # Errors
    /// If the store fails.
    pub fn edit_in_burst(
        &mut self,
        now: Now,
        timeline: &Arc<str>,
        action: Action,
    ) -> Result<ActionId, LogError<S::Error>> {
        let is_watched = self.presence(timeline).next().is_some();
        if is_watched {
            return self.edit(now, timeline, action);
        }
        if let Some(id) = self.extend_burst(now, timeline, &action)? {
            return Ok(id);
        }
        let may_grow = is_edit_of(&action, timeline);
        if !may_grow || !self.bursts.allow(action.as_json().len()) {
            return self.edit(now, timeline, action);
        }
        let id = self.begin_burst(now, timeline, action)?;
        self.record_edit(now, timeline, &id)?;
        Ok(id)
    }

    /// Makes an edit a part of the open burst. Returns `None` if it is not.
    fn extend_burst(
        &mut self,
        now: Now,
        timeline: &Arc<str>,
        addition: &Action,
    ) -> Result<Option<ActionId>, LogError<S::Error>> {
        // A burst is within one step of undo.
        let open = self.bursts.of(timeline, now.mono);
        if !open.is_some_and(|id| self.undo_steps.is_open(timeline, now.mono, id)) {
            return Ok(None);
        }
        let extended = self.extend_burst_with(
            now,
            timeline,
            |timelines, entry| timelines.extended(timeline, entry, addition),
            |timelines, entry| timelines.extend_action(timeline, entry),
        )?;
        if extended.is_some() {
            self.undo_steps.extend(timeline, now.mono);
        }
        Ok(extended)
    }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Sets when bursts of [`edit_in_burst`](Client::edit_in_burst) end.
    #[must_use]
    pub const fn with_bursts(mut self, limits: BurstLimits) -> Self {
        self.bursts.limits = limits;
        self
    }

    /// Ends the open burst of [`edit_in_burst`](Client::edit_in_burst), if there is one, and sends
    /// its action.
    ///
    /// # Errors
    /// If the store fails.
    pub fn close_burst(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        self.forward_burst()?;
        let Some(burst) = self.bursts.open.take() else { return Ok(()) };
        // Without a connection, it is sent with the others at the next one.
        if !is_connected(self.node.state()) {
            return Ok(());
        }
        let Some(entry) = self.log.by_id(&burst.id)? else { return Ok(()) };
        self.unsent.end(&mut self.log)?;
        self.is_changed = true;
        self.pending.push_back(Output::Fate(burst.id, Fate::Sent));
        self.send(now, &[entry])?;
        self.execute_outputs(now)
    }

    /// Sends the tabs that follow this one the action of the burst that ends.
    pub(super) fn forward_burst(&mut self) -> Result<(), LogError<S::Error>> {
        if let Some(burst) = &self.bursts.open
            && let Some(entry) = self.log.by_id(&burst.id)?
        {
            self.followers.forward(&entry);
        }
        Ok(())
    }

    /// Adds an own action that is not sent before its burst ends.
    pub(crate) fn begin_burst(
        &mut self,
        now: Now,
        timeline: &Arc<str>,
        action: Action,
    ) -> Result<ActionId, LogError<S::Error>> {
        let id = self.add_own(now, action, Draft::default(), OwnAction::Held)?;
        self.bursts.open = Some(Burst {
            timeline: timeline.clone(),
            id: id.clone(),
            first_edit: now.mono,
            last_edit: now.mono,
        });
        Ok(id)
    }

    /// Replaces the action of the open burst of a timeline by the one that `extended` returns, in
    /// the observer by `replace`. Returns the id of the action; `None` if the burst has ended.
    pub(crate) fn extend_burst_with(
        &mut self,
        now: Now,
        timeline: &str,
        extended: impl FnOnce(&O, &Entry) -> Option<Action>,
        replace: impl FnOnce(&mut O, &Entry),
    ) -> Result<Option<ActionId>, LogError<S::Error>> {
        let Some(id) = self.bursts.of(timeline, now.mono).cloned() else { return Ok(None) };
        let Some(entry) = self.log.by_id(&id)? else { return Ok(None) };
        let extended = extended(self.log.observer(), &entry);
        let Some(action) = extended.filter(|it| self.bursts.allow(it.as_json().len())) else {
            return Ok(None);
        };
        let Some(entry) = self.log.replace_action(&id, action)? else { return Ok(None) };
        self.is_changed = true;
        replace(self.log.observer_mut(), &entry);
        if let Some(burst) = &mut self.bursts.open {
            burst.last_edit = now.mono;
        }
        self.execute_outputs(now)?;
        Ok(Some(id))
    }

    /// Returns `true` if a burst is open.
    #[cfg(feature = "testing")]
    pub(crate) const fn has_burst(&self) -> bool {
        self.bursts.open.is_some()
    }

    /// Ends the burst whose time is over.
    pub(super) fn close_old_burst(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        match self.bursts.end() {
            Some(end) if end <= now.mono => self.close_burst(now),
            _ => Ok(()),
        }
    }
}

/// Returns `true` if an action edits the document with this channel.
fn is_edit_of(action: &Action, channel: &str) -> bool {
    DocumentKey::of(action)
        .is_some_and(|(key, verb)| verb == DocumentVerb::Edit && **key.channel() == *channel)
}
