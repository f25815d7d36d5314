//! The documents that an application has open: their status, and what the user may do with them.

use core::ops::ControlFlow;
use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;

use super::{
    Client, DocumentEvent, DocumentStatus, Output, Subscription, SubscriptionState,
    actions::is_unanswered,
    document_status::{DELETED, NOT_FOUND},
};
use crate::{
    action::{
        AccessList, Action, ActionId, DocumentAccess, DocumentKey, DocumentOperation, DocumentVerb,
        Stamp,
    },
    log::{LogError, Observer},
    store::{Entry, Query, Store},
    time::Now,
};

/// The documents that an application has open, by channel.
#[derive(Debug, Default)]
pub(super) struct Documents {
    open: IndexMap<Arc<str>, OpenDocument>,
    /// The channels of the own creations and deletions without an answer.
    unanswered: HashMap<ActionId, Arc<str>>,
    /// The channels to subscribe to again.
    asked_again: Vec<Arc<str>>,
    /// The channels whose status may have changed.
    changed: Vec<Arc<str>>,
}

/// Something that the server has said.
#[derive(Clone, Debug)]
struct Said<T> {
    value: T,
    /// Whether the server has said it in this connection. What it has said before is shown, but may
    /// be wrong meanwhile.
    is_current: bool,
}

impl<T> Said<T> {
    const fn now(value: T) -> Self {
        Self { value, is_current: true }
    }
}

/// A document that an application has open.
#[derive(Debug)]
struct OpenDocument {
    key: DocumentKey,
    subscription: Said<SubscriptionState>,
    access: Option<Said<AccessList>>,
    /// The stamp of the last deletion, unless a creation has followed it.
    deletion: Option<Said<Stamp>>,
    /// The own creations and deletions without an answer, in their order.
    own: Vec<(ActionId, DocumentVerb)>,
    /// Whether an own creation was processed since the subscription was requested.
    is_created: bool,
    /// What the application knows.
    told: (DocumentStatus, Option<AccessList>),
}

impl OpenDocument {
    fn new(key: DocumentKey) -> Self {
        let subscription = Said { value: SubscriptionState::Loading, is_current: false };
        Self {
            key,
            subscription,
            access: None,
            deletion: None,
            own: Vec::new(),
            is_created: false,
            told: (DocumentStatus::Loading, None),
        }
    }

    fn access(&self) -> Option<AccessList> {
        self.access.as_ref().map(|access| access.value)
    }

    fn status(&self) -> DocumentStatus {
        let status = self.said_status();
        match self.own.last() {
            Some((_, DocumentVerb::Delete)) => DocumentStatus::Deleted,
            Some((_, DocumentVerb::Create)) if status == DocumentStatus::Deleted => {
                // What it is without the deletion.
                match &self.subscription.value {
                    SubscriptionState::Subscribed => self.subscribed_status(),
                    _ => DocumentStatus::Loading,
                }
            }
            // When the server has processed the creation, the document is requested again.
            Some((_, DocumentVerb::Create)) if status == DocumentStatus::Missing => {
                DocumentStatus::Loading
            }
            _ => status,
        }
    }

    /// Returns the status as the server knows it.
    fn said_status(&self) -> DocumentStatus {
        match &self.deletion {
            Some(_) => DocumentStatus::Deleted,
            None => self.subscribed_status(),
        }
    }

    fn subscribed_status(&self) -> DocumentStatus {
        DocumentStatus::of(&self.subscription.value, self.access())
    }

