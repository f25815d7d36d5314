//! The client, without input and output.

use std::{collections::BTreeMap, sync::Arc};

use logux::{
    Action, Json, Now,
    action::{DocumentKey, DocumentOperation},
    client::{Client, Config, FollowerInput, Input, Secret, Subscription},
    crdt::{Anchor, Crdt, Document, JsonOp, Path, Shared, Text, Unit},
    replay::{RevertedStep, Timeline, TimelineSet},
    store::{JournalStore, StoreChange},
    sync,
};
use serde_json::json;

use crate::{
    call::{Call, CallError, Start},
    history,
    records::OpenRecords,
    saved::SavedChange,
    texts::{self, WatchedTexts},
    trees,
    turn::{LoggedMeta, Turn, WebEvent, status_name},
};

type Machine = Client<JournalStore, TimelineSet>;
type Notes = Shared<Document>;

/// A client of the engine with its documents, for JavaScript.
///
/// ```
/// use logux_web::{Start, WebClient};
/// use logux::Now;
///
/// let mut client = WebClient::start(Start::read(r#"{"node":"10:phone:tab"}"#)?)?;
/// let now = Now::from_millis(1_700_000_000_000, 0);
/// client.call(now, r#"{"open":{"kind":"notes","id":"7"}}"#);
/// let edit = r#"{"edit":{"channel":"notes/7","ops":[{"op":"set","path":"/title","value":"Tea"}]}}"#;
/// assert_eq!(client.call(now, edit).changed, ["notes/7"]);
/// let turn = client.call(now, r#"{"get":{"channel":"notes/7","path":"/title"}}"#);
/// assert_eq!(turn.value.unwrap().as_str(), r#""Tea""#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WebClient {
    machine: Machine,
    config: Config,
    /// The open documents by channel, each with the number of its users.
    open: BTreeMap<Arc<str>, (DocumentKey, usize)>,
    /// Whether JavaScript hears of all changes of the log.
    is_observed: bool,
    watched: WatchedTexts,
    records: OpenRecords,
}

impl WebClient {
    /// Creates a client with what the database has.
    ///
    /// # Errors
    /// If the node id or the content of the database cannot be read.
    pub fn start(start: Start) -> Result<Self, CallError> {
        let node = start.node.parse().map_err(|_| CallError::NodeId(start.node.clone()))?;
        let mut node = sync::Config::client(node);
        node.subprotocol = sync::Subprotocols { number: start.subprotocol, semver: None };
        let config = Config { node: node.into(), token: start.token.map(Secret) };
        let mut machine = machine(config.clone(), start.saved)?;
        if start.follows {
            machine = machine.following();
        }
        let (records, watched) = (OpenRecords::default(), WatchedTexts::default());
        let (open, is_observed) = (BTreeMap::new(), false);
        Ok(Self { machine, config, open, is_observed, records, watched })
    }

    /// Handles a call, commits, and returns what is to be done.
    pub fn call(&mut self, now: Now, call: &str) -> Turn {
        let mut turn = Turn::default();
        match self.answer(now, call, &mut turn) {
            Ok(value) => turn.value = value,
            Err(error) => turn.error = Some(error.to_string()),
        }
        turn.changed.sort_unstable();
        turn.changed.dedup();
        turn.changes = self.machine.take_changes().into_iter().map(SavedChange::from).collect();
        turn.deadline = self.machine.next_deadline().map(|deadline| deadline.at.as_millis());
        turn
    }

    fn answer(&mut self, now: Now, call: &str, turn: &mut Turn) -> Result<Option<Json>, CallError> {
        let call = Call::read(call)?;
        let is_own = !matches!(call, Call::Frame { .. });
        let answer = self.handle(now, call)?;
        self.take_changed(now, is_own, turn)?;
        self.commit(now, turn)?;
        Ok(answer)
    }

    /// Takes over what has changed in the states. `is_own`: only the user has changed it.
    fn take_changed(&mut self, now: Now, is_own: bool, turn: &mut Turn) -> Result<(), CallError> {
        let changed: Vec<_> = self.machine.observer_mut().take_changed().collect();
        turn.changed.extend(changed.iter().map(ToString::to_string));
        let exceeding = self.records.update(now, &mut self.machine, &changed, is_own)?;
        let text = |plural| format!("a list of {plural} is too long to hear of all changes in it");
        turn.events.extend(exceeding.iter().map(|it| WebEvent::Debug { text: text(it) }));
        turn.events.extend(self.machine.take_log_changes().into_iter().map(WebEvent::from));
        Ok(())
    }

