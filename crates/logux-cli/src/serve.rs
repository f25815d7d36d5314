//! `logux serve`: a server for sync maps of the configured collections, for documents, for an HTTP
//! back end, and for a relay of encrypted actions.

use std::{process::ExitCode, sync::Arc};

use logux::crdt::Document;
use logux_server::{
    Address, AuthOutcome, Config, Listener, Login, RunningServer, Server, StopSignals,
};
use logux_sqlite::{Database, Durability};

use crate::{
    banner::{self, Banner},
    config::{
        ServeArgs,
        flags::LogFormat,
        serve_config::{AuthMethod, ListenAddresses, ServeConfig},
        sources::Environment,
    },
    demo,
    error::CliError,
    explain,
    jwt::{Identity, JwtError, TokenVerifier},
    logger, open_files,
    otlp::OtlpPipeline,
    systemd,
};

/// Serves until a stop signal is received.
pub(crate) async fn run(args: ServeArgs) -> Result<ExitCode, CliError> {
    let explain = args.explain()?;
    let mut config = args.resolve(&Environment::from_process())?;
    if let Some(explain) = explain {
        let explained = tokio::task::spawn_blocking(move || explain::run(&config, &explain));
        explained.await.map_err(std::io::Error::other)??;
        return Ok(ExitCode::SUCCESS);
    }
    let otlp = config
        .otlp
        .as_ref()
        .map(|otlp| OtlpPipeline::start(otlp, config.server.id.as_deref()))
        .transpose()?;
    logger::init(config.log_format, otlp.as_ref());
    let mut signals = StopSignals::new();
    let open_files = open_files::raise_limit();
    limit_connections(&mut config.server, open_files);
    let database = Database::open_when_available(&config.db, Durability::Full)?;
    report_restricted_files(&database);
    let mut server = start(&config, &database).await?;
    report_start(&config, &server);
    systemd::notify_ready();
    tokio::spawn(systemd::run_watchdog(server.handle().clone()));
    tokio::select! {
        () = signals.next() => {}
        error = server.broken() => {
            shut_down(otlp).await;
            return Err(error.into());
        }
    }
    systemd::notify_stopping();
    let shutdown = async {
        let result = server.shutdown().await;
        checkpoint(database).await;
        shut_down(otlp).await;
        result
    };
    tokio::select! {
        result = shutdown => result?,
        () = signals.next() => {
            tracing::warn!("Stopped at once; actions in progress are processed after the next start");
            // Returning would wait for running tasks.
            std::process::exit(1);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what the server serves: as one JSON line after those of the addresses, or as a text.
fn report_start(config: &ServeConfig, server: &RunningServer<Vec<Address>>) {
    if config.log_format == LogFormat::Human {
        let (addresses, node) = (server.addresses(), server.node_id().as_str());
        if tracing::enabled!(tracing::Level::INFO) {
            println!("{}", Banner::new(config, addresses, server.metrics_address(), node));
        }
        return;
    }
    tracing::info!(
        event = "serve",
        collections = config.collection_names(),
        documents = config.document_kinds(),
        db = config.db.display().to_string(),
        backend = config.backend.as_ref().map(ToString::to_string),
        relay = config.relay,
        access = banner::access(&config.auth),
        limits = banner::limits(&config.server),
        otlp = config.otlp.as_ref().map(|otlp| otlp.collector.to_string()),
        "Serving"
    );
}

/// Says that other users of the machine could read the database until now.
fn report_restricted_files(database: &Database) {
    let files: Vec<_> =
        database.restricted_files().iter().map(|file| file.display().to_string()).collect();
    if !files.is_empty() {
        tracing::warn!(
            event = "privateFiles",
            files = files.join(", "),
            "Other users could read the database: now only its owner can"
        );
    }
}

/// Leaves files for the server besides those of connections, and connections for clients of other
/// addresses.
fn limit_connections(server: &mut Config, open_files: Option<usize>) {
    let max = open_files::max_connections(server.max_connections, open_files);
    server.max_connections = max;
    server.max_connections_per_address.get_or_insert((max / 2).max(1));
}

/// Makes the database file complete without the write-ahead log beside it.
async fn checkpoint(database: Database) {
    let checkpoint = tokio::task::spawn_blocking(move || database.checkpoint());
    if let Ok(Err(error)) = checkpoint.await {
        tracing::warn!(
            %error,
            "Cannot complete the database file; its write-ahead log belongs to it"
        );
    }
}

/// Sends the remaining spans.
async fn shut_down(otlp: Option<OtlpPipeline>) {
    if let Some(otlp) = otlp {
        otlp.shutdown().await;
    }
}

/// Returns the inherited sockets, or listens on the configured addresses if there are none.
fn listeners(addresses: &ListenAddresses) -> Result<Vec<Listener>, CliError> {
    let mut listeners = systemd::inherited_listeners()?;
    if !listeners.is_empty() {
        return Ok(listeners);
    }
    listeners.extend(addresses.tcp.map(Listener::tcp).transpose()?);
    match &addresses.unix {
        #[cfg(unix)]
        Some((path, mode)) => listeners.push(Listener::unix(path, *mode)?),
        #[cfg(not(unix))]
        Some(_) => return Err(CliError::NoUnixSockets),
        None => {}
    }
    Ok(listeners)
}

async fn start(
    config: &ServeConfig,
    database: &Database,
) -> Result<RunningServer<Vec<Address>>, CliError> {
    let listeners = listeners(&config.listen)?;
    let maps = database.records().with_config(config.records.clone());
    let mut builder = Server::builder()
        .config(|settings| settings.clone_from(&config.server))
        .store(database.store());
    match &config.auth {
        AuthMethod::Disabled => builder = builder.auth(|_| async { Ok(true) }),
        AuthMethod::Token(tokens) => {
            let verifier = Arc::new(TokenVerifier::new((**tokens).clone())?);
            let prepared = verifier.clone();
            tokio::spawn(async move { prepared.prepare().await });
            builder = builder.auth(move |login| {
                let verifier = verifier.clone();
                async move { Ok(check_token(&verifier, &login).await) }
            });
        }
        AuthMethod::Backend => {}
    }
    if let Some(backend) = &config.backend {
        builder = builder.backend(backend.clone());
    }
    if let Some(limit) = config.relay {
        builder = builder.relay(limit);
    }
    for (name, rules) in &config.collections {
        builder = builder.collection(name, maps.collection(name.as_str()), rules.clone());
    }
    for (kind, table) in &config.documents {
        let storage = database.documents();
        builder = builder.documents::<Document>(kind, storage, |documents| {
            let documents = table.configure(documents);
            match config.schemas.get(kind) {
                Some(schema) => documents.schema(schema.clone()),
                None => documents,
            }
        });
    }
    if let Some(access) = config.documents_http.clone().filter(|_| !config.documents.is_empty()) {
        builder = builder.documents_http(access);
    }
    if config.demo {
        builder = demo::add_routes(builder, &config.db);
    }
    Ok(builder.listen_on(listeners).await?)
}

/// Decides about a login by its token.
async fn check_token(verifier: &TokenVerifier, login: &Login) -> AuthOutcome {
    match verifier.verify(login.token.as_deref().unwrap_or_default()).await {
        Ok(Identity { user, expires, claims }) if login.user_id() == Some(&user) => {
            let accepted = match expires {
                Some(time) => AuthOutcome::accepted_until(time),
                None => true.into(),
            };
            accepted.with_claims(claims)
        }
        Ok(_) => AuthOutcome::denied("the token is of another user"),
        Err(JwtError::KeySet(error)) => AuthOutcome::unavailable(error.to_string()),
        Err(error) => AuthOutcome::denied(error.to_string()),
    }
}
