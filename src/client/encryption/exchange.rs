//! The encryption of what a client sends, the decryption of what it receives, and the cleaning of
//! what its own log has forgotten.

use core::ops::ControlFlow;

use super::{
    CipherError, CipherToken, DecryptRequest, EncryptRequest, EncryptedAction, EncryptionConfig,
    EncryptionError,
    config::{CLEAN, subject},
    encrypted_action::{ENCRYPTED, decrypted_action},
    queue::{OrderedQueue, Tokens},
};
use crate::{
    action::{Action, ActionId, DocumentKey, NameList},
    client::{Client, Output, machine::SYNCING},
    log::{Draft, LogError, Observer},
    store::{Entry, MetaChange, Query, Store},
    sync::{BatchToken, State},
    time::Now,
};

/// The index of own actions that have to be encrypted, so that no later start sends them otherwise.
const ENCRYPTED_INDEX: &str = "encrypted";

/// The reason and the index of received actions that could not be decrypted.
const UNDECRYPTED: &str = "undecrypted";

/// The largest number of actions that are kept although they could not be decrypted.
const MAX_UNDECRYPTED: usize = 1_000;

/// The size of these actions at which no further ones are kept, in bytes.
const MAX_UNDECRYPTED_BYTES: usize = 8 * 1024 * 1024;

/// The encryption of a client: its configuration, and the actions that wait for the driver.
#[derive(Debug, Default)]
pub(in crate::client) struct Encryption {
    config: Option<EncryptionConfig>,
    tokens: Tokens,
    /// The own actions that are sent when it is their turn.
    outgoing: OrderedQueue<Entry>,
    /// What was received and is not in the log yet.
    incoming: OrderedQueue<Incoming>,
    /// The number of the log's actions that could not be decrypted, and their size in bytes.
    undecrypted: (usize, usize),
}

/// A part of what was received.
#[derive(Debug)]
enum Incoming {
    /// An action that was not encrypted, or is decrypted.
    Entry(Box<Entry>),
    /// An encrypted action.
    Encrypted(Box<Encrypted>),
    /// The end of a batch, which is confirmed then.
    End(BatchToken),
}

#[derive(Debug)]
struct Encrypted {
    entry: Entry,
    data: EncryptedAction,
    /// Whether it was received by an earlier start, which could not decrypt it.
    is_stored: bool,
    result: Option<Result<Action, EncryptionError>>,
}

impl Encryption {
    /// Returns `true` if an own action has to be encrypted.
    pub(in crate::client) fn applies_to(&self, action: &Action) -> bool {
        self.config.as_ref().is_some_and(|config| config.encrypts(action))
    }

    /// Returns a draft that marks an own action if it has to be encrypted, whatever a later start
    /// of the client would decide.
    pub(in crate::client) fn mark(&self, action: &Action, draft: Draft) -> Draft {
        if self.applies_to(action) { draft.index(ENCRYPTED_INDEX) } else { draft }
    }

    /// Returns `true` if these own actions can be sent as they are.
    pub(in crate::client) const fn is_enabled(&self) -> bool {
        self.config.is_some()
    }

    pub(in crate::client) fn sends_as_is(&self, entries: &[Entry]) -> bool {
        self.outgoing.is_empty() && !entries.iter().any(|entry| self.is_encrypted(entry))
    }

    /// Returns `true` if these received actions can be added as they are.
    pub(in crate::client) fn receives_as_is(&self, entries: &[Entry]) -> bool {
        let is_plain = |entry: &Entry| entry.action.kind() != ENCRYPTED;
        self.config.is_none() || (self.incoming.is_empty() && entries.iter().all(is_plain))
    }

    /// Forgets what belongs to a connection that has ended.
    pub(in crate::client) fn disconnected(&mut self) {
        self.outgoing.restart(|_| false);
        self.incoming
            .restart(|item| matches!(item, Incoming::Encrypted(encrypted) if encrypted.is_stored));
    }

