//! Reads entries of the log in pages, so that no reader holds up the hub, and the actions that a
//! client missed while it was not connected.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::Hub;
use crate::{
    action::NodeId,
    log::LogError,
    server::{Output, SessionId, inbox, retention::is_retained, retention::user_index},
    store::{Entry, Query, Store},
};

/// The size of the actions at which a page ends, in bytes. The last action may exceed it.
const PAGE_BYTES: usize = 64 * 1024;

/// A part of the entries with an index, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The selected entries.
    pub(super) entries: Vec<Arc<Entry>>,
    /// The number of the last entry that was read, if there are more.
    pub(super) end: Option<u64>,
}

/// The progress of sending a client the actions that it missed.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct CatchUp {
    /// The number in the log up to which the client has been sent everything.
    after: u64,
    /// The number up to which it needs no answers.
    answers_after: u64,
    /// The last number when the client joined. Later actions are delivered as they arrive.
    until: u64,
    /// Whether the node has received nothing before.
    is_new: bool,
}

impl CatchUp {
    /// Creates the start of catching up.
    pub(super) const fn new(after: u64, answers_after: u64, until: u64, is_new: bool) -> Self {
        Self { after, answers_after, until, is_new }
    }
}

impl<S: Store> Hub<S> {
    /// Reads the selected entries with an index and a number after `after`, up to `until`, and of
    /// these the first [`PAGE_BYTES`]. O(`Config::page_entries`).
    pub(super) fn read_page(
        &self,
        index: impl Into<Arc<str>>,
        after: u64,
        until: u64,
        selects: impl Fn(&Entry) -> bool,
    ) -> Result<Page, LogError<S::Error>> {
        let (mut page, mut last, mut bytes, mut read) = (Page::default(), after, 0, 0);
        let query = Query::added().oldest_first().index(index).after_added(after);
        self.log.walk(&query, |entry| {
            let added = entry.meta.added.unwrap_or(u64::MAX);
            if added > until {
                return ControlFlow::Break(());
            }
            if bytes >= PAGE_BYTES || read >= self.config.page_entries.max(1) {
                page.end = Some(last);
                return ControlFlow::Break(());
            }
            (last, read) = (added, read + 1);
            if selects(entry) {
                bytes += entry.action.as_json().len();
                page.entries.push(Arc::new(entry.clone()));
            }
            ControlFlow::Continue(())
        })?;
        Ok(page)
    }

    /// Sends a client the next page of the actions that it missed: the answers to its actions, the
    /// undos of actions that its user has received, and the kept actions of its user.
    pub(super) fn catch_up(&mut self, id: SessionId) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let Some(mut progress) = session.catch_up.take() else { return Ok(()) };
        let (node, added_offset) = (session.node.clone(), session.added_offset);
        let Page { entries, end } = self.missed_page(id, &node, progress)?;
        let added = match end {
            Some(end) => end,
            // What was delivered in the meantime precedes this page.
            None => self.log.last_added()?,
        };
        let (added, has_more) = (added + added_offset, end.is_some());
        self.pending.push_back(Output::Missed { session: id, added, entries, has_more });
        if let (Some(end), Some(session)) = (end, self.sessions.get_mut(id)) {
            progress.after = end;
            session.catch_up = Some(progress);
        }
        Ok(())
    }

    fn missed_page(
        &self,
        session: SessionId,
        node: &NodeId,
        CatchUp { after, answers_after, until, is_new }: CatchUp,
    ) -> Result<Page, LogError<S::Error>> {
        let client = node.client_id();
        // With the last remembered entries of a client, its confirmation is forgotten too.
        let session = self.sessions.get(session);
        let is_needed = |entry: &Entry| {
            (!is_new || inbox::is_remembered(entry))
                && session.is_some_and(|session| !self.is_obsolete_answer(session, entry))
        };
        let answers = inbox::client_index(client);
        let mut pages =
            vec![self.read_page(answers, after.max(answers_after), until, is_needed)?];
        if let Some(user) = node.user_id() {
            // A new node has received no actions that could be undone.
            if !is_new && after > 0 {
                let index = inbox::user_undo_index(user);
                let is_of_others = |undo: &Entry| undo.meta.id.node().client_id() != client;
                pages.push(self.read_page(index, after, until, is_of_others)?);
            }
            pages.push(self.read_page(user_index(user), after, until, |entry| {
                is_retained(&entry.meta) && entry.meta.id.node().client_id() != client
            })?);
        }
        // All pages are complete up to the first end.
        let end = pages.iter().filter_map(|page| page.end).min();
        let mut entries: Vec<_> = pages.into_iter().flat_map(|page| page.entries).collect();
        entries.retain(|entry| end.is_none() || entry.meta.added <= end);
        entries.sort_by_key(|entry| entry.meta.added);
        entries.dedup_by_key(|entry| entry.meta.added);
        Ok(Page { entries, end })
    }
}