    /// Commits until there is nothing more to do.
    fn commit(&mut self, now: Now, turn: &mut Turn) -> Result<(), CallError> {
        loop {
            while let Some(output) = self.machine.poll_output() {
                let plural = self.records.output(&self.machine, &output);
                turn.changed.extend(plural.map(|plural| plural.to_string()));
                turn.events.extend(WebEvent::of(output));
            }
            self.take_changed(now, false, turn)?;
            if !self.machine.needs_commit() {
                return Ok(());
            }
            self.machine.commit(now)?;
        }
    }

    fn handle(&mut self, now: Now, call: Call) -> Result<Option<Json>, CallError> {
        match call {
            Call::Resume => self.machine.resume(now),
            Call::Pause => self.machine.pause(now),
            Call::Opened => self.machine.handle(now, Input::Opened)?,
            Call::Closed => {
                // What was received is kept.
                self.machine.commit(now)?;
                self.machine.handle(now, Input::Closed)?;
            }
            Call::ConnectFailed => self.machine.handle(now, Input::ConnectFailed)?,
            Call::Frame { frame } => self.machine.handle(now, Input::Frame(&frame))?,
            Call::Wake => self.machine.handle(now, Input::Wake)?,
            Call::FollowerOpened { tab } => self.follower(now, &tab, FollowerInput::Opened)?,
            Call::FollowerFrame { tab, frame } => {
                self.follower(now, &tab, FollowerInput::Frame(&frame))?;
            }
            Call::FollowerClosed { tab } => self.follower(now, &tab, FollowerInput::Closed)?,
            Call::Lead { token, saved } => self.lead(now, token, saved)?,
            Call::Device { device } => {
                self.machine.handle(now, Input::Device(device.into()))?;
            }
            Call::SetToken { token } => self.machine.set_token(token.map(Secret)),
            Call::Sync { action, meta } => {
                let action = Action::new(action.as_str().to_owned())?;
                let id = self.machine.sync_with(now, action, meta.draft()?)?;
                return Ok(Some(Json::from_value(&id.to_string())?));
            }
            Call::Add { action, meta } => {
                let action = Action::new(action.as_str().to_owned())?;
                let entry = self.machine.add(now, action, meta.draft()?)?;
                let meta = entry.map(|entry| Json::from_value(&LoggedMeta::from(&entry.meta)));
                return Ok(meta.transpose()?);
            }
            Call::GenerateId => {
                let id = self.machine.generate_id(now.wall);
                return Ok(Some(Json::from_value(&id.to_string())?));
            }
            Call::ObserveLog => {
                self.is_observed = true;
                self.machine.record_log_changes();
            }
            Call::Server => {
                let server = self.machine.server().map(|server| Json::from_value(server.as_str()));
                return Ok(server.transpose()?);
            }
            Call::Open { kind, id } => self.open(now, &DocumentKey::new(kind, id))?,
            Call::Close { channel } => self.close(now, &channel)?,
            Call::OpenRecords { plural, filter } => {
                let list = self.records.open_list(now, &mut self.machine, &plural, &filter)?;
                return Ok(Some(Json::from_value(&list)?));
            }
            Call::OpenRecord { plural, id } => {
                let list = self.records.open_record(now, &mut self.machine, &plural, &id)?;
                return Ok(Some(Json::from_value(&list)?));
            }
            Call::ListChanges { list } => {
                return self.records.changes(&self.machine, list).map(Some);
            }
            Call::CloseList { list } => self.records.close(now, &mut self.machine, list)?,
            Call::EditRecord { plural, action } => {
                let action = Action::new(action.as_str().to_owned())?;
                let id = self.machine.edit(now, &self.name(&plural)?, action)?;
                return Ok(Some(Json::from_value(&id.to_string())?));
            }
            Call::Get { channel, path } => return self.get(&channel, &path),
            Call::Info { channel } => return self.info(&channel).map(Some),
            Call::Edit { channel, ops, watch } => {
                let id = self.edit(now, &channel, &ops)?;
                watch.map(|watch| self.mark_read(watch)).transpose()?;
                return Ok(id);
            }
            Call::Create { channel } => {
                let action = self.document(&channel)?.1.create_action(&[])?;
                return self.sync(now, action).map(Some);
            }
            Call::Delete { channel } => {
                let delete = self.key(&channel)?.delete_action()?;
                return self.sync(now, delete).map(Some);
            }
            Call::Undo { channel } => {
                let name = self.name(&channel)?;
                return Ok(selection(self.machine.undo_step(now, &name)?));
            }
            Call::Redo { channel } => {
                let name = self.name(&channel)?;
                return Ok(selection(self.machine.redo_step(now, &name)?));
            }
            Call::CloseStep { channel } => {
                let name = self.name(&channel)?;
                self.machine.close_step(now, &name)?;
            }
            Call::Select { channel, selection } => {
                let (name, _) = self.document(&channel)?;
                self.machine.select(&name, selection)?;
            }
            Call::SetPresence { channel, state } => {
                self.machine.set_presence(now, channel, state)?;
            }
            Call::Presence { channel } => {
                let others = self.machine.presence(&channel);
                let states: BTreeMap<_, _> =
                    others.map(|(node, state)| (node.as_str(), state)).collect();
                return Ok(Some(Json::from_value(&states)?));
            }
            Call::Anchor { channel, path, index } => {
                let anchor = self.text(&channel, &path)?.anchor_after(index, Unit::Utf16)?;
                return Ok(Some(Json::from_value(&anchor)?));
            }
            Call::AnchorIndex { channel, path, anchor } => {
                let anchor: Anchor = anchor.parse()?;
                // What others show of themselves may arrive before the text.
                let text = self.state(&channel)?.text(&path);
                let index = text.and_then(|text| text.anchor_index(&anchor, Unit::Utf16));
                return Ok(Some(Json::from_value(&index)?));
            }
            Call::WatchText { channel, path } => {
                let (channel, _) = self.document(&channel)?;
                let read = self.state(&channel)?.text(&path).cloned().unwrap_or_default();
                return Ok(Some(Json::from_value(&self.watched.add(channel, path, read))?));
            }
            Call::TextChanges { watch } => return self.text_changes(watch).map(Some),
            Call::UnwatchText { watch } => self.watched.remove(watch),
            Call::Authors { channel, path } => {
                let text = self.state(&channel)?.text(&path);
                return Ok(Some(Json::from_value(&text.map(texts::authors).unwrap_or_default())?));
            }
            Call::Children { channel, path, parent } => {
                let children = trees::children(self.state(&channel)?, &path, parent.as_ref())?;
                return Ok(Some(Json::from_value(&children)?));
            }
            Call::History { channel } => {
                return history::positions(self.timeline(&channel)?).map(Some);
            }
            Call::StateAt { channel, id } => {
                return history::state_at(self.timeline(&channel)?, &id);
            }
            Call::Entries => return history::entries(&self.machine).map(Some),
            Call::Unconfirmed => {
                return Ok(Some(Json::from_value(&self.machine.unconfirmed())?));
            }
        }
        Ok(None)
    }

