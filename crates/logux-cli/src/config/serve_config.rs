//! The validated configuration of `logux serve`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use logux_schema::Schema;
use logux_server::{AccessRules, AllowedOrigins, Backend, Config, ControlAccess, Tls};
use logux_sqlite::RecordConfig;

use crate::{demo, jwt::TokenConfig};

use super::{
    collector_url::CollectorUrl,
    documents::DocumentTable,
    error::ConfigError,
    flags::{
        ApplicationFlags, ClientFlags, Flags, LimitFlags, ListenFlags, LogFormat, SecretFile,
        SecretString,
    },
    rules::RuleSource,
};

/// The default of `--remembered`. Larger than the default of the server, for clients that reconnect
/// after a long time offline.
const REMEMBERED: u64 = 100_000;

/// The shortest secret of tokens, and of the back end, in production, in bytes: as long as the hash
/// of HS256, which RFC 7518 (section 3.2) requires. Shorter ones of tokens can be guessed with the
/// help of one token.
pub(crate) const MIN_SECRET: usize = 32;

/// The configuration of `logux serve`.
#[derive(Clone, Debug)]
pub(crate) struct ServeConfig {
    pub(crate) listen: ListenAddresses,
    /// The collections with their rules.
    pub(crate) collections: Vec<(String, AccessRules)>,
    /// The kinds of documents.
    pub(crate) documents: Vec<(String, DocumentTable)>,
    /// Whether there is the page `/demo`.
    pub(crate) demo: bool,
    /// The schemas of kinds of documents.
    pub(crate) schemas: BTreeMap<String, Arc<Schema>>,
    /// Where the rules of collections and documents are.
    pub(crate) rule_source: RuleSource,
    /// Who may use the HTTP interface of the documents. `None` if nobody may.
    pub(crate) documents_http: Option<ControlAccess>,
    pub(crate) db: PathBuf,
    pub(crate) auth: AuthMethod,
    pub(crate) log_format: LogFormat,
    pub(crate) otlp: Option<OtlpConfig>,
    pub(crate) backend: Option<Backend>,
    /// The number of encrypted actions to keep for each user. `None` disables the relay.
    pub(crate) relay: Option<u64>,
    /// The bounds of records.
    pub(crate) records: RecordConfig,
    /// The configuration of the server itself.
    pub(crate) server: Config,
}

/// The addresses to listen on when the process inherited no sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddresses {
    pub(crate) tcp: Option<SocketAddr>,
    /// The path of a Unix socket, and its file mode.
    pub(crate) unix: Option<(PathBuf, Option<u32>)>,
}

/// The export of traces.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OtlpConfig {
    pub(crate) collector: CollectorUrl,
    /// The fraction of the actions to trace. Default: from the variables of OpenTelemetry.
    pub(crate) ratio: Option<f64>,
}

/// How clients are authenticated.
#[derive(Clone, Debug)]
pub(crate) enum AuthMethod {
    /// Every client is accepted.
    Disabled,
    /// By a token that this configuration verifies.
    Token(Box<TokenConfig>),
    /// By the back end.
    Backend,
}

impl ServeConfig {
    /// Returns the kinds of documents, separated by commas.
    pub(crate) fn document_kinds(&self) -> String {
        let kinds: Vec<_> = self.documents.iter().map(|(kind, _)| kind.as_str()).collect();
        kinds.join(", ")
    }

    /// Returns the names of the collections, separated by commas.
    pub(crate) fn collection_names(&self) -> String {
        let names: Vec<_> = self.collections.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    #[cfg(test)]
    pub(super) fn port(&self) -> Option<u16> {
        self.listen.tcp.map(|address| address.port())
    }
}

impl Flags {
    /// Returns the database file.
    pub(super) fn database_path(&self) -> PathBuf {
        self.application.db.clone().unwrap_or_else(|| PathBuf::from("logux.db"))
    }

