//! What clients ask about documents and their history, by actions that change no state themselves.

use std::sync::Arc;

use logux::{
    Action, WallTime,
    action::{DocumentKey, DocumentOperation, Moment},
    crdt::{Crdt, Path},
    server::{
        AddVersionOutcome, CatalogEntry, CatalogPosition, CatalogQuery, DocumentVersion, FateKey,
    },
    store::Store,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    documents::{
        authorship::authors,
        checks::refused,
        history::{History, latest_position},
        query::{LISTED, MAX_LISTED},
        serving::Serving,
    },
    error::HandlerError,
    handlers::{action_type::ActionTypeBuilder, context::Context, handler::BoxFuture},
    server::builder::Builder,
};

/// The largest length of the name of a version, in bytes.
const MAX_VERSION_NAME: usize = 200;

/// A document in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    id: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<Arc<str>>,
    created_at: WallTime,
    changed_at: WallTime,
    bytes: u64,
    actions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<WallTime>,
}

impl From<CatalogEntry> for Listed {
    fn from(entry: CatalogEntry) -> Self {
        let deleted_at = entry.deletion().map(|deletion| deletion.at);
        let CatalogEntry { id, creator, created_at, changed_at, bytes, actions, .. } = entry;
        Self { id, creator, created_at, changed_at, bytes, actions, deleted_at }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListRequest {
    limit: Option<usize>,
    after: Option<String>,
    creator: Option<Arc<str>>,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
struct HistoryRequest {
    before: Option<u64>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct VersionRequest {
    name: Arc<str>,
}

#[derive(Deserialize)]
struct AuthorsRequest {
    path: Path,
}

fn wrong_format(expected: &str) -> HandlerError {
    refused("wrongFormat", &expected)
}

const EXPECTED_MOMENT: &str =
    "expected one of \"position\" (a number), \"at\" (milliseconds since the epoch), \"version\"";

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Registers the action types `KIND/list`, `KIND/readHistory`, `KIND/readState`,
    /// `KIND/readAuthors`, `KIND/version`, `KIND/removeVersion`, `KIND/restore` and `KIND/copy`.
    pub(super) fn document_commands<C>(self, kind: &str, serving: &Arc<Serving<S, C>>) -> Self
    where
        C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
    {
        let command = |server: Self, name: &str, command: Command<S, C>| {
            let serving = serving.clone();
            server.action_type(format!("{kind}/{name}"), |_| {
                ActionTypeBuilder::new()
                    .access(|_| async { Ok(true) })
                    .process(move |context| command(serving.clone(), context))
                    .fate_key(|_| FateKey::none())
            })
        };
        let server = command(self, "list", |serving, context| Box::pin(serving.list(context)));
        let server = command(server, "readHistory", |serving, context| {
            Box::pin(serving.read_history(context))
        });
        let server =
            command(server, "readState", |serving, context| Box::pin(serving.read_state(context)));
        let server = command(server, "readAuthors", |serving, context| {
            Box::pin(serving.read_authors(context))
        });
        let server = command(server, "removeVersion", |serving, context| {
            Box::pin(serving.remove_version(context))
        });
        let server =
            command(server, "version", |serving, context| Box::pin(serving.name_version(context)));
        let server =
            command(server, "restore", |serving, context| Box::pin(serving.restore(context)));
        command(server, "copy", |serving, context| Box::pin(serving.copy(context)))
    }
}

type Command<S, C> = fn(Arc<Serving<S, C>>, Context<S>) -> BoxFuture<()>;

impl<S, C> Serving<S, C>
where
    S: Send + Sync + 'static,
    C: Crdt<Op: Send + Sync> + Send + Sync + 'static,
{
    /// Answers a request to its author alone, with the id of the request in the key `of`.
    async fn reply(
        &self,
        context: &Context<S>,
        name: &str,
        mut fields: Value,
    ) -> Result<(), HandlerError> {
        if let Some(object) = fields.as_object_mut() {
            object.insert("of".to_owned(), context.meta().id.to_string().into());
        }
        let action = Action::typed(&format!("{}/{name}", self.kind), &fields)?;
        context.send_back(action).await;
        Ok(())
    }

    /// Returns the document of a request that its author may read, and what the catalog has of it.
    async fn readable(
        &self,
        context: &Context<S>,
    ) -> Result<(DocumentKey, CatalogEntry), HandlerError> {
        let id = context.action().str_field("id").filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| wrong_format("expected \"id\" with the id of a document"))?;
        let key = DocumentKey::new(self.kind.clone(), &*id);
        let entry = {
            let document = self.documents.lock(&key, context.server()).await?;
            document.entry().cloned().ok_or(HandlerError::NotFound)?
        };
        if !self.may(context, &key, Some(entry.clone()), DocumentOperation::Read).await? {
            return Err(HandlerError::Denied);
        }
        if entry.deletion().is_some() {
            Err(HandlerError::undo("deleted"))
        } else {
            Ok((key, entry))
        }
    }

    /// Returns whether the author may do something with a document. The server may.
    async fn may(
        &self,
        context: &Context<S>,
        key: &DocumentKey,
        entry: Option<CatalogEntry>,
        operation: DocumentOperation,
    ) -> Result<bool, HandlerError> {
        Ok(context.is_server() || self.allows(context, key, entry, operation, None).await?)
    }

    /// Lists the documents that the author may read. A page may have fewer than the limit.
    async fn list(self: Arc<Self>, context: Context<S>) -> Result<(), HandlerError> {
        let request: ListRequest =
            context.parse().map_err(|error| wrong_format(&error.to_string()))?;
        let after = request.after.map(|text| text.parse::<CatalogPosition>()).transpose();
        let after = after.map_err(|error| wrong_format(&error.to_string()))?;
        let query = CatalogQuery {
            after,
            creator: request.creator,
            deleted: request.deleted,
            ..CatalogQuery::new(request.limit.unwrap_or(LISTED).clamp(1, MAX_LISTED))
        };
        let page = self.documents.storage().list(self.kind.clone(), query).await?;
        let mut listed = Vec::new();
        for entry in page.entries {
            let key = DocumentKey::new(self.kind.clone(), entry.id.clone());
            if self.may(&context, &key, Some(entry.clone()), DocumentOperation::Read).await? {
                listed.push(Listed::from(entry));
            }
        }
        let after = page.next.map(|position| position.to_string());
        let mut fields = json!({ "documents": listed });
        if let Some(after) = after {
            fields["after"] = after.into();
        }
        self.reply(&context, "listed", fields).await
    }

    async fn read_history(self: Arc<Self>, context: Context<S>) -> Result<(), HandlerError> {
        let request: HistoryRequest =
            context.parse().map_err(|error| wrong_format(&error.to_string()))?;
        let (key, _) = self.readable(&context).await?;
        let storage = self.documents.storage();
        let history = History::read(key.clone(), storage, context.server()).await?;
        let page = history.page(request.before, request.limit.unwrap_or(LISTED)).await?;
        let mut fields = serde_json::to_value(page)?;
        fields["id"] = (&**key.id()).into();
        self.reply(&context, "history", fields).await
    }

    async fn read_state(self: Arc<Self>, context: Context<S>) -> Result<(), HandlerError> {
        let moment = moment_of(&context)?;
        let (key, _) = self.readable(&context).await?;
        let (position, state) = self.documents.state_at(&key, &moment, context.server()).await?;
        let value = tokio::task::spawn_blocking(move || state.to_json()).await?;
        let fields = json!({"id": key.id(), "position": position, "value": value});
        self.reply(&context, "state", fields).await
    }

    /// Returns who has written a text at a moment, or now without one.
    async fn read_authors(self: Arc<Self>, context: Context<S>) -> Result<(), HandlerError> {
        let AuthorsRequest { path } =
            context.parse().map_err(|error| wrong_format(&error.to_string()))?;
        let moment = named_moment(&context)?.unwrap_or(Moment::Position(u64::MAX));
        let (key, _) = self.readable(&context).await?;
        let (_, state) = self.documents.state_at(&key, &moment, context.server()).await?;
        let authors = authors(state, path.clone()).await?;
        let fields = json!({"id": key.id(), "path": path, "authors": authors});
        self.reply(&context, "authors", fields).await
    }

    /// Removes a named version. Needs permission to edit.
    async fn remove_version(self: Arc<Self>, context: Context<S>) -> Result<(), HandlerError> {
        let request: VersionRequest =
            context.parse().map_err(|error| wrong_format(&error.to_string()))?;
        let (key, entry) = self.readable(&context).await?;
        if !self.may(&context, &key, Some(entry), DocumentOperation::Edit).await? {
            return Err(HandlerError::Denied);
        }
        let removed = self.documents.storage().remove_version(key, request.name).await?;
        if removed { Ok(()) } else { Err(HandlerError::NotFound) }
    }

    /// Gives the current state a name. Needs permission to edit.
    async fn name_version(self: Arc<Self>, context: Context<S>) -> Result<(), HandlerError> {
        let request: VersionRequest =
            context.parse().map_err(|error| wrong_format(&error.to_string()))?;
        if request.name.is_empty() || request.name.len() > MAX_VERSION_NAME {
            return Err(wrong_format("expected \"name\" with 1 to 200 bytes"));
        }
        let (key, entry) = self.readable(&context).await?;
        if !self.may(&context, &key, Some(entry), DocumentOperation::Edit).await? {
            return Err(HandlerError::Denied);
        }
        let storage = self.documents.storage();
        let latest = latest_position(&key, &storage, context.server()).await?;
        let version = DocumentVersion {
            name: request.name,
            position: latest.ok_or(HandlerError::NotFound)?,
            at: context.server().now(),
            by: context.user_id().map(Into::into),
            id: context.meta().id.clone(),
        };
        match storage.add_version(key, version).await? {
            AddVersionOutcome::Added => Ok(()),
            AddVersionOutcome::NameTaken => Err(HandlerError::undo("nameTaken")),
            AddVersionOutcome::TooMany => Err(HandlerError::undo("versionLimit")),
            AddVersionOutcome::Missing => Err(HandlerError::NotFound),
        }
    }

    /// Makes the document show what it showed at a moment, by one edit of the server. Needs the
    /// permissions of that edit.
    async fn restore(self: Arc<Self>, context: Context<S>) -> Result<(), HandlerError> {
        let moment = moment_of(&context)?;
        let (key, _) = self.readable(&context).await?;
        let (position, target) = self.documents.state_at(&key, &moment, context.server()).await?;
        let server = context.server();
        let ops = {
            let mut document = self.documents.lock(&key, server).await?;
            document.existing()?;
            let ops = document.state().await?.restore_ops(&target, server.node())?;
            self.check_operations(&context, &mut document, &ops).await?;
            ops
        };
        if ops.is_empty() {
            return Ok(());
        }
        let origin = json!({"position": position, "user": context.user_id()});
        let edit = json!({"id": key.id(), "ops": ops, "restores": origin});
        let edit = Action::typed(&format!("{}/edit", self.kind), &edit)?;
        Ok(server.process(edit).await?)
    }

    /// Creates a document that shows what another one shows. The author is its creator, and needs
    /// permission to create it.
    async fn copy(self: Arc<Self>, context: Context<S>) -> Result<(), HandlerError> {
        let to = context.action().str_field("to").filter(|to| !to.is_empty());
        let to = to.ok_or_else(|| wrong_format("expected \"to\" with the id of the copy"))?;
        let (key, _) = self.readable(&context).await?;
        let target = DocumentKey::new(self.kind.clone(), &*to);
        let server = context.server();
        if self.documents.lock(&target, server).await?.entry().is_some() {
            return Err(HandlerError::undo("exists"));
        }
        let state = self.documents.lock(&key, server).await?.state().await?;
        // The rule decides by what the copy will have.
        let (operation, copy) = (DocumentOperation::Create, Some(state.clone()));
        if !context.is_server() && !self.allows(&context, &target, None, operation, copy).await? {
            return Err(HandlerError::Denied);
        }
        self.check_quota(&context, context.user_id()).await?;
        let ops = C::default().restore_ops(&state, server.node())?;
        let fields = json!({"id": &*to, "ops": ops, "creator": context.user_id()});
        let create = Action::typed(&format!("{}/create", self.kind), &fields)?;
        Ok(server.process(create).await?)
    }
}

/// Returns the moment that a request names, by exactly one of its fields.
fn moment_of<S>(context: &Context<S>) -> Result<Moment, HandlerError> {
    named_moment(context)?.ok_or_else(|| wrong_format(EXPECTED_MOMENT))
}

/// Returns the moment that a request names, by at most one of its fields.
fn named_moment<S>(context: &Context<S>) -> Result<Option<Moment>, HandlerError> {
    let action = context.action();
    let fields = ["position", "at", "version"];
    let mut named = fields.iter().filter_map(|name| Some((*name, action.field(name)?)));
    let moment: Option<Moment> = match (named.next(), named.next()) {
        (None, _) => return Ok(None),
        (Some((name, value)), None) => {
            serde_json::from_str(&format!("{{\"{name}\":{value}}}")).ok()
        }
        _ => None,
    };
    moment.map(Some).ok_or_else(|| wrong_format(EXPECTED_MOMENT))
}
