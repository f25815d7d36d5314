//! What all scenarios ask for: where, as whom, how long.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use clap::Args;

use crate::talk::Failed;

/// The server, and how to come in.
#[derive(Args, Clone, Debug)]
pub(super) struct Target {
    /// Address of the server, such as ws://127.0.0.1:31337
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// User id of all clients; without it each has its own, `bench` and a number
    #[arg(long, value_name = "ID")]
    pub(super) user: Option<String>,
    /// Token of all clients [env: LOGUX_TOKEN]
    #[arg(long, value_name = "TEXT")]
    pub(super) token: Option<String>,
    /// Version of the application's own protocol
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(super) subprotocol: u32,
    /// Process of the server, if it runs here: what it takes of the processor and of memory is measured too
    #[arg(long, value_name = "PID")]
    pub(super) pid: Option<u32>,
    /// Print one JSON object in place of a table
    #[arg(long)]
    pub(super) json: bool,
}

/// How long to measure.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Seconds of load before anything counts
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,
    /// Seconds of each run
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// How many runs
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) runs: u32,
}

/// What to send, and where it comes out.
#[derive(Args, Clone, Debug)]
pub(super) struct Wording {
    /// Type of the actions
    #[arg(long = "type", value_name = "TYPE", default_value = "bench/note", value_parser = plain)]
    pub(super) kind: String,
    /// Characters of text in each action, in addition to its type and number
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    pub(super) text: usize,
}

impl Target {
    /// The address of the server, and the host and the path of its URL.
    pub(super) fn resolve(&self) -> Result<(SocketAddr, &str, &str), Failed> {
        let Some(rest) = self.url.strip_prefix("ws://") else {
            return Err(format!(
                "{}: expected ws://; with TLS it is the clients that would be measured",
                self.url
            )
            .into());
        };
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let with_port = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let unknown = |problem: String| format!("{}: {problem}", self.url);
        let mut found = with_port.to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
        let address = found.next().ok_or_else(|| unknown("the host has no address".into()))?;
        Ok((address, host, path))
    }

    /// The token, also from the environment.
    pub(super) fn token(&self) -> Option<String> {
        self.token.clone().or_else(|| std::env::var("LOGUX_TOKEN").ok())
    }
}

impl Timing {
    pub(super) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    pub(super) fn run(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds, at most a day".into()),
    }
}

/// A text that stands in JSON as it is.
pub(super) fn plain(text: &str) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\')) {
        return Err("quotes, backslashes and control characters cannot stand here".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target { url: url.into(), user: None, token: None, subprotocol: 0, pid: None, json: false }
    }

    #[test]
    fn urls_have_a_host_and_maybe_a_port_and_a_path() {
        let v4 = "127.0.0.1:31337".parse().unwrap();
        assert_eq!(target("ws://127.0.0.1:31337").resolve().unwrap(), (v4, "127.0.0.1:31337", "/"));
        assert_eq!(target("ws://127.0.0.1:31337/a/b").resolve().unwrap().2, "/a/b");
        assert_eq!(target("ws://[::1]").resolve().unwrap().0, "[::1]:80".parse().unwrap());
        assert_eq!(target("ws://[::1]:5").resolve().unwrap().0, "[::1]:5".parse().unwrap());
        assert!(target("wss://127.0.0.1").resolve().is_err());
    }
}