    /// Validates the flags and fills in the defaults.
    pub(super) fn resolve(
        self,
        collector: Option<CollectorUrl>,
    ) -> Result<ServeConfig, ConfigError> {
        let dev = self.dev.unwrap_or_default();
        let db = self.database_path();
        let mut server = Config::default();
        server.remembered_entries = REMEMBERED;
        server.id = self.monitoring.id;
        server.development = dev || self.monitoring.env.as_deref() == Some("development");
        server.metrics_address = self.monitoring.metrics;
        set_if_some(&mut server.inspector_access, self.monitoring.inspect_from.clone());
        let listen = self.listen.resolve(&mut server, dev)?;
        let mut auth =
            self.clients.resolve(&mut server, dev, self.application.backend.is_some())?;
        let records = self.limits.records();
        self.limits.resolve(&mut server);
        if let AuthMethod::Token(tokens) = &mut auth {
            tokens.leeway = server.login_leeway;
        }
        let backend = self.application.backend(server.development)?;
        let mut documents = self.application.documents()?;
        let may_have_demo = dev && !server.disable_http;
        let has_others = backend.is_some() || self.application.relay.is_some();
        let is_empty = documents.is_empty() && self.application.has_no_collections();
        if may_have_demo && is_empty && !has_others {
            documents.push((demo::KIND.to_owned(), DocumentTable::default()));
        }
        let demo = may_have_demo && documents.iter().any(|(kind, _)| kind == demo::KIND);
        let schemas = self.application.schemas(&documents)?;
        let documents_http = self.application.documents_http(server.development)?;
        let collections = self.application.collections(has_others || !documents.is_empty())?;
        if let Some((name, _)) =
            collections.iter().find(|(name, _)| documents.iter().any(|(kind, _)| kind == name))
        {
            return Err(ConfigError::CollectionAndDocument(name.clone()));
        }
        Ok(ServeConfig {
            listen,
            collections,
            documents,
            demo,
            schemas,
            rule_source: self.application.rule_source,
            documents_http,
            db,
            auth,
            log_format: self.monitoring.logger.unwrap_or_default(),
            otlp: collector
                .map(|collector| OtlpConfig { collector, ratio: self.monitoring.otlp_ratio }),
            backend,
            relay: self.application.relay,
            records,
            server,
        })
    }
}

impl ListenFlags {
    fn resolve(self, server: &mut Config, dev: bool) -> Result<ListenAddresses, ConfigError> {
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        if dev && !host.is_loopback() {
            return Err(ConfigError::DevNotLoopback(host));
        }
        server.tls = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some(Tls::new(cert, key)),
            (None, None) => None,
            _ => return Err(ConfigError::IncompleteTls),
        };
        set_if_some(&mut server.tls_reload_interval, self.tls_reload_ms.map(Duration::from_millis));
        set_if_some(&mut server.proxies, self.trust_proxy);
        set_if_some(&mut server.disable_http, self.disable_http);
        set_if_some(&mut server.drain_timeout, self.finish_ms.map(Duration::from_millis));
        set_if_some(&mut server.disconnect_timeout, self.leave_ms.map(Duration::from_millis));
        let needs_tcp = self.unix.is_none() || self.host.is_some() || self.port.is_some();
        let tcp = needs_tcp.then(|| SocketAddr::new(host, self.port.unwrap_or(31337)));
        Ok(ListenAddresses { tcp, unix: self.unix.map(|path| (path, self.unix_mode)) })
    }
}

impl ClientFlags {
    fn resolve(
        self,
        server: &mut Config,
        dev: bool,
        has_backend: bool,
    ) -> Result<AuthMethod, ConfigError> {
        if let Some(version) = self.subprotocol {
            (server.subprotocol, server.subprotocol_semver) = (version.number, version.semver);
        }
        server.min_subprotocol = self.min_subprotocol.unwrap_or_default();
        server.supports = self.supports;
        server.allowed_origins = match self.origins {
            Some(lists) => {
                let mut origins = AllowedOrigins::default();
                origins.extend(lists);
                Some(origins)
            }
            None => dev.then(AllowedOrigins::this_machine),
        };
        let secret = one_secret("secret", self.secret, self.secret_file)?;
        let keys = self.jwt_keys.unwrap_or_default();
        if dev {
            return Ok(AuthMethod::Disabled);
        }
        if secret.is_none() && keys.is_empty() && self.jwks.is_none() {
            return if has_backend {
                Ok(AuthMethod::Backend)
            } else {
                Err(ConfigError::MissingSecret)
            };
        }
        let length = secret.as_ref().map_or(MIN_SECRET, String::len);
        if length < MIN_SECRET && !server.development {
            return Err(ConfigError::ShortSecret { length, min: MIN_SECRET });
        }
        Ok(AuthMethod::Token(Box::new(TokenConfig {
            secret,
            keys,
            key_set: self.jwks,
            issuer: self.jwt_issuer,
            audiences: self.jwt_audience.unwrap_or_default(),
            user_claim: self.jwt_user.unwrap_or_else(|| "sub".to_owned()),
            leeway: Duration::default(),
        })))
    }
}

