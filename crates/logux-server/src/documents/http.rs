//! The documents of a server over HTTP, for people who run it, on the port of the WebSocket.

use std::sync::Arc;

use hyper::{Method, StatusCode, header::ALLOW};
use logux::{action::Moment, server::CatalogQuery, store::Store};
use serde_json::{Value, json};

use crate::{
    documents::{
        commands::Listed,
        query::{MAX_LISTED, Query, WrongRequest, path_parts},
        service::Documents,
    },
    error::HandlerError,
    http::{
        control_access::{AccessRefusal, ControlAccess},
        routes::{HttpRequest, HttpResponse},
        secret_throttle::SecretThrottle,
    },
    hub::handle::Handle,
    server::builder::Builder,
    telemetry::event::{Event, Failure},
};

/// The path of the interface.
const PATH: &str = "/documents";
/// The reason why a document cannot be found.
const NOT_FOUND: &str = "notFound";

/// A status, a reason, and a text for people.
pub(super) type Refusal = (StatusCode, String, String);
pub(super) type Answer = Result<(StatusCode, Value), Refusal>;

impl<S: Send + Sync + 'static, St: Store + Send + 'static> Builder<S, St> {
    /// Serves the documents of all kinds over HTTP at `/documents`, for people and programs that
    /// look after them. What is done so needs no permission of a user. The requests and responses
    /// are described in [`documents`](crate::documents#over-http).
    ///
    /// ```
    /// # use logux::crdt::Document;
    /// use logux_server::{ControlAccess, MemoryDocuments, Server};
    /// let server = Server::builder()
    ///     .documents::<Document>("notes", MemoryDocuments::new(), |notes| {
    ///         notes.access(|_| async { Ok(true) })
    ///     })
    ///     .documents_http(ControlAccess::new("a long secret of the operators"));
    /// ```
    #[must_use]
    pub fn documents_http(self, access: ControlAccess) -> Self {
        let endpoint = Arc::new((access, SecretThrottle::default()));
        self.http_below(PATH, move |request| {
            let endpoint = endpoint.clone();
            async move {
                let (access, throttle) = &*endpoint;
                let server = request.server();
                let (sender, headers) = (request.sender(), request.headers());
                let now = server.mono_now();
                let checked = access.check(throttle, now, sender, headers, server.telemetry());
                let (status, value) = whole(match checked {
                    Ok(()) => respond(&request).await,
                    Err(refusal) => Err(described(refusal)),
                });
                Ok(HttpResponse::from((status, value)).with_allowed(status))
            }
        })
    }
}

impl HttpResponse {
    /// Adds the header that a response with status 405 must have.
    fn with_allowed(self, status: StatusCode) -> Self {
        if status == StatusCode::METHOD_NOT_ALLOWED {
            return self.with_header(ALLOW, "GET, HEAD, PUT, POST, DELETE");
        }
        self
    }
}

/// Returns the status and the body of an answer.
pub(super) fn whole(answer: Answer) -> (StatusCode, Value) {
    answer.unwrap_or_else(|(status, reason, message)| {
        (status, json!({"error": reason, "message": message}))
    })
}

fn described(refusal: AccessRefusal) -> Refusal {
    let (status, reason, message) = match refusal {
        AccessRefusal::Address => (
            StatusCode::FORBIDDEN,
            "wrongAddress",
            "this address is not in the mask of control requests",
        ),
        AccessRefusal::Secret => (
            StatusCode::UNAUTHORIZED,
            "wrongSecret",
            "expected the header `Authorization: Bearer` with the control secret",
        ),
        AccessRefusal::TooMany => (
            StatusCode::TOO_MANY_REQUESTS,
            "tooManyAttempts",
            "too many wrong secrets from this address: wait some seconds",
        ),
    };
    (status, reason.to_owned(), message.to_owned())
}

fn wrong(message: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, "wrongFormat".to_owned(), message.into())
}

/// Returns the response for an error of an operation.
pub(super) fn failed(server: &Handle, path: &str, error: &HandlerError) -> Refusal {
    let (status, message) = match error {
        HandlerError::NotFound => {
            (StatusCode::NOT_FOUND, "there is no such document, version or time".to_owned())
        }
        HandlerError::Undo { reason, extra } => {
            let status = match &**reason {
                "noText" => StatusCode::NOT_FOUND,
                "exists" | "nameTaken" | "versionLimit" => StatusCode::CONFLICT,
                "deleted" | "purged" | "forgotten" => StatusCode::GONE,
                "wrongFormat" => StatusCode::BAD_REQUEST,
                "denied" => StatusCode::FORBIDDEN,
                "tooLarge" => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let detail = extra.iter().find(|(key, _)| key == "error");
            let detail = detail.and_then(|(_, json)| json.parse::<String>().ok());
            (status, detail.unwrap_or_else(|| meaning(reason).to_owned()))
        }
        error => {
            let is_transient = error.is_transient();
            let text = error.message();
            server
                .telemetry()
                .record(&Event::Failed { what: Failure::Route { path }, error: &text });
            let (status, reason, message) = if is_transient {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "try again later")
            } else {
                let message = "the server failed; its log lines say more";
                (StatusCode::INTERNAL_SERVER_ERROR, "error", message)
            };
            return (status, reason.to_owned(), message.to_owned());
        }
    };
    (status, error.message().into_owned(), message)
}

