//! The arguments that scenarios share.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use clap::Args;

use super::error::BenchError;

/// The server to measure, and the credentials of the clients.
#[derive(Args, Clone, Debug)]
pub(super) struct TargetArgs {
    /// URL of the server, such as ws://127.0.0.1:31337
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// User id of all clients [default: a different one for each client]
    #[arg(long, value_name = "ID")]
    pub(super) user: Option<String>,
    /// Token of all clients [env: LOGUX_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// Version of the application's protocol
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(super) subprotocol: u32,
    /// Process id of a server on this machine, to measure its CPU and memory usage (Linux)
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,
    /// Print the report as a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// The duration of the measurement.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct TimingArgs {
    /// Seconds of load before the first run
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    warm_up: f64,
    /// Duration of each run in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Number of runs
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) runs: u32,
}

/// The actions to send.
#[derive(Args, Clone, Debug)]
pub(super) struct ActionArgs {
    /// Type of the actions
    #[arg(long = "type", value_name = "TYPE", default_value = "bench/note", value_parser = parse_json_literal)]
    pub(super) kind: String,
    /// Length of the text in each action, in characters
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub(super) text: usize,
}

impl TargetArgs {
    /// Returns the address of the server, and the host and the path of its URL.
    pub(super) fn resolve(&self) -> Result<(SocketAddr, &str, &str), BenchError> {
        let Some(rest) = self.url.strip_prefix("ws://") else {
            return Err(BenchError::UnsupportedUrl(self.url.clone()));
        };
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let with_port = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let mut addresses = with_port
            .to_socket_addrs()
            .map_err(|error| BenchError::Resolve { url: self.url.clone(), error })?;
        let address = addresses.next().ok_or_else(|| BenchError::NoAddress(self.url.clone()))?;
        Ok((address, host, path))
    }

    /// Returns the token, which defaults to `LOGUX_TOKEN`.
    pub(super) fn token(&self) -> Option<String> {
        self.token.clone().or_else(|| std::env::var("LOGUX_TOKEN").ok())
    }
}

impl TimingArgs {
    pub(super) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    pub(super) fn run(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// The value of a flag cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ValueError {
    #[error("expected a number of seconds, at most 86400")]
    Seconds,
    #[error("quotes, backslashes and control characters are not supported")]
    JsonLiteral,
}

fn parse_seconds(text: &str) -> Result<f64, ValueError> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.ok_or(ValueError::Seconds)
}

/// Accepts strings that need no escapes in JSON.
pub(super) fn parse_json_literal(text: &str) -> Result<String, ValueError> {
    if text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
        return Err(ValueError::JsonLiteral);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> TargetArgs {
        TargetArgs {
            url: url.into(),
            user: None,
            token: None,
            subprotocol: 0,
            pid: None,
            json: false,
        }
    }

    #[test]
    fn port_and_path_of_a_url_are_optional() {
        let v4 = "127.0.0.1:31337".parse().unwrap();
        assert_eq!(target("ws://127.0.0.1:31337").resolve().unwrap(), (v4, "127.0.0.1:31337", "/"));
        assert_eq!(target("ws://127.0.0.1:31337/a/b").resolve().unwrap().2, "/a/b");
        assert_eq!(target("ws://[::1]").resolve().unwrap().0, "[::1]:80".parse().unwrap());
        assert_eq!(target("ws://[::1]:5").resolve().unwrap().0, "[::1]:5".parse().unwrap());
        assert!(target("wss://127.0.0.1").resolve().is_err());
    }
}
