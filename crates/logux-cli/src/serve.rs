//! `logux serve`: sync maps for the collections that are named, without code and without a database server, and an application that speaks
//! HTTP.

use std::process::ExitCode;

use logux_server::{Address, HandlerError, Listener, Login, RunningServer, Server, StopSignals};
use logux_sqlite::Database;

use crate::{
    jwt, logger,
    options::{LoginBy, Options, Places, Secret, ServeArgs, Surroundings},
    otlp::Otlp,
    systemd,
    talk::Failed,
};

/// Serves until it is told to stop.
pub(crate) async fn run(args: ServeArgs) -> Result<ExitCode, Failed> {
    let options = args.resolve(&Surroundings::of_process())?;
    let otlp = options
        .traces
        .as_ref()
        .map(|traces| Otlp::start(traces, options.settings.id.as_deref()))
        .transpose()?;
    logger::start(options.logger, otlp.as_ref());
    let mut signals = StopSignals::new();
    let mut server = start(&options).await?;
    if matches!(options.login, LoginBy::Nothing) {
        tracing::warn!(
            "DEVELOPMENT: everyone on this machine is let in, whoever they say they are"
        );
    }
    tracing::info!(
        event = "serve",
        collections = options.collections.join(", "),
        db = options.db.display().to_string(),
        backend = options.backend.as_ref().map(ToString::to_string),
        otlp = options.traces.as_ref().map(|traces| traces.collector.to_string()),
        "Serving"
    );
    systemd::ready();
    tokio::spawn(systemd::keep_watchdog_quiet(server.handle().clone()));
    tokio::select! {
        () = signals.next() => {}
        broken = server.broken() => {
            finish(otlp).await;
            return Err(broken.into());
        }
    }
    systemd::stopping();
    let stop = async {
        let stopped = server.shutdown().await;
        finish(otlp).await;
        stopped
    };
    tokio::select! {
        stopped = stop => stopped?,
        () = signals.next() => {
            tracing::warn!("stopped at once: what was in progress is done after the next start");
            // Not by returning: that would wait for what runs.
            std::process::exit(1);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends the last traces.
async fn finish(otlp: Option<Otlp>) {
    if let Some(otlp) = otlp {
        otlp.finish().await;
    }
}

/// The sockets that the process was started with, or those that the settings name.
fn listeners(places: &Places) -> Result<Vec<Listener>, Failed> {
    let mut listeners = systemd::inherited()?;
    if !listeners.is_empty() {
        return Ok(listeners);
    }
    listeners.extend(places.tcp.map(Listener::tcp).transpose()?);
    match &places.unix {
        #[cfg(unix)]
        Some((path, mode)) => listeners.push(Listener::unix(path, *mode)?),
        #[cfg(not(unix))]
        Some(_) => return Err("there are no Unix sockets on this system".into()),
        None => {}
    }
    Ok(listeners)
}

async fn start(options: &Options) -> Result<RunningServer<Vec<Address>>, Failed> {
    let listeners = listeners(&options.places)?;
    let database = Database::open(&options.db)?;
    let maps = database.sync_maps();
    let login = options.login.clone();
    let mut builder = Server::builder()
        .config(|settings| settings.clone_from(&options.settings))
        .store(database.store());
    if !matches!(login, LoginBy::Backend) {
        builder = builder.auth(move |who| {
            let may = may_login(&login, &who);
            async move { Ok::<_, HandlerError>(may) }
        });
    }
    if let Some(backend) = &options.backend {
        builder = builder.backend(backend.clone());
    }
    if let Some(kept) = options.relay {
        builder = builder.relay(kept);
    }
    for collection in &options.collections {
        let records = maps.collection(collection.as_str());
        builder = builder
            .sync_map(collection, records.clone(), |_, _| async { Ok(true) })
            .sync_map_filter(collection, records, |_, _| async { Ok(true) });
    }
    Ok(builder.listen_on(listeners).await?)
}

fn may_login(by: &LoginBy, who: &Login) -> bool {
    let secret = match by {
        LoginBy::Nothing => return true,
        LoginBy::Backend => return false,
        LoginBy::Token(Secret(secret)) => secret,
    };
    match jwt::user(who.token.as_deref().unwrap_or_default(), secret.as_bytes()) {
        Ok(user) => who.user_id() == Some(&user),
        Err(error) => {
            tracing::warn!(
                event = "wrongToken",
                nodeId = who.node.as_str(),
                error = error.to_string(),
                "Wrong token"
            );
            false
        }
    }
}