    fn follower(&mut self, now: Now, tab: &str, input: FollowerInput<'_>) -> Result<(), CallError> {
        let tab = tab.parse().map_err(|_| CallError::NodeId(tab.to_owned()))?;
        Ok(self.machine.handle_follower(now, &tab, input)?)
    }

    /// Continues with the store of the tab that led.
    fn lead(
        &mut self,
        now: Now,
        token: Option<String>,
        saved: Vec<SavedChange>,
    ) -> Result<(), CallError> {
        self.config.token = token.map(Secret);
        let leader = machine(self.config.clone(), saved)?;
        let follower = core::mem::replace(&mut self.machine, leader);
        for (key, _) in self.open.values() {
            subscribe(now, &mut self.machine, key)?;
        }
        self.records.move_to(now, &mut self.machine)?;
        self.machine.take_over(now, &follower)?;
        if self.is_observed {
            self.machine.record_log_changes();
        }
        self.machine.resume(now);
        Ok(())
    }

    fn sync(&mut self, now: Now, action: Action) -> Result<Json, CallError> {
        let id = self.machine.sync(now, action)?;
        Ok(Json::from_value(&id.to_string())?)
    }

    fn open(&mut self, now: Now, key: &DocumentKey) -> Result<(), CallError> {
        let open = self.open.entry(key.channel().clone());
        let (_, users) = open.or_insert_with(|| (key.clone(), 0));
        *users += 1;
        if *users == 1 {
            subscribe(now, &mut self.machine, key)?;
        }
        Ok(())
    }

    fn close(&mut self, now: Now, channel: &str) -> Result<(), CallError> {
        let Some((_, users)) = self.open.get_mut(channel) else { return Ok(()) };
        *users -= 1;
        if *users == 0 {
            self.open.remove(channel);
            let unsubscribe = Subscription::to(channel).unsubscribe()?;
            self.machine.sync(now, unsubscribe)?;
            self.machine.close(channel);
            self.machine.untrack_document(channel);
        }
        Ok(())
    }

    fn key(&self, channel: &str) -> Result<&DocumentKey, CallError> {
        let open = self.open.get(channel).map(|(key, _)| key);
        open.ok_or_else(|| CallError::NotOpen(channel.to_owned()))
    }

