//! Undo and redo of the edits of a document.

use logux::{
    ActionId, Json,
    replay::{NamedReducer, RevertedStep},
};

use crate::{
    DocumentHandle, SyncError,
    driver::{StepChange, StepResult},
};

impl<R> DocumentHandle<R>
where
    R: NamedReducer<Action: Send, State: Send + Sync> + Send + 'static,
{
    /// Undoes the user's latest step of edits by handles of this document, whatever others have
    /// edited since. Returns what was [selected](Self::select) before the step; `None` if there is
    /// no step. Edits within a short time are one step:
    /// [`Builder::undo_grouping`](crate::Builder::undo_grouping). The steps are kept in the store,
    /// so the next start can undo them too.
    ///
    /// The state changes at once. If the server refuses an undo, because a snapshot has settled the
    /// edit or the user may not undo it, the edit has its effect again.
    ///
    /// ```no_run
    /// use logux_client::{DocumentHandle, SyncError};
    /// use logux::crdt::{Document, Shared};
    ///
    /// # async fn run(note: DocumentHandle<Shared<Document>>) -> Result<(), SyncError> {
    /// if note.can_undo() {
    ///     note.undo().await?;
    ///     note.redo().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped.
    pub async fn undo(&self) -> Result<Option<RevertedStep>, SyncError> {
        self.revert(StepChange::Undo).await
    }

    /// Redoes the latest step that was undone, unless an edit was made since. Returns what was
    /// selected before the undo; `None` if there is no step.
    ///
    /// # Errors
    /// As [`undo`](Self::undo).
    pub async fn redo(&self) -> Result<Option<RevertedStep>, SyncError> {
        self.revert(StepChange::Redo).await
    }

    async fn revert(&self, change: StepChange) -> Result<Option<RevertedStep>, SyncError> {
        match self.step(change).await? {
            StepResult::Reverted(reverted) => Ok(reverted),
            StepResult::Undone(_) | StepResult::Closed => Ok(None),
        }
    }

    /// Undoes actions, also of others, as one step that can be redone, and returns the number of
    /// those that had an effect: for example all of an author, [`Timeline::actions_by`]. The server
    /// refuses the undo of what the user may not undo.
    ///
    /// [`Timeline::actions_by`]: logux::replay::Timeline::actions_by
    ///
    /// # Errors
    /// As [`undo`](Self::undo).
    pub async fn undo_actions(&self, ids: Vec<ActionId>) -> Result<usize, SyncError> {
        match self.step(StepChange::Actions(ids)).await? {
            StepResult::Undone(count) => Ok(count),
            StepResult::Reverted(_) | StepResult::Closed => Ok(0),
        }
    }

    /// Records what the user has selected, also if it is only a cursor: any JSON value of at most
    /// [`MAX_SELECTION`] bytes. The step that the next edit begins keeps it, and
    /// [`undo`](Self::undo) returns it. A [`Selection`] of a text stays with its characters,
    /// whatever others have typed in the meantime.
    ///
    /// ```no_run
    /// use logux::{Json, crdt::{Selection, Text, Unit}};
    /// # use logux_client::Client;
    ///
    /// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let note = client.document::<Text>("notes", "7").await?;
    /// let text = note.state();
    /// let selection = Selection {
    ///     anchor: text.anchor_after(0, Unit::Utf16)?,
    ///     head: text.anchor_before(5, Unit::Utf16)?,
    /// };
    /// note.select(Some(Json::from_value(&selection)?))?;
    /// drop(note.replace_text(0..5, "", Unit::Utf16)?);
    /// if let Some(step) = note.undo().await?
    ///     && let Some(selection) = step.selection
    /// {
    ///     let selection: Selection = selection.parse()?;
    ///     println!("{:?}", note.state().anchor_index(&selection.head, Unit::Utf16));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`MAX_SELECTION`]: logux::replay::MAX_SELECTION
    /// [`Selection`]: logux::crdt::Selection
    ///
    /// # Errors
    /// As [`undo`](Self::undo).
    pub fn select(&self, selection: Option<Json>) -> Result<(), SyncError> {
        self.set_selection(selection)
    }

    /// Ends the current step, so that the next edit starts a new one: for a pause, a click or a
    /// paste. Ends a burst of typing too.
    ///
    /// # Errors
    /// As [`undo`](Self::undo).
    pub async fn close_step(&self) -> Result<(), SyncError> {
        self.step(StepChange::Close).await.map(drop)
    }

    /// Returns `true` if there is a step to undo.
    pub fn can_undo(&self) -> bool {
        self.undo_state().can_undo
    }

    /// Returns `true` if there is a step to redo.
    pub fn can_redo(&self) -> bool {
        self.undo_state().can_redo
    }
}
