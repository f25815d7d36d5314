//! `logux backup`: a complete copy of the database of a server, which may be running.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{
    config::{self, sources::Environment},
    error::CliError,
};

/// Copy the database of a server to a new file, while the server runs
///
/// The copy has everything that was committed when it began, also what a plain copy of the file
/// would lack because it is still in the write-ahead log beside it. To restore, stop the server,
/// delete FILE-wal and FILE-shm beside its database, and copy the backup over the database.
#[derive(Args, Clone, Debug)]
pub(crate) struct BackupArgs {
    /// New file for the copy; an existing file is not replaced
    #[arg(value_name = "FILE")]
    target: PathBuf,
    /// Database of the server [default: that of `logux serve` in this folder]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

/// Writes the copy, and prints what it contains.
pub(crate) async fn run(args: BackupArgs) -> Result<ExitCode, CliError> {
    let BackupArgs { target, db } = args;
    let db = config::database_path(db, &Environment::from_process())?;
    let shown = target.display().to_string();
    let backup = tokio::task::spawn_blocking(move || logux_sqlite::back_up(db, target))
        .await
        .map_err(std::io::Error::other)??;
    println!(
        "{shown}: {} bytes, {} records, {} actions and answers in the log",
        backup.bytes, backup.records, backup.entries
    );
    Ok(ExitCode::SUCCESS)
}
