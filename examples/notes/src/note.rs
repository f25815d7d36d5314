//! An open document of lines: a note, or the list of notes, whose lines are the titles.

use std::sync::Arc;

use logux::{
    ActionId,
    crdt::{Crdt, Document, DocumentOp, List, OpId, Path, Shared},
};
use logux_client::{Client, DocumentHandle, SyncError};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) struct Note {
    pub document: DocumentHandle<Shared<Document>>,
    pub lines: Vec<Line>,
    /// The selected row.
    pub row: usize,
}

/// A line with a check mark.
#[derive(Clone)]
pub(crate) struct Line {
    pub id: OpId,
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
        let (mut watched, changed) = (document.clone(), changed.clone());
        tokio::spawn(async move {
            while watched.changed().await {
                changed.notify_one();
            }
        });
        Ok(Self { document, lines: Vec::new(), row: 0 })
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

    pub(crate) fn select(&mut self, row: usize) {
        self.row = row.min(self.lines.len().saturating_sub(1));
    }

    /// Returns the selected line.
    pub(crate) fn line(&self) -> Option<&Line> {
        self.lines.get(self.row)
    }

    pub(crate) fn row_of(&self, id: &OpId) -> Option<usize> {
        self.lines.iter().position(|line| line.id == *id)
    }

    /// Adds a line below the selected line, and selects it.
    pub(crate) async fn add(&mut self, text: String) -> Result<(), SyncError> {
        let above = self.line().map(|line| line.id.clone());
        self.edit(|document, id| {
            let add = |list: &List| {
                let row = above.and_then(|above| list.index_of(&above)).map_or(0, |row| row + 1);
                list.insert_op(row, json!({"text": text}), id)
            };
            document.list_op(&Path::of(&["lines"]).ok()?, add).ok()
        })
        .await
    }

    /// Writes a field of a line. Of what several people write at once, the latest stays.
    pub(crate) async fn set(
        &mut self,
        line: OpId,
        field: &str,
        value: Value,
    ) -> Result<(), SyncError> {
        let path = Path::of(&["lines", &line.to_string(), field]);
        self.edit(|_, _| Some(DocumentOp::Set { path: path.ok()?, value: value.into() })).await
    }

    pub(crate) async fn remove(&mut self, item: OpId) -> Result<(), SyncError> {
        let path = Path::of(&["lines"]);
        self.edit(|_, _| Some(DocumentOp::Remove { path: path.ok()?, item })).await
    }

    /// Makes an edit. It is in the file afterwards, whatever happens to the program, and is sent as
    /// soon as there is a connection.
    async fn edit(
        &mut self,
        make: impl FnOnce(&Document, &ActionId) -> Option<DocumentOp>,
    ) -> Result<(), SyncError> {
        let ops = |document: &_, id: &_| Ok(make(document, id).into_iter().collect());
        let action = self.document.operate_with(ops)?.kept().await?;
        // Each edit is a step to undo, however fast they follow each other.
        self.document.close_step().await?;
        self.read();
        self.select(self.row_of(&action.id().into()).unwrap_or(self.row));
        Ok(())
    }
}

/// Returns the lines of a document. What others have written may have any form.
pub(crate) fn lines_of(document: &Document) -> Vec<Line> {
    let value = document.to_json();
    let ids = document.list("/lines").into_iter().flat_map(List::iter);
    ids.zip(value["lines"].as_array().into_iter().flatten())
        .map(|((id, _), line)| Line {
            id: id.clone(),
            text: line["text"].as_str().unwrap_or_default().to_owned(),
            is_done: line["done"] == true,
            // The id of an item is that of its action, which names its user.
            author: id.action().node().user_or_client().to_owned(),
        })
        .collect()
}
