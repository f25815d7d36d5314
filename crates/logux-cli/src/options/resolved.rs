//! What the settings of all sources come to, checked.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use logux_server::{Backend, Config, Tls};

use super::{
    Logger, OptionsError, Secret,
    flags::{Application, Bounds, Clients, Flags, Listening},
};
use crate::otlp::Collector;

/// How many actions and answers to remember, so that what comes again after a long time offline is not done again.
const REMEMBERED: u64 = 100_000;

/// What `logux serve` is to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) places: Places,
    pub(crate) collections: Vec<String>,
    pub(crate) db: PathBuf,
    pub(crate) login: LoginBy,
    pub(crate) logger: Logger,
    pub(crate) traces: Option<Traces>,
    pub(crate) backend: Option<Backend>,
    /// How many encrypted actions of a user to keep, if any.
    pub(crate) relay: Option<u64>,
    /// Everything that the server takes as it is.
    pub(crate) settings: Config,
}

/// Where to listen, unless the process was started with sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) tcp: Option<SocketAddr>,
    /// A path, and who may connect.
    pub(crate) unix: Option<(PathBuf, Option<u32>)>,
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Traces {
    pub(crate) collector: Collector,
    /// The part of the actions that are traced, unless the variables of OpenTelemetry are to say.
    pub(crate) ratio: Option<f64>,
}

/// Who gets in.
#[derive(Clone, Debug)]
pub(crate) enum LoginBy {
    /// Whoever asks.
    Nothing,
    /// Whoever has a token that is signed with this secret.
    Token(Secret),
    /// Whoever the back end lets in.
    Backend,
}

impl Options {
    #[cfg(test)]
    pub(super) fn port(&self) -> Option<u16> {
        self.places.tcp.map(|address| address.port())
    }
}

impl Flags {
    /// Checks everything, and fills in what was not given.
    pub(super) fn resolve(
        self,
        dev: bool,
        collector: Option<Collector>,
    ) -> Result<Options, OptionsError> {
        let mut settings = Config::default();
        settings.remembered_entries = REMEMBERED;
        settings.id = self.telling.id;
        settings.development = dev || self.telling.env.as_deref() == Some("development");
        settings.metrics_address = self.telling.metrics;
        set(&mut settings.inspector_audience, self.telling.inspect_from.clone());
        let places = self.listening.resolve(&mut settings, dev)?;
        let login = self.clients.resolve(&mut settings, dev, self.application.backend.is_some())?;
        self.bounds.resolve(&mut settings);
        let backend = self.application.backend()?;
        let has_other = backend.is_some() || self.application.relay.is_some();
        let collections = self.application.collections(has_other)?;
        Ok(Options {
            places,
            collections,
            db: self.application.db.unwrap_or_else(|| PathBuf::from("logux.db")),
            login,
            logger: self.telling.logger.unwrap_or_default(),
            traces: collector.map(|collector| Traces { collector, ratio: self.telling.otlp_ratio }),
            backend,
            relay: self.application.relay,
            settings,
        })
    }
}

impl Listening {
    fn resolve(self, settings: &mut Config, dev: bool) -> Result<Places, OptionsError> {
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        if dev && !host.is_loopback() {
            return Err(OptionsError::DevOnNetwork(host));
        }
        settings.tls = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some(Tls::new(cert, key)),
            (None, None) => None,
            _ => return Err(OptionsError::HalfTls),
        };
        set(&mut settings.tls_reload_interval, self.tls_reload_ms.map(Duration::from_millis));
        set(&mut settings.proxies, self.trust_proxy);
        set(&mut settings.disable_http, self.disable_http);
        set(&mut settings.drain_timeout, self.finish_ms.map(Duration::from_millis));
        set(&mut settings.disconnect_timeout, self.leave_ms.map(Duration::from_millis));
        let wants_tcp = self.unix.is_none() || self.host.is_some() || self.port.is_some();
        let tcp = wants_tcp.then(|| SocketAddr::new(host, self.port.unwrap_or(31337)));
        Ok(Places { tcp, unix: self.unix.map(|path| (path, self.unix_mode)) })
    }
}

impl Clients {
    fn resolve(
        self,
        settings: &mut Config,
        dev: bool,
        has_backend: bool,
    ) -> Result<LoginBy, OptionsError> {
        settings.subprotocol = self.subprotocol.unwrap_or_default();
        settings.min_subprotocol = self.min_subprotocol.unwrap_or_default();
        settings.supports = self.supports;
        settings.allowed_origins = self.origins;
        match self.secret.filter(|secret| !secret.0.is_empty()) {
            _ if dev => Ok(LoginBy::Nothing),
            Some(secret) => Ok(LoginBy::Token(secret)),
            None if has_backend => Ok(LoginBy::Backend),
            None => Err(OptionsError::NoSecret),
        }
    }
}

impl Bounds {
    fn resolve(self, settings: &mut Config) {
        set(&mut settings.max_connections, self.max_connections);
        settings.max_connections_per_address = self.max_connections_per_address;
        settings.max_wrong_logins =
            or_none_if_zero(self.max_wrong_logins, settings.max_wrong_logins);
        settings.max_rate = self.max_rate;
        settings.max_rate_per_user = self.max_rate_per_user;
        settings.max_rates_of_types = self.max_rate_of.into_iter().flatten().collect();
        set(&mut settings.max_subscriptions, self.max_subscriptions);
        set(&mut settings.max_queue, self.max_queue);
        set(&mut settings.max_message_bytes, self.max_message_bytes);
        set(&mut settings.max_body_bytes, self.max_body_bytes);
        set(&mut settings.max_outbox_messages, self.max_outbox_messages);
        set(&mut settings.max_outbox_bytes, self.max_outbox_bytes);
        set(&mut settings.max_ahead, self.max_ahead_ms.map(Duration::from_millis));
        set(&mut settings.remembered_entries, self.remembered);
        set(&mut settings.ping_interval, self.ping_ms.map(Duration::from_millis));
        set(&mut settings.timeout, self.timeout_ms.map(Duration::from_millis));
    }
}

impl Application {
    fn backend(&self) -> Result<Option<Backend>, OptionsError> {
        let Some(url) = &self.backend else { return Ok(None) };
        let secret = self.control_secret.clone().filter(|secret| !secret.0.is_empty());
        let Secret(secret) = secret.ok_or(OptionsError::NoControlSecret)?;
        let backend = Backend::new(url, secret)?;
        Ok(Some(match &self.control_mask {
            Some(mask) => backend.control_mask(mask)?,
            None => backend,
        }))
    }

    fn collections(&self, has_other: bool) -> Result<Vec<String>, OptionsError> {
        let collections = self.collections.clone().unwrap_or_default();
        if collections.is_empty() && !has_other {
            return Err(OptionsError::NoCollections);
        }
        let usable = |name: &String| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                && name != "logux"
        };
        match collections.iter().find(|name| !usable(name)) {
            Some(bad) => Err(OptionsError::BadCollection(bad.clone())),
            None => Ok(collections),
        }
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// A bound where 0 stands for none.
fn or_none_if_zero<T: Default + PartialEq>(given: Option<T>, default: Option<T>) -> Option<T> {
    match given {
        Some(given) => Some(given).filter(|bound| *bound != T::default()),
        None => default,
    }
}
