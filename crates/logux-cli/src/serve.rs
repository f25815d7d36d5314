//! `logux serve`: sync maps for the collections that are named, without code and without a database server, and an application that speaks
//! HTTP.

use std::process::ExitCode;

use logux_server::{HandlerError, Login, Running, Server, stop_signal};
use logux_sqlite::Database;

use crate::{
    jwt, logger,
    options::{LoginBy, Options, Secret, ServeArgs, Surroundings},
    talk::Failed,
};

/// Serves until it is told to stop.
pub(crate) async fn run(args: ServeArgs) -> Result<ExitCode, Failed> {
    let options = args.resolve(&Surroundings::of_process())?;
    logger::start(options.logger);
    let mut server = start(&options).await?;
    if matches!(options.login, LoginBy::Nothing) {
        tracing::warn!("DEVELOPMENT: everyone on this machine is let in, whoever they say they are");
    }
    let collections = options.collections.join(", ");
    tracing::info!(
        event = "serve",
        collections,
        db = options.db.display().to_string(),
        backend = options.backend.as_ref().map(ToString::to_string),
        "Serving"
    );
    tokio::select! {
        () = stop_signal() => {
            server.shutdown().await?;
            Ok(ExitCode::SUCCESS)
        }
        broken = server.broken() => Err(broken.into()),
    }
}

async fn start(options: &Options) -> Result<Running, Failed> {
    let database = Database::open(&options.db)?;
    let maps = database.sync_maps();
    let login = options.login.clone();
    let mut builder =
        Server::builder().settings(|settings| settings.clone_from(&options.settings)).store(database.store());
    if !matches!(login, LoginBy::Backend) {
        builder = builder.auth(move |who| {
            let may = may_login(&login, &who);
            async move { Ok::<_, HandlerError>(may) }
        });
    }
    if let Some(backend) = &options.backend {
        builder = builder.backend(backend.clone());
    }
    for collection in &options.collections {
        builder = builder.sync_map(collection, &maps, |_| async { Ok(true) });
    }
    Ok(builder.listen(options.address).await?)
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
            tracing::warn!(event = "wrongToken", nodeId = who.node.as_str(), error = error.to_string(), "Wrong token");
            false
        }
    }
}
