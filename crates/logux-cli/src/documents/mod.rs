//! `logux documents`: looks after the documents of a running server, over HTTP.
//!
//! Read this file, then [`client`] (the requests) and [`tables`] (what is printed).

pub(crate) mod client;
mod tables;

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use crate::documents::client::{DocumentsClient, DocumentsError, ServerArgs, escaped};

/// What is not removed by a purge. `Documents::purge` of `logux-server` and the storage in SQLite
/// say the same.
const REMAINS: &str = "\
What stays: the ids, which are not used again, the copies on the devices of users, backups of the
database, and, until they are used again, remains in free pages of the database file and in its
write-ahead log. `VACUUM` in `sqlite3` removes these, while the server is stopped.";

/// List, export, restore and remove the documents of a running server
///
/// The server must have been started with --document, and with --control-secret-file or --dev.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  Serve notes, and look after them from another terminal:
    openssl rand -base64 32 > control-secret
    logux serve --document notes --secret-file secret --control-secret-file control-secret
    logux documents list notes --secret-file control-secret
    logux documents history notes 7 --secret-file control-secret
    logux documents restore notes 7 --version draft --secret-file control-secret")]
pub(crate) struct DocumentsArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
    /// Print the responses of the server as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// A kind and an id.
#[derive(Args, Clone, Debug)]
struct DocumentArgs {
    /// Kind of the document, such as notes
    #[arg(value_name = "KIND")]
    kind: String,
    /// Id of the document
    #[arg(value_name = "ID")]
    id: String,
}

impl DocumentArgs {
    fn path(&self) -> String {
        format!("/{}/{}", escaped(&self.kind), escaped(&self.id))
    }
}

/// A moment of the history.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
struct MomentArgs {
    /// Named version
    #[arg(long, value_name = "NAME")]
    version: Option<String>,
    /// Time by the server's clock, in milliseconds since 1970
    #[arg(long, value_name = "MILLISECONDS")]
    at: Option<u64>,
    /// Position in the history
    #[arg(long, value_name = "NUMBER")]
    position: Option<u64>,
}

