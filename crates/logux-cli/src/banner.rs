//! What `logux serve` serves, for the people who started it.

use std::{fmt, net::SocketAddr, path::Path};

use logux_server::{Address, Config};

use crate::config::serve_config::{AuthMethod, ServeConfig};

/// The lines that a server prints when it has started: what it serves, at which addresses, to whom,
/// with which limits, and what to try next.
pub(crate) struct Banner {
    urls: Vec<String>,
    rows: Vec<(&'static str, String)>,
    /// Commands to try.
    commands: Vec<String>,
}

impl Banner {
    pub(crate) fn new(
        config: &ServeConfig,
        addresses: &[Address],
        metrics: Option<SocketAddr>,
        node: &str,
    ) -> Self {
        let scheme = if config.server.tls.is_some() { "wss" } else { "ws" };
        let url = |address: &Address| match address {
            Address::Tcp(address) => format!("{scheme}://{address}"),
            other => other.to_string(),
        };
        let urls: Vec<_> = addresses.iter().map(url).collect();
        let tcp = urls.iter().find(|url| url.starts_with("ws"));
        let page =
            tcp.map(|url| url.replacen("ws", "http", 1)).filter(|_| !config.server.disable_http);
        let relay = config.relay.map(|limit| {
            format!("encrypted actions between the devices of a user, up to {}", number(limit))
        });
        let environment = if config.server.development {
            "development: clients receive the reasons of errors"
        } else {
            "production"
        };
        let rows = [
            ("Environment", Some(environment.to_owned())),
            ("Node id", Some(node.to_owned())),
            ("Collections", Some(config.collection_names()).filter(|names| !names.is_empty())),
            ("Documents", Some(config.document_kinds()).filter(|names| !names.is_empty())),
            ("Relay", relay),
            ("Back end", config.backend.as_ref().map(ToString::to_string)),
            ("Database", Some(absolute(&config.db))),
            ("Access", Some(access(&config.auth))),
            ("Web pages", Some(origins(config))),
            ("Limits", Some(limits(&config.server))),
            ("Demo", page.as_ref().filter(|_| config.demo).map(|page| format!("{page}/demo"))),
            ("Health", page.as_ref().map(|page| format!("{page}/health"))),
            ("Inspector", page.filter(|_| config.server.development)),
            ("Metrics", metrics.map(|address| format!("http://{address}/metrics"))),
            ("Traces", config.otlp.as_ref().map(|otlp| otlp.collector.to_string())),
        ];
        let rows = rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let commands = tcp.map(|url| commands(config, url)).unwrap_or_default();
        Self { urls, rows, commands }
    }
}

/// Returns who may connect.
pub(crate) fn access(auth: &AuthMethod) -> String {
    match auth {
        AuthMethod::Disabled => {
            "every client on this machine, as any user, without a token".to_owned()
        }
        AuthMethod::Token(tokens) => {
            format!("clients with a token (JWT) whose `{}` is their user id", tokens.user_claim)
        }
        AuthMethod::Backend => "clients that the back end accepts".to_owned(),
    }
}

/// Returns the web pages that may connect.
fn origins(config: &ServeConfig) -> String {
    match (&config.server.allowed_origins, &config.backend) {
        (Some(origins), _) => origins.to_string(),
        (None, Some(_)) => "of this host, if they send cookies".to_owned(),
        (None, None) => "of all origins".to_owned(),
    }
}

/// Returns the most important limits.
pub(crate) fn limits(config: &Config) -> String {
    let of_address = match config.max_connections_per_address {
        Some(limit) => format!("{} of one address", number(limit as u64)),
        None => "no limit for one address".to_owned(),
    };
    format!(
        "{} connections, {of_address}; messages of {}; {} subscriptions and {} waiting actions of \
         a client",
        number(config.max_connections as u64),
        bytes(config.max_message_bytes as u64),
        number(config.max_subscriptions as u64),
        number(config.max_queue as u64),
    )
}

/// Returns commands to try in another terminal.
fn commands(config: &ServeConfig, url: &str) -> Vec<String> {
    let collection = config.collections.first().map(|(name, _)| name);
    let Some(name) = collection.or(config.documents.first().map(|(kind, _)| kind)) else {
        return Vec::new();
    };
    let login = match &config.auth {
        AuthMethod::Disabled => "",
        AuthMethod::Token(tokens) if tokens.secret.is_some() => {
            " --user ID --token $(logux token ID --secret-file FILE)"
        }
        AuthMethod::Token(_) | AuthMethod::Backend => " --user ID --token TOKEN",
    };
    let ca = if config.server.tls.is_some() { " --ca FILE" } else { "" };
    let (channel, action) = if collection.is_some() {
        let fields = r#"{"title":"Tea"}"#;
        (name.clone(), format!(r#"{{"type":"{name}/create","id":"1","fields":{fields}}}"#))
    } else {
        let ops = r#"[{"op":"set","path":"/title","value":"Tea"}]"#;
        (format!("{name}/1"), format!(r#"{{"type":"{name}/edit","id":"1","ops":{ops}}}"#))
    };
    vec![
        format!("logux tail {url} --channel {channel}{login}{ca}"),
        format!("logux send {url} '{action}'{login}{ca}"),
    ]
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(f, "Logux server {version} is listening on {}\n", self.urls.join(" and "))?;
        for (name, value) in &self.rows {
            writeln!(f, "  {name:<12} {value}")?;
        }
        if !self.commands.is_empty() {
            writeln!(f, "\nTry in another terminal:\n")?;
            self.commands.iter().try_for_each(|command| writeln!(f, "  {command}"))?;
        }
        Ok(())
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Returns a number with separators: `100,000`.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a size in the largest unit in which it is a whole number.
fn bytes(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", number(bytes / unit));
        }
    }
    format!("{} bytes", number(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [1, 1_000, 1_024, 8 << 20, (1 << 20) + 1].map(bytes),
            ["1 bytes", "1,000 bytes", "1 KiB", "8 MiB", "1,048,577 bytes"]
        );
    }
}