    /// Returns the name of the timeline of an open document, or of open records.
    fn name(&self, channel: &str) -> Result<Arc<str>, CallError> {
        let records = self.records.name(channel);
        records.map_or_else(|| Ok(self.key(channel)?.channel().clone()), Ok)
    }

    /// Returns the name of an open document, and what makes its actions.
    fn document(&self, channel: &str) -> Result<(Arc<str>, Notes), CallError> {
        let key = self.key(channel)?;
        Ok((key.channel().clone(), Notes::new(key.kind().clone(), key.id().clone())))
    }

    fn timeline(&self, channel: &str) -> Result<&Timeline<Notes>, CallError> {
        let timeline = self.machine.log().observer().timeline::<Notes>(channel);
        timeline.ok_or_else(|| CallError::NotOpen(channel.to_owned()))
    }

    fn state(&self, channel: &str) -> Result<&Document, CallError> {
        Ok(self.timeline(channel)?.state())
    }

    fn text_changes(&mut self, watch: u32) -> Result<Json, CallError> {
        let text = self.watched_text(watch)?;
        Ok(Json::from_value(&self.watched.read(watch, &text))?)
    }

    fn mark_read(&mut self, watch: u32) -> Result<(), CallError> {
        let text = self.watched_text(watch)?;
        self.watched.mark_read(watch, text);
        Ok(())
    }

    /// Returns what a watched text is now: nothing, if it is deleted or replaced by another value.
    fn watched_text(&self, watch: u32) -> Result<Text, CallError> {
        let watched = self.watched.get(watch).ok_or(CallError::NotWatched(watch))?;
        Ok(self.state(&watched.channel)?.text(&watched.path).cloned().unwrap_or_default())
    }

    fn text(&self, channel: &str, path: &str) -> Result<&Text, CallError> {
        self.state(channel)?.text(path).ok_or_else(|| CallError::NoText(path.to_owned()))
    }

    fn get(&self, channel: &str, path: &str) -> Result<Option<Json>, CallError> {
        let state = self.state(channel)?;
        let value = match path {
            "" => Some(state.to_json()),
            path => state.get(&path.parse::<Path>()?),
        };
        Ok(value.map(|value| Json::from_value(&value)).transpose()?)
    }

    fn info(&mut self, channel: &str) -> Result<Json, CallError> {
        let name = self.name(channel)?;
        let steps = self.machine.undo_state(&name)?;
        let status = self.machine.document_status(channel);
        let access = self.machine.document_access(channel);
        let may = DocumentOperation::ALL.into_iter().filter(|operation| {
            status.as_ref().is_none_or(|status| status.allows(*operation, access))
        });
        Ok(Json::from(json!({
            "status": status.as_ref().map(status_name),
            "may": may.map(DocumentOperation::as_str).collect::<Vec<_>>(),
            "canUndo": steps.can_undo,
            "canRedo": steps.can_redo,
        })))
    }

    fn edit(&mut self, now: Now, channel: &str, ops: &[JsonOp]) -> Result<Option<Json>, CallError> {
        let (name, document) = self.document(channel)?;
        if let Some(reason) = self.machine.edit_refusal(channel) {
            return Err(CallError::Refused(reason));
        }
        let id = self.machine.next_id(now.wall);
        let made = self.state(channel)?.json_ops(ops, id.node())?;
        if made.ops.is_empty() {
            return Ok(None);
        }
        let action = document.action(&made.ops)?;
        let is_typing =
            |op: &JsonOp| matches!(op, JsonOp::InsertText { .. } | JsonOp::RemoveText { .. });
        let id = match ops.iter().all(is_typing) {
            true => self.machine.edit_in_burst(now, &name, action),
            false => self.machine.edit(now, &name, action),
        }?;
        Ok(Some(Json::from_value(&id.to_string())?))
    }
}

/// Creates a client with what a database has.
fn machine(config: Config, saved: Vec<SavedChange>) -> Result<Machine, CallError> {
    let changes: Result<Vec<_>, _> = saved.into_iter().map(StoreChange::try_from).collect();
    let store = JournalStore::restore(changes?);
    let machine = Machine::with_observer(config, store, TimelineSet::default())?;
    Ok(machine.with_token_renewal())
}

/// Opens a document in a client.
fn subscribe(now: Now, machine: &mut Machine, key: &DocumentKey) -> Result<(), CallError> {
    machine.track_document(key)?;
    machine.open(Notes::new(key.kind().clone(), key.id().clone()))?;
    machine.subscribe_kept(now, &Subscription::to(&**key.channel()))??;
    Ok(())
}

fn selection(step: Option<RevertedStep>) -> Option<Json> {
    let none = || Json::from(json!(null));
    step.map(|step| step.selection.unwrap_or_else(none))
}