impl LimitFlags {
    fn records(&self) -> RecordConfig {
        let mut config = RecordConfig::default();
        set_if_some(&mut config.max_fields, self.max_record_fields);
        set_if_some(&mut config.max_bytes, self.max_record_bytes);
        let kept_for = self.remembered_deletions_ms.map(Duration::from_millis);
        set_if_some(&mut config.deletions_kept_for, kept_for);
        config
    }

    fn resolve(self, server: &mut Config) {
        set_if_some(&mut server.max_connections, self.max_connections);
        server.max_connections_per_address = self.max_connections_per_address;
        if let Some(limit) = self.max_wrong_logins {
            server.max_wrong_logins = (limit > 0).then_some(limit);
        }
        if let Some(limit) = self.max_wrong_logins_per_address {
            server.max_wrong_logins_per_address = (limit > 0).then_some(limit);
        }
        set_if_some(&mut server.login_leeway, self.login_leeway_ms.map(Duration::from_millis));
        set_if_some(&mut server.max_rate, self.max_rate.map(|rate| rate.0));
        set_if_some(&mut server.max_rate_per_user, self.max_rate_per_user.map(|rate| rate.0));
        server.max_rates_of_types = self.max_rate_of.into_iter().flatten().collect();
        set_if_some(&mut server.max_subscriptions, self.max_subscriptions);
        set_if_some(&mut server.max_filter_bytes, self.max_filter_bytes);
        set_if_some(&mut server.max_client_filter_bytes, self.max_client_filter_bytes);
        set_if_some(&mut server.max_queue, self.max_queue);
        set_if_some(&mut server.max_queue_bytes, self.max_queue_bytes);
        set_if_some(&mut server.max_pending_bytes, self.max_pending_bytes);
        set_if_some(&mut server.max_message_bytes, self.max_message_bytes);
        set_if_some(&mut server.max_action_bytes, self.max_action_bytes);
        set_if_some(&mut server.max_login_bytes, self.max_login_bytes);
        set_if_some(&mut server.max_receiving_bytes, self.max_receiving_bytes);
        set_if_some(&mut server.max_body_bytes, self.max_body_bytes);
        set_if_some(&mut server.max_outbox_messages, self.max_outbox_messages);
        set_if_some(&mut server.max_outbox_bytes, self.max_outbox_bytes);
        set_if_some(&mut server.max_ahead, self.max_ahead_ms.map(Duration::from_millis));
        set_if_some(&mut server.remembered_entries, self.remembered);
        set_if_some(&mut server.remembered_bytes, self.remembered_bytes);
        set_if_some(&mut server.store_timeout, self.store_timeout_ms.map(Duration::from_millis));
        set_if_some(&mut server.ping_interval, self.ping_ms.map(Duration::from_millis));
        set_if_some(&mut server.timeout, self.timeout_ms.map(Duration::from_millis));
        set_if_some(&mut server.login_timeout, self.login_timeout_ms.map(Duration::from_millis));
    }
}

impl ApplicationFlags {
    fn control_secret(&self, development: bool) -> Result<Option<String>, ConfigError> {
        let (text, file) = (self.control_secret.clone(), self.control_secret_file.clone());
        let secret = one_secret("control-secret", text, file)?;
        match secret.as_ref().map(String::len) {
            Some(length) if length < MIN_SECRET && !development => {
                Err(ConfigError::ShortControlSecret { length, min: MIN_SECRET })
            }
            _ => Ok(secret),
        }
    }