impl MomentArgs {
    /// Returns the query of a request.
    fn query(&self) -> Option<String> {
        let named = [
            self.version.as_ref().map(|version| format!("version={}", escaped(version))),
            self.at.map(|at| format!("at={at}")),
            self.position.map(|position| format!("position={position}")),
        ];
        named.into_iter().flatten().next()
    }
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// List the documents of a kind, newest change first; without a kind, the kinds
    List {
        /// Kind of the documents, such as notes
        #[arg(value_name = "KIND")]
        kind: Option<String>,
        /// Only those that this user has created
        #[arg(long, value_name = "USER")]
        creator: Option<String>,
        /// Those that are deleted and not purged yet
        #[arg(long)]
        deleted: bool,
        /// Largest number of documents
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: usize,
    },
    /// Print what a document shows, now or at a moment
    Show {
        #[command(flatten)]
        document: DocumentArgs,
        #[command(flatten)]
        moment: MomentArgs,
        /// Print who has written the text at a path, such as /body
        ///
        /// Each line is a part of the text: user, minute, and the part as a JSON string. In PATH,
        /// items of lists have their names, as `logux documents diff` prints them.
        #[arg(long, value_name = "PATH")]
        authors: Option<String>,
    },
    /// Write a document with its texts, lists and trees to a file, as JSON
    Export {
        #[command(flatten)]
        document: DocumentArgs,
        /// File to write; an existing one is replaced [default: standard output]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Create a document from an exported file, or from JSON with a `value`
    Import {
        #[command(flatten)]
        document: DocumentArgs,
        /// File to read [default: standard input]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// User who is to be its creator [default: that of the exported document]
        #[arg(long, value_name = "USER")]
        creator: Option<String>,
    },
    /// Print who changed a document and when, newest first, and its named versions
    History {
        #[command(flatten)]
        document: DocumentArgs,
        /// Only what is before this position
        #[arg(long, value_name = "NUMBER")]
        before: Option<u64>,
        /// Largest number of actions
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: usize,
    },
    /// Print the differences of two moments, such as version:draft, at:1764000000000, position:12
    Diff {
        #[command(flatten)]
        document: DocumentArgs,
        /// Earlier moment
        #[arg(value_name = "FROM")]
        from: String,
        /// Later moment [default: now]
        #[arg(value_name = "TO")]
        to: Option<String>,
    },
    /// Give the current state of a document a name
    Name {
        #[command(flatten)]
        document: DocumentArgs,
        /// Name of the version
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove a named version; the history stays as long as it is kept
    Unname {
        #[command(flatten)]
        document: DocumentArgs,
        /// Name of the version
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Let a document show what it showed at a moment, by one edit
    Restore {
        #[command(flatten)]
        document: DocumentArgs,
        #[command(flatten)]
        moment: MomentArgs,
    },
    /// Create a document that shows what another one shows
    Copy {
        #[command(flatten)]
        document: DocumentArgs,
        /// Id of the new document
        #[arg(value_name = "TO")]
        to: String,
    },
    /// Delete a document; `KIND/create` takes that back until it is purged
    Delete {
        #[command(flatten)]
        document: DocumentArgs,
    },
    /// Remove a document, or all documents of a user, for good
    ///
    /// Removes the state, the edits, the history and the versions from the server's log and its
    /// database. What stays: the ids, which are not used again, the copies on the devices of users,
    /// and backups.
    Purge {
        /// Kind of the document, such as notes
        #[arg(value_name = "KIND", requires = "id", required_unless_present = "creator")]
        kind: Option<String>,
        /// Id of the document
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// Remove the documents of all kinds that this user has created
        #[arg(long, value_name = "USER", conflicts_with = "kind")]
        creator: Option<String>,
        /// Confirm that this cannot be undone
        #[arg(long)]
        yes: bool,
    },
}

/// Runs the command.
pub(crate) async fn run(args: DocumentsArgs) -> Result<ExitCode, DocumentsError> {
    let client = DocumentsClient::new(args.server)?;
    let text = answer(&client, args.command, args.json).await?;
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        // The reader, such as `head`, needs no more.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}

/// Returns JSON in lines.
fn pretty(value: &Value) -> Result<String, DocumentsError> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Sends the requests of a command. Returns the text to print.
async fn answer(
    client: &DocumentsClient,
    command: Command,
    is_json: bool,
) -> Result<String, DocumentsError> {
    let done = |text: String, value: Value| if is_json { pretty(&value) } else { Ok(text) };
    match command {
        Command::List { kind: None, .. } => {
            let kinds = client.send(Method::GET, "", None).await?;
            let names = kinds["kinds"].as_array().into_iter().flatten();
            let lines = names.filter_map(Value::as_str).map(|name| format!("{name}\n")).collect();
            done(lines, kinds)
        }
        Command::List { kind: Some(kind), creator, deleted, limit } => {
            let found = list(client, &kind, creator.as_deref(), deleted, limit).await?;
            done(tables::documents(&found), found.into())
        }
        Command::Show { document, moment, authors: Some(path) } => {
            let moment = moment.query().map(|query| format!("&{query}")).unwrap_or_default();
            let path = format!("{}/authors?path={}{moment}", document.path(), escaped(&path));
            let authors = client.send(Method::GET, &path, None).await?;
            done(tables::authors(&authors), authors)
        }
        Command::Show { document, moment, authors: None } => {
            let query = moment.query().map(|query| format!("?{query}")).unwrap_or_default();
            let path = format!("{}/state{query}", document.path());
            let state = client.send(Method::GET, &path, None).await?;
            pretty(if is_json { &state } else { &state["value"] })
        }
        Command::Export { document, file } => {
            let exported = client.send(Method::GET, &document.path(), None).await?;
            let text = pretty(&exported)?;
            let Some(path) = file else { return Ok(text) };
            std::fs::write(&path, text).map_err(|error| DocumentsError::File { path, error })?;
            Ok(String::new())
        }
        Command::Import { document, file, creator } => {
            let content = read(file)?;
            let creator = creator.map(|user| format!("?creator={}", escaped(&user)));
            let path = document.path() + &creator.unwrap_or_default();
            let value = client.send(Method::PUT, &path, Some(content)).await?;
            done(format!("created {}/{}\n", document.kind, document.id), value)
        }
        Command::History { document, before, limit } => {
            let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
            let path = format!("{}/history?limit={limit}{before}", document.path());
            let page = client.send(Method::GET, &path, None).await?;
            let mut text = tables::history(&page);
            if let Some(before) = page["before"].as_u64() {
                text.push_str(&format!("There may be more: --before {before}\n"));
            }
            done(text, page)
        }
        Command::Diff { document, from, to } => {
            let to = to.map(|to| format!("&to={}", escaped(&to))).unwrap_or_default();
            let path = format!("{}/changes?from={}{to}", document.path(), escaped(&from));
            let changes = client.send(Method::GET, &path, None).await?;
            done(tables::changes(&changes), changes)
        }
        Command::Name { document, name } => {
            let path = format!("{}/versions?name={}", document.path(), escaped(&name));
            let value = client.send(Method::POST, &path, None).await?;
            done(format!("named {name}\n"), value)
        }
        Command::Unname { document, name } => {
            let path = format!("{}/versions?name={}", document.path(), escaped(&name));
            let value = client.send(Method::DELETE, &path, None).await?;
            done(format!("removed the name {name}\n"), value)
        }
        Command::Restore { document, moment } => {
            let expected = "expected one of --version, --at, --position";
            let query = moment.query().ok_or(DocumentsError::Arguments(expected))?;
            let path = format!("{}/restore?{query}", document.path());
            let value = client.send(Method::POST, &path, None).await?;
            done(format!("restored {}/{}\n", document.kind, document.id), value)
        }
        Command::Copy { document, to } => {
            let path = format!("{}/copy?to={}", document.path(), escaped(&to));
            let value = client.send(Method::POST, &path, None).await?;
            done(format!("created {}/{to}\n", document.kind), value)
        }
        Command::Delete { document } => {
            let value = client.send(Method::DELETE, &document.path(), None).await?;
            done(format!("deleted {}/{}\n", document.kind, document.id), value)
        }
        Command::Purge { kind, id, creator, yes } => {
            if !yes {
                let expected = "a purge cannot be undone: confirm it with --yes";
                return Err(DocumentsError::Arguments(expected));
            }
            let path = match (kind, id, creator) {
                (Some(kind), Some(id), _) => {
                    format!("{}?purge=true", DocumentArgs { kind, id }.path())
                }
                (_, _, creator) => {
                    let creator = escaped(&creator.unwrap_or_default());
                    format!("?creator={creator}&purge=true")
                }
            };
            let value = client.send(Method::DELETE, &path, None).await?;
            done(format!("purged {}\n{REMAINS}\n", value["purged"]), value)
        }
    }
}

/// Reads pages until there are `limit` documents, or no more.
async fn list(
    client: &DocumentsClient,
    kind: &str,
    creator: Option<&str>,
    deleted: bool,
    limit: usize,
) -> Result<Vec<Value>, DocumentsError> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    while found.len() < limit {
        let mut path = format!(
            "/{}?limit={}&deleted={deleted}",
            escaped(kind),
            (limit - found.len()).min(200)
        );
        if let Some(creator) = creator {
            path.push_str(&format!("&creator={}", escaped(creator)));
        }
        if let Some(after) = &after {
            path.push_str(&format!("&after={}", escaped(after)));
        }
        let mut page = client.send(Method::GET, &path, None).await?;
        if let Value::Array(documents) = page["documents"].take() {
            found.extend(documents);
        }
        match page["after"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    Ok(found)
}

/// Reads a file, or the standard input.
fn read(file: Option<PathBuf>) -> Result<Vec<u8>, DocumentsError> {
    match file {
        Some(path) => {
            let content = std::fs::read(&path);
            Ok(content.map_err(|error| DocumentsError::File { path, error })?)
        }
        None => {
            let mut content = Vec::new();
            std::io::stdin().lock().read_to_end(&mut content)?;
            Ok(content)
        }
    }
}