/// Returns what a reason means, for people.
fn meaning(reason: &str) -> &'static str {
    match reason {
        "exists" => "there is a document with this id, or a deleted one that is not purged yet",
        "nameTaken" => "another version of the document has this name",
        "versionLimit" => "the document has as many versions as are allowed",
        "deleted" => "the document is deleted; until it is purged, it can be created again",
        "purged" => {
            "a document with this id was purged, and devices may still have it: use another id"
        }
        "forgotten" => "the kept history does not reach so far",
        "noText" => {
            "there is no text at this path; a string that was set as a value has no authors"
        }
        "wrongFormat" => "the operations do not fit the document",
        _ => "the server has undone it, for this reason",
    }
}

/// A request with its parsed path and query.
struct Call<'a> {
    server: &'a Handle,
    path: &'a str,
    query: Query<'a>,
    body: &'a [u8],
}

impl From<WrongRequest> for Refusal {
    fn from(error: WrongRequest) -> Self {
        wrong(error.to_string())
    }
}

async fn respond<S>(request: &HttpRequest<S>) -> Answer {
    let path = request.uri().path();
    let parts = path_parts(PATH, path)?;
    let parts: Vec<&str> = parts.iter().map(|part| &**part).collect();
    let call = Call {
        server: request.server(),
        path,
        query: Query::new(request.uri().query().unwrap_or_default()),
        body: request.body(),
    };
    let method = match request.method() {
        &Method::HEAD => "GET",
        method => method.as_str(),
    };
    match (method, &*parts) {
        ("GET", [] | [""]) => Ok(ok(json!({"kinds": call.server.document_kinds()}))),
        ("DELETE", [] | [""]) => call.delete_of_creator().await,
        (_, [] | [""]) => Err(wrong_method()),
        (_, [kind, rest @ ..]) => {
            let documents = call.server.documents(kind).ok_or_else(|| {
                let kinds = call.server.document_kinds().join(", ");
                let message = format!("there are no documents `{kind}`; the kinds are {kinds}");
                (StatusCode::NOT_FOUND, "unknownKind".to_owned(), message)
            })?;
            match (method, rest) {
                ("GET", [] | [""]) => call.list(&documents).await,
                (_, [] | [""]) => Err(wrong_method()),
                (_, ["", ..]) => Err(wrong("expected the id of a document")),
                (_, [id]) => call.whole(method, &documents, id).await,
                ("DELETE", [id, "versions"]) => call.remove_version(&documents, id).await,
                ("GET", [id, part]) => call.part(&documents, id, part).await,
                ("POST", [id, command]) => call.command(&documents, id, command).await,
                (_, [_, _]) => Err(wrong_method()),
                (_, _) => Err(no_such_path()),
            }
        }
    }
}

const fn ok(value: Value) -> (StatusCode, Value) {
    (StatusCode::OK, value)
}

fn wrong_method() -> Refusal {
    let message = "this path has no such method".to_owned();
    (StatusCode::METHOD_NOT_ALLOWED, "wrongMethod".to_owned(), message)
}

fn no_such_path() -> Refusal {
    let message = "there is no such path; a `/` in an id is written as %2F".to_owned();
    (StatusCode::NOT_FOUND, NOT_FOUND.to_owned(), message)
}

