//! What the screen shows, and what the keys do.

use std::{collections::HashMap, mem, sync::Arc};

use logux::{Stamp, crdt::ElementId};
use logux_client::{Client, StatusChanges, SyncError};
use logux_net::WebSocketConnector;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::Notify;
use tui_input::{Input, backend::crossterm::EventHandler};

use crate::{
    Error,
    note::{Line, Note, lines_of},
};

pub(crate) struct Editor {
    pub client: Client,
    statuses: StatusChanges,
    changed: Arc<Notify>,
    pub list: Note,
    /// By the ids of their lines in the list. All are open, so that they are here without a
    /// connection.
    notes: HashMap<ElementId, Note>,
    /// Whether the note that is selected in the list receives the keys, and not the list.
    pub is_in_note: bool,
    pub mode: Mode,
}

pub(crate) enum Mode {
    Select,
    /// Types the text of a line, or of a new one below the selected line.
    Type(Option<ElementId>, Input),
    /// Reads the document as it was after a step of its history: the lines at that time.
    Travel(Vec<Stamp>, usize, Vec<Line>),
}

impl Editor {
    /// Opens the documents in a file. Those of the server arrive when there is a connection.
    pub(crate) async fn open(user: &str, server: &str, file: &str) -> Result<Self, Error> {
        let connector = WebSocketConnector::new(server)?;
        let client = Client::builder(user)?.file(file)?.start(connector);
        let (statuses, changed) = (client.status_changes(), Arc::new(Notify::new()));
        let list = Note::open(&client, "list", &changed).await?;
        let (notes, mode) = (HashMap::new(), Mode::Select);
        Ok(Self { client, statuses, changed, list, notes, is_in_note: false, mode })
    }

    /// Waits until a document or the status has changed. An error if the client has ended, such as
    /// for a full disk.
    pub(crate) async fn changed(&mut self) -> Result<(), Error> {
        tokio::select! {
            () = self.changed.notified() => Ok(()),
            status = self.statuses.next() => match status {
                Some(_) => Ok(()),
                None => Err(self.client.ended().await.into()),
            },
        }
    }

    /// Reads the documents that are on the screen, and opens new notes.
    pub(crate) async fn read(&mut self) -> Result<(), SyncError> {
        if !self.list.read() && self.is_in_note {
            // The note was deleted.
            (self.is_in_note, self.mode) = (false, Mode::Select);
        }
        for line in &self.list.lines {
            if !self.notes.contains_key(&line.id) {
                let note = Note::open(&self.client, &line.id.to_string(), &self.changed).await?;
                self.notes.insert(line.id.clone(), note);
            }
        }
        self.list.meet(!self.is_in_note)?;
        let selected = self.list.line().map(|line| line.id.clone());
        for (id, note) in &mut self.notes {
            let is_selected = Some(id) == selected.as_ref();
            if is_selected {
                note.read();
            }
            note.meet(is_selected && self.is_in_note)?;
        }
        Ok(())
    }

    /// Returns the note that is selected in the list.
    pub(crate) fn note(&self) -> Option<&Note> {
        self.notes.get(&self.list.line()?.id)
    }

    /// Returns the document that receives the keys.
    fn focused(&mut self) -> &mut Note {
        let selected = self.list.line().filter(|_| self.is_in_note);
        selected.and_then(|line| self.notes.get_mut(&line.id)).unwrap_or(&mut self.list)
    }

    /// Handles a key. Returns `false` if the user quits.
    pub(crate) async fn key(&mut self, key: KeyEvent) -> Result<bool, SyncError> {
        match (&mut self.mode, key.code) {
            (_, KeyCode::Char('c')) if key.modifiers == KeyModifiers::CONTROL => return Ok(false),
            (Mode::Select, code) => return self.key_in_document(code).await,
            (_, KeyCode::Esc) => self.mode = Mode::Select,
            (Mode::Travel(..), KeyCode::Left) => self.travel(-1).await?,
            (Mode::Travel(..), KeyCode::Right) => self.travel(1).await?,
            (Mode::Travel(..), _) => {}
            (Mode::Type(line, input), KeyCode::Enter) => {
                let (line, text) = (line.take(), input.value().trim().to_owned());
                self.mode = Mode::Select;
                let document = self.focused();
                // Others may have removed the line.
                match line.filter(|line| document.row_of(line).is_some()) {
                    Some(line) => document.set_text(&line, &text).await?,
                    None => document.add(text).await?,
                }
            }
            (Mode::Type(_, input), _) => drop(input.handle_event(&Event::Key(key))),
        }
        Ok(true)
    }

    async fn key_in_document(&mut self, key: KeyCode) -> Result<bool, SyncError> {
        let document = self.focused();
        match (key, document.line().cloned()) {
            (KeyCode::Char('q'), _) => return Ok(false),
            (KeyCode::Up, _) => document.select(document.row.saturating_sub(1)),
            (KeyCode::Down, _) => document.select(document.row + 1),
            (KeyCode::Enter, _) => self.is_in_note = self.list.line().is_some(),
            (KeyCode::Esc, _) => self.is_in_note = false,
            (KeyCode::Char('n'), _) => self.mode = Mode::Type(None, Input::default()),
            (KeyCode::Char('e'), Some(line)) => {
                self.mode = Mode::Type(Some(line.id), line.text.into());
            }
            (KeyCode::Char(' '), Some(line)) => {
                document.set_done(&line.id, !line.is_done).await?;
            }
            (KeyCode::Char('d'), Some(line)) => document.remove(line.id).await?,
            (KeyCode::Char('u'), _) => drop(document.document.undo().await?),
            (KeyCode::Char('r'), _) => drop(document.document.redo().await?),
            (KeyCode::Left, _) => self.travel(-1).await?,
            _ => {}
        }
        Ok(true)
    }

    async fn travel(&mut self, by: isize) -> Result<(), SyncError> {
        let (history, step) = match mem::replace(&mut self.mode, Mode::Select) {
            Mode::Travel(history, step, _) => (history, step),
            _ => (self.focused().document.history().await?, usize::MAX),
        };
        let step = step.min(history.len().saturating_sub(1)).saturating_add_signed(by);
        if step + 1 < history.len() {
            let lines = lines_of(&self.focused().document.state_at(&history[step]).await?);
            self.mode = Mode::Travel(history, step, lines);
        }
        Ok(())
    }
}