    /// Returns the reason for which the server will undo an edit, if it has said that in this
    /// connection.
    fn refusal(&self) -> Option<&'static str> {
        // Own actions may change it: the server answers them first.
        if !self.own.is_empty() || self.is_created {
            return None;
        }
        let status = self.said_status();
        let access_is_current = self.access.as_ref().is_some_and(|access| access.is_current);
        let is_current = match (&status, &self.deletion) {
            (DocumentStatus::Deleted, Some(deletion)) => deletion.is_current,
            (DocumentStatus::ReadOnly, _) => access_is_current,
            (DocumentStatus::Forbidden, _) => self.subscription.is_current || access_is_current,
            _ => self.subscription.is_current,
        };
        // Only the server knows whether an edit is a comment.
        let may_comment =
            self.access().is_some_and(|access| access.allows(DocumentOperation::Comment));
        status.refusal().filter(|_| is_current && !may_comment)
    }

    /// Handles what has become of the subscription. Returns whether to request it again.
    fn subscribed(&mut self, state: &SubscriptionState) -> bool {
        let is_asked = *state == SubscriptionState::Loading;
        self.subscription = Said { value: state.clone(), is_current: !is_asked };
        match state {
            SubscriptionState::Loading => {
                self.deletion = None;
                false
            }
            SubscriptionState::Subscribed => {
                self.is_created = false;
                // The server has sent what is true now. It may have said more since the request.
                self.access.take_if(|access| !access.is_current);
                self.deletion.take_if(|deletion| !deletion.is_current);
                false
            }
            SubscriptionState::Refused(_) | SubscriptionState::Ended(_) => {
                // The reason says it.
                self.deletion = None;
                core::mem::take(&mut self.is_created) && self.ask_again()
            }
        }
    }

    /// Begins to load again, if the subscription was refused because there was no document.
    fn ask_again(&mut self) -> bool {
        let is_absent = self.is_absent();
        if is_absent {
            self.subscription = Said { value: SubscriptionState::Loading, is_current: false };
        }
        is_absent
    }

    /// Returns `true` if the subscription was refused because there is no document.
    fn is_absent(&self) -> bool {
        matches!(
            &self.subscription.value,
            SubscriptionState::Refused(reason) | SubscriptionState::Ended(reason)
                if matches!(&**reason, NOT_FOUND | DELETED)
        )
    }

    /// Handles an own action that is answered, or was dropped.
    fn answered(&mut self, id: &ActionId) -> Option<DocumentVerb> {
        let index = self.own.iter().position(|(own, _)| own == id)?;
        Some(self.own.remove(index).1)
    }

    /// Handles a creation by another node, which may be of the time before the deletion.
    fn created(&mut self, stamp: &Stamp) {
        self.deletion.take_if(|deletion| deletion.value < *stamp);
    }

    fn disconnected(&mut self) {
        self.subscription.is_current = false;
        if let Some(access) = &mut self.access {
            access.is_current = false;
        }
        if let Some(deletion) = &mut self.deletion {
            deletion.is_current = false;
        }
    }
}

impl Documents {
    /// Calls `change` with an open document, and records that its status may have changed.
    fn change<T>(
        &mut self,
        channel: &str,
        change: impl FnOnce(&mut OpenDocument) -> T,
    ) -> Option<T> {
        let document = self.open.get_mut(channel)?;
        let result = change(document);
        let channel = document.key.channel();
        if !self.changed.contains(channel) {
            self.changed.push(channel.clone());
        }
        Some(result)
    }

    /// Returns the open document that an action creates or deletes.
    pub(super) fn key_of(&self, action: &Action) -> Option<(DocumentKey, DocumentVerb)> {
        if self.open.is_empty() {
            return None;
        }
        // Most actions are edits, which costs less to see.
        if !["/create", "/delete"].iter().any(|end| action.kind().ends_with(end)) {
            return None;
        }
        DocumentKey::of(action).filter(|(key, _)| self.open.contains_key(key.channel()))
    }

    /// Records an own creation or deletion.
    pub(super) fn added(&mut self, key: &DocumentKey, verb: DocumentVerb, id: &ActionId) {
        let added = self.change(key.channel(), |document| document.own.push((id.clone(), verb)));
        if added.is_some() {
            self.unanswered.insert(id.clone(), key.channel().clone());
        }
    }

    /// Records that the server has processed an own action.
    pub(super) fn processed(&mut self, id: &ActionId) {
        let Some(channel) = self.unanswered.remove(id) else { return };
        let asks_again = self.change(&channel, |document| match document.answered(id) {
            Some(DocumentVerb::Create) => {
                document.deletion = None;
                let is_loading = document.subscription.value == SubscriptionState::Loading;
                document.is_created = is_loading;
                document.ask_again()
            }
            Some(DocumentVerb::Delete) => {
                document.deletion = Some(Said::now(stamp_of(id)));
                false
            }
            _ => false,
        });
        if asks_again == Some(true) {
            self.asked_again.push(channel);
        }
    }

    /// Records that an own action was undone by the server, or was dropped.
    pub(super) fn undone(&mut self, id: &ActionId) {
        let Some(channel) = self.unanswered.remove(id) else { return };
        self.change(&channel, |document| document.answered(id));
    }

    /// Records what has become of a subscription.
    pub(super) fn subscribed(&mut self, subscription: &Subscription, state: &SubscriptionState) {
        if *subscription != Subscription::to(&*subscription.channel) {
            return;
        }
        let channel = &*subscription.channel;
        let asks_again = self.change(channel, |document| document.subscribed(state));
        if asks_again == Some(true) {
            self.asked_again.push(channel.into());
        }
    }

    /// Handles a received action that is not an answer.
    pub(super) fn received(&mut self, entry: &Entry) {
        if self.open.is_empty() {
            return;
        }
        if let Some(DocumentAccess { key, operations }) = DocumentAccess::from_action(&entry.action)
            && entry.meta.id.node().is_server()
        {
            self.change(key.channel(), |document| document.access = Some(Said::now(operations)));
            return;
        }
        let Some((key, verb)) = self.key_of(&entry.action) else { return };
        self.change(key.channel(), |document| match verb {
            DocumentVerb::Create => document.created(&entry.meta.stamp()),
            _ => document.deletion = Some(Said::now(entry.meta.stamp())),
        });
    }

