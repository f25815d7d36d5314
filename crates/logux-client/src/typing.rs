//! Typing in a document: bursts of edits that are one action.

use core::ops::Range;

use logux::{
    ActionId,
    crdt::{Crdt, Document, Path, Shared, Text, TextError, Unit},
};

use crate::{DocumentHandle, PendingAction, driver::EditKind};

impl<C> DocumentHandle<Shared<C>>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    /// Edits the document as [`operate_with`](Self::operate_with) does, as a part of a burst of
    /// typing: edits that follow each other within moments are one action, which is undone and
    /// refused as a whole. The state has each edit at once, and each is kept, but the action is
    /// sent when the burst ends: at one of the [limits](crate::Builder::bursts), at another edit or
    /// action of this client, at [`close_step`](Self::close_step) or an undo, and when the client
    /// closes. All edits of a burst have the id of its action, and their results come together.
    ///
    /// The id that `make` receives is that of the author's next action. Edits of a text are
    /// added to the action whatever others do in the meantime. Others, such as writes, begin an
    /// action of their own if somebody else has edited the document since the burst began.
    ///
    /// # Errors
    /// The error of `make`; then nothing is added.
    pub fn operate_in_burst<E>(
        &self,
        make: impl FnOnce(&C, &ActionId) -> Result<Vec<C::Op>, E>,
    ) -> Result<PendingAction, E> {
        self.operate_as(EditKind::InBurst, make)
    }
}

impl DocumentHandle<Shared<Text>> {
    /// Replaces a part of the text, as an editor reports it: a key inserts into an empty range,
    /// backspace replaces a range by nothing. What is typed without a pause is one action:
    /// [`operate_in_burst`](Self::operate_in_burst).
    ///
    /// ```no_run
    /// use logux::crdt::{Text, Unit};
    /// # use logux_client::Client;
    ///
    /// # async fn run(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let note = client.document::<Text>("notes", "7").await?;
    /// for (index, key) in ["T", "e", "a"].into_iter().enumerate() {
    ///     drop(note.replace_text(index..index, key, Unit::Utf16)?);
    /// }
    /// assert_eq!(note.state().to_string(), "Tea");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TextError`]; then nothing is added.
    pub fn replace_text(
        &self,
        range: Range<usize>,
        text: &str,
        unit: Unit,
    ) -> Result<PendingAction, TextError> {
        self.operate_in_burst(|state, id| state.replace_ops(range, text, unit, id))
    }
}

impl DocumentHandle<Shared<Document>> {
    /// Replaces a part of the text at a path, as an editor reports it: a key inserts into an empty
    /// range, backspace replaces a range by nothing. What is typed without a pause is one action:
    /// [`operate_in_burst`](Self::operate_in_burst).
    ///
    /// # Errors
    /// [`TextError`]; then nothing is added.
    pub fn replace_text(
        &self,
        path: &Path,
        range: Range<usize>,
        text: &str,
        unit: Unit,
    ) -> Result<PendingAction, TextError> {
        self.operate_in_burst(|state, id| {
            state.text_ops(path, id, |own| own.replace_ops(range, text, unit, id))
        })
    }
}