    /// Forgets everything but the configuration. Responses to former requests have no effect.
    pub(in crate::client) fn clear(&mut self) {
        self.outgoing.restart(|_| false);
        self.incoming.restart(|_| false);
        self.undecrypted = (0, 0);
    }

    fn is_encrypted(&self, entry: &Entry) -> bool {
        entry.meta.indexes.iter().any(|index| **index == *ENCRYPTED_INDEX)
            || self.applies_to(&entry.action)
    }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Encrypts the actions that this client sends, and decrypts those that it receives.
    ///
    /// The driver has to carry out [`Output::Encrypt`] and [`Output::Decrypt`]. Meanwhile, later
    /// actions wait, so that the order stays. A request without a response is made again at the
    /// next connection, under the same id of the action. At most 64 requests for each direction
    /// are open at the same time, and no further ones if these have 1 MiB.
    ///
    /// What cannot be decrypted is reported by [`Output::EncryptionFailed`], and the exchange goes
    /// on. If the secret may be wrong, the log keeps the action encrypted, up to 1,000 actions or
    /// 8 MiB, and this method requests to decrypt it again.
    ///
    /// When the log no longer needs an own action that was encrypted, the client sends `0/clean`,
    /// by which the server forgets it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn with_encryption(mut self, config: EncryptionConfig) -> Result<Self, LogError<S::Error>> {
        if self.encryption.config.replace(config).is_some() {
            return Ok(self);
        }
        self.log.record_removed(ENCRYPTED_INDEX, SYNCING);
        let mut found = Vec::new();
        let query = Query::added().index(UNDECRYPTED).oldest_first();
        self.log.walk(&query, |entry| {
            found.push(entry.clone());
            ControlFlow::Continue(())
        })?;
        for entry in found {
            self.encryption.count_undecrypted(&entry, true);
            self.queue_received(entry, true)?;
        }
        self.request();
        Ok(self)
    }

    /// Reports an action that would have to be encrypted and that the server has to read, and
    /// returns its id: the one of the draft or a new one. `None` for an action that can be added.
    pub(in crate::client) fn refuse_encryption(
        &mut self,
        now: Now,
        action: &Action,
        draft: &Draft,
    ) -> Option<ActionId> {
        let key = self.encryption.applies_to(action).then(|| server_state(&subject(action)))??;
        let subscribed = |channel| self.is_subscribed(channel);
        if !subscribed(key.channel()) && !subscribed(key.kind()) {
            return None;
        }
        let id = draft.id.clone().unwrap_or_else(|| self.log.generate_id(now.wall));
        self.fail(id.clone(), EncryptionError::ServerDocument(key));
        Some(id)
    }

    fn is_subscribed(&self, channel: &str) -> bool {
        self.subscriptions.states().any(|(subscription, _)| subscription.channel == channel)
    }

    /// Sends own actions, each when those before it are encrypted.
    pub(in crate::client) fn send_encrypted(
        &mut self,
        now: Now,
        entries: &[Entry],
    ) -> Result<(), LogError<S::Error>> {
        if matches!(self.node.state(), State::Disconnected | State::Connecting) {
            return Ok(());
        }
        for entry in entries {
            let is_encrypted = self.encryption.is_encrypted(entry);
            if is_encrypted && self.encryption.config.is_none() {
                self.encryption.outgoing.push_failed(entry.clone());
                self.fail(entry.meta.id.clone(), EncryptionError::NotConfigured);
            } else if is_encrypted {
                let bytes = entry.action.as_json().len();
                self.encryption.outgoing.push_waiting(entry.clone(), bytes);
            } else {
                self.encryption.outgoing.push_ready(entry.clone());
            }
        }
        self.send_ready(now)
    }

    /// Handles the response to [`Output::Encrypt`].
    pub(in crate::client) fn encrypted(
        &mut self,
        now: Now,
        token: CipherToken,
        result: Result<&EncryptedAction, CipherError>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(item) = self.encryption.outgoing.requested(token) else { return Ok(()) };
        match result {
            Ok(encrypted) => item.ready(|entry| entry.action = encrypted.to_action()),
            Err(error) => {
                let id = item.value().meta.id.clone();
                item.failed();
                self.fail(id, EncryptionError::Encrypt(error));
            }
        }
        self.send_ready(now)
    }

    /// Sends the actions whose turn it is.
    fn send_ready(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        let ready: Vec<Entry> = core::iter::from_fn(|| self.encryption.outgoing.pop()).collect();
        // What waits is not covered: after a lost connection, it is sent again.
        let covered = if self.encryption.outgoing.is_empty() {
            Some(self.last_sent()?)
        } else {
            ready.last().and_then(|entry| entry.meta.added)
        };
        if let Some(covered) = covered {
            self.node.send(now.mono, covered, &ready);
        }
        self.request();
        Ok(())
    }

    /// Adds received actions to the log, each when those before it are decrypted, and confirms the
    /// batch when all of them are stored.
    pub(in crate::client) fn receive_encrypted(
        &mut self,
        now: Now,
        batch: BatchToken,
        entries: Vec<Entry>,
    ) -> Result<(), LogError<S::Error>> {
        for entry in entries {
            // One that cannot be decrypted would be kept under its id.
            if !self.ignore(now, &entry)? {
                self.queue_received(entry, false)?;
            }
        }
        self.encryption.incoming.push_ready(Incoming::End(batch));
        self.receive_ready(now)
    }

    fn queue_received(&mut self, entry: Entry, is_stored: bool) -> Result<(), LogError<S::Error>> {
        let is_known = !is_stored && self.log.by_id(&entry.meta.id)?.is_some();
        if entry.action.kind() != ENCRYPTED || is_known {
            self.encryption.incoming.push_ready(Incoming::Entry(Box::new(entry)));
            return Ok(());
        }
        match EncryptedAction::from_action(&entry.action) {
            Ok(data) => {
                let bytes = data.data.len();
                let encrypted = Encrypted { entry, data, is_stored, result: None };
                let item = Incoming::Encrypted(Box::new(encrypted));
                self.encryption.incoming.push_waiting(item, bytes);
            }
            Err(error) => self.fail(entry.meta.id, error),
        }
        Ok(())
    }

    /// Handles the response to [`Output::Decrypt`].
    pub(in crate::client) fn decrypted(
        &mut self,
        now: Now,
        token: CipherToken,
        result: Result<&[u8], CipherError>,
    ) -> Result<(), LogError<S::Error>> {
        let max_bytes = self.encryption.config.as_ref().map_or(0, |config| config.max_action_bytes);
        let Some(item) = self.encryption.incoming.requested(token) else { return Ok(()) };
        let result = result
            .map_err(EncryptionError::Decrypt)
            .and_then(|plaintext| decrypted_action(plaintext, max_bytes));
        item.ready(|item| {
            if let Incoming::Encrypted(encrypted) = item {
                encrypted.result = Some(result);
            }
        });
        self.receive_ready(now)
    }

    /// Adds the received actions whose turn it is, and confirms the batches that are complete.
    fn receive_ready(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        while let Some(item) = self.encryption.incoming.pop() {
            match item {
                Incoming::Entry(entry) => self.receive(now, *entry)?,
                Incoming::Encrypted(encrypted) => self.receive_decrypted(now, *encrypted)?,
                Incoming::End(batch) => self.batches.push(batch),
            }
        }
        self.request();
        Ok(())
    }

    fn receive_decrypted(
        &mut self,
        now: Now,
        encrypted: Encrypted,
    ) -> Result<(), LogError<S::Error>> {
        let Encrypted { entry, is_stored, result, .. } = encrypted;
        let Some(result) = result else { return Ok(()) };
        if is_stored && !may_succeed_later(&result) {
            self.encryption.count_undecrypted(&entry, false);
            let change = MetaChange { reasons: Some(NameList::new()), ..MetaChange::default() };
            self.is_changed = true;
            if !self.log.change_meta(&entry.meta.id, &change)? {
                return Ok(());
            }
        }
        let error = match result {
            Ok(action) => return self.receive(now, Entry { action, meta: received(entry.meta) }),
            Err(error) => error,
        };
        let id = entry.meta.id.clone();
        if !is_stored
            && may_succeed_later(&Err(error.clone()))
            && self.encryption.keeps_undecrypted()
            && self.log.by_id(&id)?.is_none()
        {
            self.encryption.count_undecrypted(&entry, true);
            let mut draft = Draft::of(id.clone(), entry.meta.time).and_reason(UNDECRYPTED);
            draft.subprotocol = entry.meta.subprotocol;
            self.log.add(now.wall, entry.action, draft.index(UNDECRYPTED))?;
            self.is_changed = true;
        }
        self.fail(id, error);
        Ok(())
    }

    /// Sends `0/clean` for the own actions that the log has forgotten. Returns `true` if there are
    /// some.
    pub(in crate::client) fn clean_forgotten(
        &mut self,
        now: Now,
    ) -> Result<bool, LogError<S::Error>> {
        let removed = self.log.take_removed();
        for id in &removed {
            // Neither the id nor the type needs escapes.
            let clean = Action::new(format!(r#"{{"type":"{CLEAN}","id":"{id}"}}"#));
            self.sync(now, clean.expect("an object with a type"))?;
        }
        Ok(!removed.is_empty())
    }

    /// Makes the requests that the bounds allow.
    fn request(&mut self) {
        let Encryption { config: Some(config), tokens, outgoing, incoming, .. } =
            &mut self.encryption
        else {
            return;
        };
        while let Some((token, Entry { action, meta })) = outgoing.next_request(tokens) {
            let (id, action) = (meta.id.clone(), action.clone());
            self.pending.push_back(Output::Encrypt(EncryptRequest { token, id, action }));
        }
        while let Some((token, item)) = incoming.next_request(tokens) {
            if let Incoming::Encrypted(encrypted) = item {
                self.pending.push_back(Output::Decrypt(DecryptRequest {
                    token,
                    id: encrypted.entry.meta.id.clone(),
                    encrypted: encrypted.data.clone(),
                    max_bytes: config.max_action_bytes,
                }));
            }
        }
    }

    fn fail(&mut self, id: ActionId, error: EncryptionError) {
        self.pending.push_back(Output::EncryptionFailed(id, error));
    }
}

impl Encryption {
    fn keeps_undecrypted(&self) -> bool {
        let (number, bytes) = self.undecrypted;
        number < MAX_UNDECRYPTED && bytes < MAX_UNDECRYPTED_BYTES
    }

    fn count_undecrypted(&mut self, entry: &Entry, is_added: bool) {
        let (number, bytes) = &mut self.undecrypted;
        let size = entry.action.as_json().len();
        if is_added {
            (*number, *bytes) = (*number + 1, *bytes + size);
        } else {
            (*number, *bytes) = (*number - 1, *bytes - size);
        }
    }
}

/// Returns the document or the record that an action changes by its type and its `id`.
fn server_state(action: &Action) -> Option<DocumentKey> {
    let (kind, verb) = action.kind().rsplit_once('/')?;
    let is_change = matches!(verb, "create" | "edit" | "change" | "delete" | "snapshot");
    let id = action.str_field("id").filter(|_| is_change)?;
    Some(DocumentKey::new(kind, id))
}

/// Returns `true` if another secret, or another try, may give another result.
const fn may_succeed_later(result: &Result<Action, EncryptionError>) -> bool {
    matches!(
        result,
        Err(EncryptionError::Decrypt(CipherError::Authentication | CipherError::Unavailable))
    )
}

/// Returns the meta of a stored action as it was when it was received.
fn received(mut meta: crate::action::Meta) -> crate::action::Meta {
    meta.added = None;
    meta.reasons = NameList::new();
    meta.indexes = NameList::new();
    meta
}
