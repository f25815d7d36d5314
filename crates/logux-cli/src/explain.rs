//! `logux serve --explain USER CHANNEL`: what a user may do, and which rules say so.

use std::{fs, io::Error as IoError, path::PathBuf};

use logux::{
    NodeId,
    action::{DocumentKey, DocumentOperation},
    crdt::{Document, Path, Shared},
    log::LogError,
    record::Record,
    replay::Timeline,
    server::{CatalogEntry, Config, Hub, LogQuery, Retention},
};
use logux_server::{
    AccessDecision, AccessRule, AccessRules, AccessSubject, Claims, DocumentRules, NotAnObject,
};
use logux_sqlite::{Database, SqliteError};
use serde_json::Value;

use crate::config::{ExplainArgs, documents::DocumentTable, serve_config::ServeConfig};

/// Nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainError {
    #[error(
        "no collection and no kind of documents has the channel `{channel}`: expected NAME/ID with \
         one of these names: {names}"
    )]
    UnknownChannel { channel: String, names: String },
    #[error("--claims: expected a JSON object such as {{\"role\":\"editor\"}}: {0}")]
    Claims(serde_json::Error),
    #[error("--claims: {0}")]
    NotAnObject(#[from] NotAnObject),
    #[error(transparent)]
    Database(#[from] SqliteError),
    #[error("cannot read the log: {0}")]
    Log(#[from] LogError<SqliteError>),
    #[error("cannot copy the database to read it: {0}")]
    Copy(#[from] IoError),
}

/// Prints what the user may do.
///
/// # Errors
/// [`ExplainError`].
pub(crate) fn run(config: &ServeConfig, args: &ExplainArgs) -> Result<(), ExplainError> {
    let claims = match &args.claims {
        None => Claims::default(),
        Some(json) => {
            serde_json::from_str::<Value>(json).map_err(ExplainError::Claims)?.try_into()?
        }
    };
    let (name, id) = match args.channel.split_once('/') {
        Some((name, id)) if !id.is_empty() => (name, Some(id)),
        Some((name, _)) => (name, None),
        None => (args.channel.as_str(), None),
    };
    let subject = Subject { config, args, claims: &claims };
    if let (Some(id), Some((_, table))) =
        (id, config.documents.iter().find(|(kind, _)| kind == name))
    {
        return subject.explain_document(name, id, table);
    }
    match config.collections.iter().find(|(collection, _)| collection == name) {
        Some((_, rules)) => subject.explain_record(name, id, rules),
        None => {
            let names = config.collections.iter().map(|(name, _)| name.as_str());
            let kinds = config.documents.iter().map(|(kind, _)| kind.as_str());
            let names: Vec<_> = names.chain(kinds).collect();
            let channel = args.channel.clone();
            Err(ExplainError::UnknownChannel { channel, names: names.join(", ") })
        }
    }
}

struct Subject<'a> {
    config: &'a ServeConfig,
    args: &'a ExplainArgs,
    claims: &'a Claims,
}

impl Subject<'_> {
    fn explain_document(
        &self,
        kind: &str,
        id: &str,
        table: &DocumentTable,
    ) -> Result<(), ExplainError> {
        let key = DocumentKey::new(kind, id);
        let copy = DatabaseCopy::new(self.config)?;
        let (entry, state) = copy.document(&key)?;
        let creator = entry.as_ref().and_then(|entry| entry.creator.as_deref());
        let about = match &entry {
            None => "it does not exist: the rules are about a new one".to_owned(),
            Some(entry) => {
                let deleted = if entry.deletion().is_some() { ", deleted" } else { "" };
                format!("created by {}{deleted}", creator.unwrap_or("a client without a user"))
            }
        };
        println!("{} in {}: {about}", self.args.user, self.args.channel);
        for operation in DocumentOperation::ALL {
            // Who creates a document is its creator.
            let of_new = entry.is_none() && operation != DocumentOperation::Read;
            let creator = if of_new { Some(self.args.user.as_str()) } else { creator };
            let (rule, given) = table.rules.rule(operation);
            let row = self.row_of(kind, &table.rules, given);
            self.print(operation.as_str(), &rule, &row, creator, |path| state.get(path));
        }
        Ok(())
    }

    /// Returns the place of a rule of documents, or that it is a default.
    fn row_of(
        &self,
        kind: &str,
        rules: &DocumentRules,
        given: Option<DocumentOperation>,
    ) -> String {
        let Some(given) = given else {
            let has_rules = *rules != DocumentRules::default();
            let table = format!("documents.{kind}");
            return if has_rules {
                format!("default of {}", self.place(&table, &table))
            } else {
                "default".into()
            };
        };
        self.place(
            &format!("documents.{kind}.{}", given.as_str()),
            &format!("documents.{kind}.owner"),
        )
    }

    /// Returns the file, the line and the name of a row, or of the other one if the file lacks it.
    fn place(&self, row: &str, other: &str) -> String {
        let source = &self.config.rule_source;
        let line = |row: &str| Some((source.line(row)?, row.to_owned()));
        match line(row).or_else(|| line(other)) {
            Some((line, row)) => {
                let file = source.file.strip_prefix("./").unwrap_or(&source.file);
                format!("{}:{line} {row}", file.display())
            }
            None => "default".to_owned(),
        }
    }

    fn explain_record(
        &self,
        collection: &str,
        id: Option<&str>,
        rules: &AccessRules,
    ) -> Result<(), ExplainError> {
        let record = match id {
            Some(id) => DatabaseCopy::new(self.config)?.record(collection, id)?,
            None => None,
        };
        let about = match (id, &record) {
            (None, _) => "each record of the collection",
            (Some(_), None) => "it does not exist: the rules are about a new one without fields",
            (Some(_), Some(_)) => "it exists",
        };
        println!("{} in {}: {about}", self.args.user, self.args.channel);
        let value = |path: &Path| {
            let fields = &record.as_ref()?.fields;
            let mut keys = path.keys();
            let first = keys.next()?;
            let value = fields.iter().find(|field| *field.key == *first)?.value.to_value();
            let rest = keys.collect::<Vec<_>>();
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            value.pointer(Path::of(&rest).ok()?.as_str()).cloned()
        };
        for (name, rule) in rules.rows() {
            let table = format!("collections.{collection}");
            let row = self.place(&format!("{table}.{name}"), &format!("{table}.owner"));
            if id.is_none() && rule.needs_fields() {
                println!("{name:<8} depends  {row}: {rule}");
                continue;
            }
            self.print(name, rule, &row, None, value);
        }
        Ok(())
    }

    fn print(
        &self,
        operation: &str,
        rule: &AccessRule,
        row: &str,
        creator: Option<&str>,
        field: impl Fn(&Path) -> Option<Value>,
    ) {
        let user = Some(self.args.user.as_str());
        let subject = AccessSubject { user, claims: Some(self.claims), creator };
        match rule.decide(&subject, field) {
            AccessDecision::Allowed(by) => println!("{operation:<8} allowed  {row}: {by}"),
            _ => println!("{operation:<8} denied   {row}: {rule}"),
        }
    }
}

/// A copy of the database, which a running server may be using. It is removed when it is dropped.
struct DatabaseCopy {
    database: Option<Database>,
    folder: PathBuf,
}

impl DatabaseCopy {
    /// Copies the database, if there is one. O(n).
    fn new(config: &ServeConfig) -> Result<Self, ExplainError> {
        let folder = std::env::temp_dir().join(format!("logux-explain-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let mut copy = Self { database: None, folder };
        if config.db.exists() {
            let file = copy.folder.join("copy.db");
            logux_sqlite::back_up(&config.db, &file)?;
            copy.database = Some(Database::open(&file)?);
        }
        Ok(copy)
    }

    fn document(
        &self,
        key: &DocumentKey,
    ) -> Result<(Option<CatalogEntry>, Document), ExplainError> {
        let Some(database) = &self.database else { return Ok((None, Document::default())) };
        let entry = database.documents().find(key)?;
        let config = Config::new(NodeId::new("server:explain").expect("a node id"));
        let hub = Hub::new(config, database.store())?;
        let shared = Shared::<Document>::new(key.kind().clone(), key.id().clone());
        let mut timeline = Timeline::new(shared);
        let mut next = Some(LogQuery::kept_for(&Retention::forever(key.channel())).limit(1_000));
        while let Some(query) = next {
            let page = hub.page(&query)?;
            page.entries.iter().for_each(|entry| timeline.add(entry));
            next = page.next;
        }
        Ok((entry, timeline.state().clone()))
    }

    fn record(&self, collection: &str, id: &str) -> Result<Option<Record>, ExplainError> {
        let Some(database) = &self.database else { return Ok(None) };
        Ok(database.records().load(collection, id, None)?)
    }
}

impl Drop for DatabaseCopy {
    fn drop(&mut self) {
        self.database = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}