    /// Returns who may use the HTTP interface of the documents. `None` if nobody may.
    fn documents_http(&self, development: bool) -> Result<Option<ControlAccess>, ConfigError> {
        let access = match self.control_secret(development)? {
            Some(secret) => ControlAccess::new(secret),
            None if development => ControlAccess::development(),
            None => return Ok(None),
        };
        Ok(Some(match &self.control_mask {
            Some(mask) => access.mask(mask)?,
            None => access,
        }))
    }

    fn backend(&self, development: bool) -> Result<Option<Backend>, ConfigError> {
        let Some(url) = &self.backend else { return Ok(None) };
        let secret = self.control_secret(development)?.ok_or(ConfigError::MissingControlSecret)?;
        let backend = Backend::new(url, secret)?;
        Ok(Some(match &self.control_mask {
            Some(mask) => backend.control_mask(mask)?,
            None => backend,
        }))
    }

    fn has_no_collections(&self) -> bool {
        self.rules.is_empty() && self.collections.as_ref().is_none_or(Vec::is_empty)
    }

    /// Returns the collections, of which at least one is needed unless `is_optional`.
    fn collections(&self, is_optional: bool) -> Result<Vec<(String, AccessRules)>, ConfigError> {
        let mut collections = self.collections.clone().unwrap_or_default();
        for name in self.rules.keys() {
            if !collections.contains(name) {
                collections.push(name.clone());
            }
        }
        if collections.is_empty() && !is_optional {
            return Err(ConfigError::NothingToServe);
        }
        check_names("collection", &collections)?;
        let with_rules = |name: String| {
            let rules = self.rules.get(&name).cloned().unwrap_or_default();
            (name, rules)
        };
        Ok(collections.into_iter().map(with_rules).collect())
    }

    /// Returns the kinds of documents, each once.
    fn documents(&self) -> Result<Vec<(String, DocumentTable)>, ConfigError> {
        let mut documents = self.documents.clone().unwrap_or_default();
        documents.extend(self.document_tables.keys().cloned());
        check_names("document", &documents)?;
        documents.sort();
        documents.dedup();
        let with_table = |name: String| {
            let table = self.document_tables.get(&name).cloned().unwrap_or_default();
            (name, table)
        };
        Ok(documents.into_iter().map(with_table).collect())
    }

    /// Returns the schemas of kinds of documents: those of flags, then those of tables.
    fn schemas(
        &self,
        documents: &[(String, DocumentTable)],
    ) -> Result<BTreeMap<String, Arc<Schema>>, ConfigError> {
        let mut schemas = BTreeMap::new();
        for (kind, schema) in self.schemas.iter().flatten() {
            if documents.iter().all(|(name, _)| name != kind) {
                return Err(ConfigError::SchemaWithoutDocument(kind.clone()));
            }
            if schemas.insert(kind.clone(), schema.clone()).is_some() {
                return Err(ConfigError::TwoSchemas(kind.clone()));
            }
        }
        for (kind, table) in documents {
            if let Some(schema) = &table.schema {
                schemas.entry(kind.clone()).or_insert_with(|| schema.clone());
            }
        }
        Ok(schemas)
    }
}

/// Checks that the names of collections or kinds of documents can be parts of channels.
fn check_names(what: &'static str, names: &[String]) -> Result<(), ConfigError> {
    let is_valid = |name: &String| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            && name != "logux"
            && name != "presence"
    };
    match names.iter().find(|name| !is_valid(name)) {
        Some(name) => Err(ConfigError::InvalidName { what, name: name.clone() }),
        None => Ok(()),
    }
}

/// Returns the secret that was given as text or as a file. An empty one is none.
fn one_secret(
    name: &'static str,
    text: Option<SecretString>,
    file: Option<SecretFile>,
) -> Result<Option<String>, ConfigError> {
    let text = text.filter(|SecretString(text)| !text.is_empty());
    match (text, file) {
        (Some(_), Some(_)) => Err(ConfigError::TwoSecrets(name)),
        (Some(SecretString(secret)), None) => Ok(Some(secret)),
        (None, Some(SecretFile(SecretString(secret)))) if secret.is_empty() => {
            Err(ConfigError::EmptySecretFile(name))
        }
        (None, file) => Ok(file.map(|SecretFile(SecretString(secret))| secret)),
    }
}

fn set_if_some<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}
