//! Whether a document exists, what the user may do with it, and the edits that were refused.

use logux::{
    ActionId,
    action::{AccessList, DocumentOperation},
    client::{DocumentStatus, RefusedEdit},
    crdt::{Crdt, Shared as SharedDocument},
};

use crate::{DocumentHandle, PendingAction, SyncError, driver::EditKind};

impl<C> DocumentHandle<SharedDocument<C>>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    /// Returns what an application shows about the document. [`changed`](Self::changed) waits for
    /// the next change. The state of this device is there in every status. Without a subscription
    /// ([`Client::open`](crate::Client::open)), it is [`Ready`](DocumentStatus::Ready).
    ///
    /// ```no_run
    /// use logux::crdt::Document;
    /// use logux_client::{Client, DocumentStatus, SyncError};
    ///
    /// # async fn run(client: Client) -> Result<(), SyncError> {
    /// let note = client.document::<Document>("notes", "7").await?;
    /// note.loaded().await?;
    /// if note.status() == DocumentStatus::Missing {
    ///     note.create(&[]).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Edits of a document that is read-only, missing, forbidden or deleted are
    /// [refused](Self::edit) at once, if the server has said so in this connection. Others are
    /// kept and sent; see [`refused_edits`](Self::refused_edits).
    pub fn status(&self) -> DocumentStatus {
        self.report().status
    }

    /// Returns `true` if the user may do something with the document, as far as the server has
    /// said, in this or an earlier connection: whether to show a button. A server that tells no
    /// rights allows everything.
    pub fn may(&self, operation: DocumentOperation) -> bool {
        let report = self.report();
        report.status.allows(operation, report.access)
    }

    /// Returns what the user may do with the document, as the server has said last. `None`: it has
    /// said nothing.
    pub fn access(&self) -> Option<AccessList> {
        self.report().access
    }

    /// Creates the document on the server, with operations that may be none, or takes its deletion
    /// back. The state includes the operations when this returns, also without a connection. If the
    /// server did not know the document, it is subscribed to again after the creation. As a future,
    /// the result waits until the server has processed it.
    ///
    /// A creation is not a step of undo: [`delete`](Self::delete).
    ///
    /// # Errors
    /// As [`Client::sync`](crate::Client::sync).
    pub fn create(&self, ops: &[C::Op]) -> PendingAction {
        self.edit_as(EditKind::Creation, |_, _| self.document().create_action(ops).ok())
    }

    /// Creates the document as [`create`](Self::create) does, with operations that are made from
    /// its state and the id of the action, such as those of a list or a text. `make` must not call
    /// a method of the client.
    ///
    /// # Errors
    /// The error of `make`; then nothing is added.
    pub fn create_with<E>(
        &self,
        make: impl FnOnce(&C, &ActionId) -> Result<Vec<C::Op>, E>,
    ) -> Result<PendingAction, E> {
        self.operate_as(EditKind::Creation, make)
    }

    /// Deletes the document for all: the status is [`Deleted`](DocumentStatus::Deleted) at once,
    /// and what it was before if the server refuses. The state stays, and
    /// [`create`](Self::create) takes the deletion back.
    ///
    /// # Errors
    /// As [`Client::sync`](crate::Client::sync).
    ///
    /// # Panics
    /// Never: a deletion can always be written as JSON.
    pub fn delete(&self) -> PendingAction {
        let delete = self.document().key().delete_action();
        self.client().sync(delete.expect("strings can be written as JSON"))
    }

    /// Returns the user's edits of the document that the server has refused, or has undone later,
    /// oldest first: what the user has written, and why it is not in the document. They are kept in
    /// the store, also after a restart, until [`forget_refused_edit`](Self::forget_refused_edit) or
    /// [`forget_refused_edits`](Self::forget_refused_edits): the latest 100, and at most 1 MiB of
    /// JSON; older ones are dropped. Those whose result was awaited are among them, those that this
    /// handle has [refused](Self::edit) at once are not. [`changed`](Self::changed) waits for them.
    ///
    /// ```no_run
    /// use logux::crdt::{Document, Shared};
    /// use logux::replay::Reducer as _;
    /// use logux_client::{DocumentHandle, SyncError};
    ///
    /// # fn run(note: DocumentHandle<Shared<Document>>) -> Result<(), SyncError> {
    /// for edit in note.refused_edits()? {
    ///     println!("your change of {:?} was not accepted: {}", edit.made_at(), edit.reason);
    ///     if let Ok(Some(ops)) = Shared::<Document>::new("notes", "7").read(&edit.action) {
    ///         println!("{ops:?}");
    ///     }
    ///     note.forget_refused_edit(&edit.id)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended, or the store fails.
    pub fn refused_edits(&self) -> Result<Vec<RefusedEdit>, SyncError> {
        let edits = self.client().command(|driver| driver.refused_edits(self.name()))?;
        edits.map_err(SyncError::Stopped)
    }

    /// Forgets one of the [`refused_edits`](Self::refused_edits).
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has ended, or the store fails.
    pub fn forget_refused_edit(&self, id: &ActionId) -> Result<(), SyncError> {
        self.forget(Some(id))
    }

    /// Forgets all [`refused_edits`](Self::refused_edits).
    ///
    /// # Errors
    /// As [`forget_refused_edit`](Self::forget_refused_edit).
    pub fn forget_refused_edits(&self) -> Result<(), SyncError> {
        self.forget(None)
    }

    fn forget(&self, id: Option<&ActionId>) -> Result<(), SyncError> {
        let forgotten = self.client().command(|driver| driver.forget_refused(self.name(), id))?;
        forgotten.ok_or_else(|| self.client().stopped())
    }
}