    /// Records that the connection has ended.
    pub(super) fn disconnected(&mut self) {
        self.open.values_mut().for_each(OpenDocument::disconnected);
    }

    /// Forgets what is known of all documents, for another user.
    pub(super) fn reset(&mut self) {
        self.unanswered.clear();
        self.asked_again.clear();
        for document in self.open.values_mut() {
            let told = document.told.clone();
            *document = OpenDocument { told, ..OpenDocument::new(document.key.clone()) };
        }
        self.changed = self.open.keys().cloned().collect();
    }
}

/// Returns the position of an own action. Its time in the log is that of its id.
fn stamp_of(id: &ActionId) -> Stamp {
    Stamp::new(id.time(), id.clone())
}

/// Returns the index of the own creations and deletions of a document.
pub(super) fn index_of(channel: &str) -> String {
    format!("existence {channel}")
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Computes the status of a document from now on: [`document_status`](Self::document_status),
    /// and [`Output::Document`] when it changes. Call it before the document is subscribed to
    /// ([`subscribe_kept`](Self::subscribe_kept)). Has no effect if the document is tracked.
    /// O(number of own creations and deletions of the document in the log).
    ///
    /// When the server has processed an own `KIND/create` and has refused the subscription before,
    /// because there was no document, the client subscribes again by itself, once.
    ///
    /// # Errors
    /// If the store fails.
    pub fn track_document(&mut self, key: &DocumentKey) -> Result<(), LogError<S::Error>> {
        if self.documents.open.contains_key(key.channel()) {
            return Ok(());
        }
        let mut own = Vec::new();
        let query = Query::added().index(index_of(key.channel())).oldest_first();
        self.log.walk(&query, |entry| {
            if is_unanswered(&entry.meta)
                && let Some(verb) = key.verb(&entry.action)
            {
                own.push((entry.meta.id.clone(), verb));
            }
            ControlFlow::Continue(())
        })?;
        let channel = key.channel();
        let mut document = OpenDocument::new(key.clone());
        if let Some(state) = self.subscription_state(&Subscription::to(&**channel)) {
            document.subscribed(&state);
        }
        for (id, _) in &own {
            self.documents.unanswered.insert(id.clone(), channel.clone());
        }
        document.own = own;
        document.told = (document.status(), document.access());
        self.documents.open.insert(channel.clone(), document);
        Ok(())
    }

    /// Ends [`track_document`](Self::track_document).
    pub fn untrack_document(&mut self, channel: &str) {
        if let Some(document) = self.documents.open.shift_remove(channel) {
            for (id, _) in document.own {
                self.documents.unanswered.remove(&id);
            }
        }
    }

    /// Returns the status of a [tracked](Self::track_document) document. `None`: it is not tracked.
    pub fn document_status(&self, channel: &str) -> Option<DocumentStatus> {
        self.documents.open.get(channel).map(OpenDocument::status)
    }

    /// Returns what the user may do with a tracked document, as the server has said last. `None`:
    /// it has said nothing, and everything is allowed as far as a client knows.
    pub fn document_access(&self, channel: &str) -> Option<AccessList> {
        self.documents.open.get(channel)?.access()
    }

    /// Returns the reason for which the server will undo an edit of a tracked document: `denied`,
    /// `notFound` or `deleted`. `None` if it may accept the edit. Only what the server has said in
    /// this connection counts: without one, or before its answer, edits are kept and sent. While an
    /// own creation or deletion has no answer, nothing is sure. A user who may comment may edit, as
    /// far as a client knows, because only the server knows which edits are comments.
    pub fn edit_refusal(&self, channel: &str) -> Option<&'static str> {
        self.documents.open.get(channel)?.refusal()
    }

    /// Tells the application which documents have changed.
    pub(super) fn tell_documents(&mut self) {
        for channel in core::mem::take(&mut self.documents.changed) {
            let Some(document) = self.documents.open.get_mut(&channel) else { continue };
            let now = (document.status(), document.access());
            if document.told != now {
                document.told = now;
                self.pending.push_back(Output::Document(channel, DocumentEvent::Status));
            }
        }
    }

    /// Subscribes again to the documents that this device has created.
    pub(super) fn ask_documents_again(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        while let Some(channel) = self.documents.asked_again.pop() {
            let subscription = Subscription::to(&*channel);
            let is_open = self.documents.open.contains_key(&channel);
            if is_open && self.subscription_state(&subscription).is_none() {
                // A channel can always be written as JSON.
                drop(self.subscribe_kept(now, &subscription)?);
            }
        }
        Ok(())
    }
}
