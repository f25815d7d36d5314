//! An open document of lines: a note, or the list of notes, whose lines are the titles.

use std::sync::Arc;

use logux::{
    ActionId, Json, NodeId,
    crdt::{Crdt, Document, DocumentOp, ElementId, ElementRef, List, Path, PathError, Shared},
};
use logux_client::{Client, DocumentHandle, Presence, SyncError};
use serde_json::json;
use tokio::sync::Notify;

pub(crate) struct Note {
    pub document: DocumentHandle<Shared<Document>>,
    pub lines: Vec<Line>,
    /// The selected row.
    pub row: usize,
    /// The others who are in the document, with the ids of their lines.
    pub people: Vec<(String, String)>,
    presence: Presence,
    /// The line that the others see this user at.
    shown: Option<String>,
}

/// A line with a check mark.
#[derive(Clone)]
pub(crate) struct Line {
    pub id: ElementId,
    /// The action that has added the line.
    pub action: Option<ActionId>,
    pub text: String,
    pub is_done: bool,
    /// The user who has added the line.
    pub author: String,
}

impl Note {
    /// Opens what the file has of a document. What the server has arrives later.
    pub(crate) async fn open(
        client: &Client,
        id: &str,
        changed: &Arc<Notify>,
    ) -> Result<Self, SyncError> {
        let document = client.document::<Document>("notes", id).await?;
        let (mut watched, mut people) = (document.clone(), document.presence());
        let (presence, changed) = (document.presence(), changed.clone());
        tokio::spawn(async move {
            while tokio::select! {
                changed = watched.changed() => changed,
                changed = people.changed() => changed.is_some(),
            } {
                changed.notify_one();
            }
        });
        let (lines, people) = (Vec::new(), Vec::new());
        Ok(Self { document, lines, row: 0, people, presence, shown: None })
    }

    /// Reads the lines. The same line stays selected, whatever others add or remove; returns
    /// `false` if it is gone.
    pub(crate) fn read(&mut self) -> bool {
        let selected = self.line().map(|line| line.id.clone());
        self.lines = lines_of(&self.document.state());
        let row = selected.and_then(|id| self.row_of(&id));
        self.select(row.unwrap_or(self.row));
        row.is_some()
    }

    /// Shows the others the selected line, or nothing, and reads where they are.
    pub(crate) fn meet(&mut self, is_here: bool) -> Result<(), SyncError> {
        let line = self.line().filter(|_| is_here).map(|line| line.id.to_string());
        if line != self.shown {
            match &line {
                Some(line) => self.presence.set(json!({ "line": line }))?,
                None => self.presence.leave()?,
            }
            self.shown = line;
        }
        let at = |(node, state): (NodeId, Json)| {
            let line = state.to_value()["line"].as_str()?.to_owned();
            Some((node.user_or_client().to_owned(), line))
        };
        self.people = self.presence.others()?.into_iter().filter_map(at).collect();
        Ok(())
    }

    pub(crate) fn select(&mut self, row: usize) {
        self.row = row.min(self.lines.len().saturating_sub(1));
    }

    /// Returns the selected line.
    pub(crate) fn line(&self) -> Option<&Line> {
        self.lines.get(self.row)
    }

    pub(crate) fn row_of(&self, id: &ElementId) -> Option<usize> {
        self.lines.iter().position(|line| line.id == *id)
    }

    /// Adds a line below the selected line, and selects it. Its text is in the same action.
    pub(crate) async fn add(&mut self, text: String) -> Result<(), SyncError> {
        let above = self.line().map(|line| line.id.clone());
        self.edit(|document, id| {
            let lines = Path::of(&["lines"]).ok()?;
            let add = |list: &List| {
                let row = above.and_then(|above| list.index_of(&above)).map_or(0, |row| row + 1);
                list.insert_op(row, json!({}), id)
            };
            let line = ElementId::new(id.node().clone(), document.next_counter(id.node()));
            let (path, first) = (text_path(&line).ok()?, line.counter() + 1);
            let text = text.into();
            let typed = DocumentOp::InsertText { path, first, text, after: None, before: None };
            Some(vec![document.list_op(&lines, id, add).ok()?, typed])
        })
        .await
    }

    /// Changes the text of a line. What several people change at once, stays.
    pub(crate) async fn set_text(&mut self, line: &ElementId, new: &str) -> Result<(), SyncError> {
        let path = text_path(line);
        self.edit(|document, id| {
            document.text_ops(&path.ok()?, id, |text| text.set_ops(new, id)).ok()
        })
        .await
    }

    /// Checks a line, or takes the check mark away. The latest of several people counts.
    pub(crate) async fn set_done(&mut self, line: &ElementId, done: bool) -> Result<(), SyncError> {
        let path = Path::of(&["lines", &line.to_string(), "done"]);
        self.edit(|document, _| Some(vec![document.set_op(&path.ok()?, json!(done))])).await
    }

    pub(crate) async fn remove(&mut self, line: ElementId) -> Result<(), SyncError> {
        let (path, item) = (Path::of(&["lines"]), ElementRef::Of(line));
        self.edit(|_, _| Some(vec![DocumentOp::Remove { path: path.ok()?, item }])).await
    }

    /// Makes an edit. It is in the file afterwards, whatever happens to the program, and is sent as
    /// soon as there is a connection.
    async fn edit(
        &mut self,
        make: impl FnOnce(&Document, &ActionId) -> Option<Vec<DocumentOp>>,
    ) -> Result<(), SyncError> {
        let ops = |document: &_, id: &_| Ok(make(document, id).unwrap_or_default());
        let action = self.document.operate_with(ops)?.kept().await?;
        // Each edit is a step to undo, however fast they follow each other.
        self.document.close_step().await?;
        self.read();
        let added = self.lines.iter().position(|line| line.action.as_ref() == Some(action.id()));
        self.select(added.unwrap_or(self.row));
        Ok(())
    }
}

/// Returns the path of the text of a line.
fn text_path(line: &ElementId) -> Result<Path, PathError> {
    Path::of(&["lines", &line.to_string(), "text"])
}

/// Returns the lines of a document. What others have written may have any form.
pub(crate) fn lines_of(document: &Document) -> Vec<Line> {
    let value = document.to_json();
    let ids = document.list("/lines").into_iter().flat_map(List::iter);
    ids.zip(value["lines"].as_array().into_iter().flatten())
        .map(|((id, item), line)| Line {
            action: item.inserted().map(|stamp| stamp.id().clone()),
            text: line["text"].as_str().unwrap_or_default().to_owned(),
            is_done: line["done"] == true,
            // The name of an item has the node that inserted it.
            author: id.node().user_or_client().to_owned(),
            id,
        })
        .collect()
}
