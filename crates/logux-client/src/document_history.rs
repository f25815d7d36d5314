//! The history of a document on the server: it reaches further back than the actions on this
//! device.

use logux::{
    Action, Json,
    action::{ActionError, AuthoredText, HistoryPage, Moment},
    crdt::{Crdt, Path, Shared as SharedDocument},
};
use serde::{Deserialize, Serialize};

use crate::{DocumentHandle, PendingAction, SyncError};

/// The state of a document at a [`Moment`], as the server has told it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct FormerState {
    /// The position of the latest action that it includes.
    pub position: u64,
    /// What the document showed.
    pub value: Json,
}

impl<C> DocumentHandle<SharedDocument<C>>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    /// Asks the server for a page of the history of the document, newest first: who has changed it
    /// and when, and its named versions. `before` is the [`HistoryPage::before`] of the previous
    /// page, `None` for the newest. The server returns at most 200 actions. Waits for a connection.
    ///
    /// ```no_run
    /// use logux::{action::Moment, crdt::Document};
    /// # use logux_client::{Client, SyncError};
    ///
    /// # async fn run(client: Client) -> Result<(), SyncError> {
    /// let note = client.document::<Document>("notes", "7").await?;
    /// note.name_version("draft").await?;
    /// for entry in note.server_history(None, 20).await?.entries {
    ///     println!("{} by {:?}", entry.at, entry.user);
    /// }
    /// for part in note.server_authors(&"/body".parse().expect("a path"), None).await? {
    ///     println!("{:?} by {:?}", part.text, part.user);
    /// }
    /// let draft = note.server_state(&Moment::Version("draft".into())).await?;
    /// println!("The draft was {}", draft.value);
    /// note.restore(&Moment::Version("draft".into())).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::sync`](crate::Client::sync).
    pub async fn server_history(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<HistoryPage, SyncError> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            before: Option<u64>,
            limit: usize,
        }
        let request = self.request("readHistory", &Fields { id: self.id(), before, limit });
        self.ask(request, "history").await
    }

    /// Asks the server what the document showed at a moment. Waits for a connection.
    ///
    /// # Errors
    /// As [`Client::sync`](crate::Client::sync); the reason is `notFound` for an unknown version or
    /// a moment before the creation, `forgotten` for one before the kept history.
    pub async fn server_state(&self, moment: &Moment) -> Result<FormerState, SyncError> {
        self.ask(self.request("readState", &self.at(moment)), "state").await
    }

    /// Asks the server who has written the text at a path, part by part in the order of the text,
    /// at a moment, or now without one. The path of what is in an item of a list, or in a node of a
    /// tree, has its name. Waits for a connection.
    ///
    /// # Errors
    /// As [`server_state`](Self::server_state); the reason is `noText` if no text was at the path
    /// that merges: a string that was set as a value has no authors.
    pub async fn server_authors(
        &self,
        path: &Path,
        moment: Option<&Moment>,
    ) -> Result<Vec<AuthoredText>, SyncError> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: &'a str,
            path: &'a Path,
            #[serde(flatten)]
            moment: Option<&'a Moment>,
        }
        #[derive(Deserialize)]
        struct Answer {
            authors: Vec<AuthoredText>,
        }
        let request = self.request("readAuthors", &Fields { id: self.id(), path, moment });
        let Answer { authors } = self.ask(request, "authors").await?;
        Ok(authors)
    }

    /// Gives the current state on the server a name. As a future, the result waits until the server
    /// has done so.
    ///
    /// # Errors
    /// As [`Client::sync`](crate::Client::sync); the reason is `nameTaken` if a version has the
    /// name.
    pub fn name_version(&self, name: &str) -> PendingAction {
        self.send(self.request("version", &self.named(name)))
    }

    /// Removes a named version on the server: its name is free again. As a future, the result waits
    /// until the server has done so.
    ///
    /// # Errors
    /// As [`Client::sync`](crate::Client::sync); the reason is `notFound` if no version has the
    /// name.
    pub fn remove_version(&self, name: &str) -> PendingAction {
        self.send(self.request("removeVersion", &self.named(name)))
    }

    /// Lets the server make the document show what it showed at a moment, by one edit that can be
    /// undone as others. As a future, the result waits until the server has done so.
    ///
    /// # Errors
    /// As [`server_state`](Self::server_state).
    pub fn restore(&self, moment: &Moment) -> PendingAction {
        self.send(self.request("restore", &self.at(moment)))
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: &'a str,
            name: &'a str,
        }
        Fields { id: self.id(), name }
    }

    fn at<'a>(&'a self, moment: &'a Moment) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: &'a str,
            #[serde(flatten)]
            moment: &'a Moment,
        }
        Fields { id: self.id(), moment }
    }

    fn request(&self, name: &str, fields: &impl Serialize) -> Result<Action, ActionError> {
        Action::typed(&format!("{}/{name}", self.kind()), fields)
    }

    fn send(&self, request: Result<Action, ActionError>) -> PendingAction {
        match request {
            Ok(action) => self.client().sync(action),
            // Strings and numbers can always be written as JSON.
            Err(_) => self.refused("wrongFormat"),
        }
    }

    /// Sends a request, and returns the fields of the answer.
    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        request: Result<Action, ActionError>,
        answer: &str,
    ) -> Result<T, SyncError> {
        // From before the request, so that the answer is not missed.
        let mut actions = self.client().actions();
        let pending = self.send(request);
        let (id, kind) = (pending.id().to_string(), format!("{}/{answer}", self.kind()));
        // The answer precedes the end of the request.
        pending.await?;
        while let Some(entry) = actions.try_next() {
            let is_answer = entry.action.kind() == kind
                && entry.action.str_field("of").as_deref() == Some(&*id);
            if is_answer {
                return entry.action.parse().map_err(|error| {
                    SyncError::Stopped(format!("the answer of the server cannot be read: {error}"))
                });
            }
        }
        Err(SyncError::Stopped("the server has processed the request without an answer".into()))
    }
}