impl Call<'_> {
    fn failed(&self, error: &HandlerError) -> Refusal {
        failed(self.server, self.path, error)
    }

    async fn list(&self, documents: &Documents) -> Answer {
        let query = self.query.list()?;
        let page = documents.list(&query).await.map_err(|error| self.failed(&error))?;
        let listed: Vec<_> = page.entries.into_iter().map(Listed::from).collect();
        let mut answer = json!({"kind": documents.kind(), "documents": listed});
        if let Some(next) = page.next {
            answer["after"] = next.to_string().into();
        }
        Ok(ok(answer))
    }

    /// Deletes or purges the documents of all kinds that a user has created.
    async fn delete_of_creator(&self) -> Answer {
        let creator = self.query.required("creator", "the id of a user")?;
        let is_purge = self.query.flag("purge");
        let mut removed = 0_u64;
        for kind in self.server.document_kinds() {
            let Some(documents) = self.server.documents(&kind) else { continue };
            for deleted in [false, true] {
                if deleted && !is_purge {
                    continue;
                }
                removed += self.remove_all(&documents, creator, deleted, is_purge).await?;
            }
        }
        let name = if is_purge { "purged" } else { "deleted" };
        Ok(ok(json!({ name: removed })))
    }

    /// Removes the documents that a user has created. Returns their number.
    async fn remove_all(
        &self,
        documents: &Documents,
        creator: &str,
        deleted: bool,
        is_purge: bool,
    ) -> Result<u64, Refusal> {
        let creator = Some(creator.into());
        let mut query = CatalogQuery { creator, deleted, ..CatalogQuery::new(MAX_LISTED) };
        let mut removed = 0;
        loop {
            let page = documents.list(&query).await.map_err(|error| self.failed(&error))?;
            for entry in &page.entries {
                removed += u64::from(self.remove(documents, &entry.id, is_purge).await?);
            }
            // What was removed is in no later page.
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(removed),
            }
        }
    }

    async fn remove(&self, documents: &Documents, id: &str, purge: bool) -> Result<bool, Refusal> {
        let removed = if purge { documents.purge(id).await } else { documents.delete(id).await };
        removed.map_err(|error| self.failed(&error))
    }

    /// Exports, imports or removes a document.
    async fn whole(&self, method: &str, documents: &Documents, id: &str) -> Answer {
        match method {
            "GET" => {
                let exported = documents.export(id).await;
                Ok(ok(exported.map_err(|error| self.failed(&error))?))
            }
            "PUT" => {
                let exported: Value = serde_json::from_slice(self.body)
                    .map_err(|error| wrong(format!("expected an exported document: {error}")))?;
                let creator = self.query.text("creator").or_else(|| exported["creator"].as_str());
                let imported = documents.import(id, &exported, creator).await;
                imported.map_err(|error| self.failed(&error))?;
                Ok((StatusCode::CREATED, json!({"kind": documents.kind(), "id": id})))
            }
            "DELETE" => {
                let is_purge = self.query.flag("purge");
                if !self.remove(documents, id, is_purge).await? {
                    return Err(self.failed(&HandlerError::NotFound));
                }
                let name = if is_purge { "purged" } else { "deleted" };
                Ok(ok(json!({ name: 1 })))
            }
            _ => Err(wrong_method()),
        }
    }

    /// Reads something about a document.
    async fn part(&self, documents: &Documents, id: &str, part: &str) -> Answer {
        let value = match part {
            "history" => {
                self.must_exist(documents, id).await?;
                let page =
                    documents.history(id, self.query.number("before")?, self.query.limit()?).await;
                page.and_then(|page| Ok(serde_json::to_value(page)?))
            }
            "state" => match self.query.moment()? {
                Some(moment) => {
                    let state = documents.json_at(id, moment).await;
                    state.map(|(position, value)| json!({"position": position, "value": value}))
                }
                None => match documents.json(id).await {
                    Ok(Some(value)) => Ok(json!({ "value": value })),
                    Ok(None) => match documents.find(id).await {
                        Ok(Some(_)) => Err(HandlerError::undo("deleted")),
                        Ok(None) => Err(HandlerError::NotFound),
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(error),
                },
            },
            "changes" => {
                let from = self.query.moment_in("from")?;
                let from = from.ok_or_else(|| wrong("expected `from`, such as version:draft"))?;
                let to = self.query.moment_in("to")?.unwrap_or(Moment::Position(u64::MAX));
                let changes = documents.changes(id, from, to).await;
                changes.map(|changes| json!({ "changes": changes }))
            }
            "authors" => {
                let path = self.query.path()?;
                let moment = self.query.moment()?.unwrap_or(Moment::Position(u64::MAX));
                let authors = documents.authors(id, moment, &path).await;
                authors.map(|authors| json!({ "path": path, "authors": authors }))
            }
            _ => return Err(no_such_path()),
        };
        Ok(ok(value.map_err(|error| self.failed(&error))?))
    }

    async fn remove_version(&self, documents: &Documents, id: &str) -> Answer {
        let name = self.query.required("name", "the name of a version")?;
        self.must_exist(documents, id).await?;
        let removed = documents.remove_version(id, name).await;
        if !removed.map_err(|error| self.failed(&error))? {
            return Err(self.failed(&HandlerError::NotFound));
        }
        Ok(ok(json!({})))
    }

    async fn must_exist(&self, documents: &Documents, id: &str) -> Result<(), Refusal> {
        match documents.find(id).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(self.failed(&HandlerError::NotFound)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Does something with a document.
    async fn command(&self, documents: &Documents, id: &str, command: &str) -> Answer {
        let done = match command {
            "copy" => {
                let to = self.query.required("to", "an id")?;
                let exported = documents.export(id).await.map_err(|error| self.failed(&error))?;
                let creator = self.query.text("creator").or_else(|| exported["creator"].as_str());
                documents.import(to, &exported, creator).await
            }
            "restore" => {
                let moment = self.query.moment()?;
                let expected = "expected one of `version`, `at`, `position`";
                documents.restore(id, &moment.ok_or_else(|| wrong(expected))?).await
            }
            "versions" => {
                let name = self.query.required("name", "the name of a version")?;
                documents.name_version(id, name).await
            }
            _ => return Err(no_such_path()),
        };
        done.map_err(|error| self.failed(&error))?;
        let is_creation = matches!(command, "copy" | "versions");
        Ok((if is_creation { StatusCode::CREATED } else { StatusCode::OK }, json!({})))
    }
}
