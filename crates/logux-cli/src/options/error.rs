//! Settings that cannot be used, each in one line.

use std::{net::IpAddr, path::PathBuf};

use logux_server::BuildError;

use crate::otlp::CollectorError;

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error("environment variable {name}: {problem}")]
    Variable { name: String, problem: String },
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error(
        "nobody could log in: set --secret (or LOGUX_SECRET) to the secret of your users' tokens, or use --dev to let everyone \
         in on this machine"
    )]
    NoSecret,
    #[error("--dev lets everyone in, so it listens on loopback addresses only, not on {0}")]
    DevOnNetwork(IpAddr),
    #[error(
        "there is nothing to serve: name at least one --collection, such as --collection tasks, or the --backend that is your \
         application, or --relay"
    )]
    NoCollections,
    #[error("collection name {0:?} cannot be used: expected letters, digits, `-` and `_`")]
    BadCollection(String),
    #[error("--cert and --key belong together: one of them is missing")]
    HalfTls,
    #[error(
        "--backend needs --control-secret (or LOGUX_CONTROL_SECRET), the secret that it and this server show each other"
    )]
    NoControlSecret,
    #[error(transparent)]
    Collector(#[from] CollectorError),
    #[error(transparent)]
    Backend(#[from] BuildError),
    #[error("{}", one_line(.0))]
    Flags(#[from] clap::Error),
}

/// What clap has to say, without the usage and the hints behind it.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    said.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
