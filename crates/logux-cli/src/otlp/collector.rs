//! Where a collector is.

use std::{collections::BTreeMap, fmt};

use hyper::Uri;

/// Behind the address of a collector: where it takes traces.
const PATH: &str = "/v1/traces";

/// The URL of a collector for traces.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Collector(Uri);

/// Why a URL is none of a collector.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectorError {
    #[error("{from}: expected the URL of a collector, such as http://127.0.0.1:4318, not `{url}`")]
    NoUrl { from: &'static str, url: String },
    #[error(
        "{from}: the URL of a collector is no place for a password: put it into OTEL_EXPORTER_OTLP_HEADERS"
    )]
    Password { from: &'static str },
}

impl Collector {
    /// The one that a setting names, or the standard variables of OpenTelemetry. A setting that is empty is a no.
    pub(crate) fn choose(
        setting: Option<&str>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, CollectorError> {
        if let Some(setting) = setting {
            return if setting.is_empty() {
                Ok(None)
            } else {
                Self::at("--otlp", setting).map(Some)
            };
        }
        let of = |from| variables.get(from).filter(|url| !url.is_empty()).map(|url| (from, url));
        if let Some((from, url)) = of("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            return read(from, url).map(|url| Some(Self(url)));
        }
        of("OTEL_EXPORTER_OTLP_ENDPOINT").map(|(from, url)| Self::at(from, url)).transpose()
    }

    /// One at this address, where the path is the usual one unless it is already said.
    fn at(from: &'static str, url: &str) -> Result<Self, CollectorError> {
        let base = url.trim_end_matches('/');
        let uri = read(from, base)?;
        match (uri.query(), uri.path().ends_with(PATH)) {
            (Some(_), _) => Err(CollectorError::NoUrl { from, url: url.to_owned() }),
            (None, true) => Ok(Self(uri)),
            (None, false) => read(from, &format!("{base}{PATH}")).map(Self),
        }
    }

    /// All of it.
    pub(super) fn url(&self) -> String {
        self.0.to_string()
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl fmt::Display for Collector {
    /// Its address, without the path and what may be secret in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            self.0.scheme_str().unwrap_or_default(),
            self.0.host().unwrap_or_default()
        )?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collector({self})")
    }
}

fn read(from: &'static str, url: &str) -> Result<Uri, CollectorError> {
    if url.contains('@') {
        return Err(CollectorError::Password { from });
    }
    let is_usable = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    };
    let parsed = url.parse().ok().filter(is_usable);
    parsed.ok_or_else(|| CollectorError::NoUrl { from, url: url.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(setting: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let chosen = Collector::choose(setting, &variables).map_err(|error| error.to_string())?;
        Ok(chosen.map(|collector| collector.url()))
    }

    #[test]
    fn the_setting_wins_over_the_variables_of_opentelemetry() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/own"),
        ];
        let url = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(chosen(Some("https://x/"), &variables), url("https://x/v1/traces"));
        assert_eq!(chosen(Some("http://x:1/otel"), &[]), url("http://x:1/otel/v1/traces"));
        assert_eq!(chosen(Some("http://x/v1/traces"), &[]), url("http://x/v1/traces"));
        assert_eq!(chosen(None, &variables), url("http://t/own"));
        assert_eq!(chosen(None, &variables[..1]), url("http://c:4318/v1/traces"));
        assert_eq!(chosen(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
        assert_eq!(chosen(Some(""), &variables), Ok(None), "an empty setting is a no");
        assert_eq!(chosen(None, &[]), Ok(None));
    }

    #[test]
    fn what_is_no_collector_is_said_without_passwords() {
        for url in [
            "localhost:4318",
            "ws://x",
            "http://",
            "/v1/traces",
            "a b",
            "http://x/?a=b",
            "grpc://x:4317",
        ] {
            let error = chosen(Some(url), &[]).unwrap_err();
            assert!(
                error.starts_with("--otlp: expected the URL of a collector") && error.contains(url),
                "{error}"
            );
        }
        let error =
            chosen(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hidden@x")]).unwrap_err();
        assert!(
            error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: ") && !error.contains("hidden"),
            "{error}"
        );
    }

    #[test]
    fn a_path_does_not_show() {
        let collector = Collector::choose(Some("https://x.example:4318/hidden"), &BTreeMap::new())
            .unwrap()
            .unwrap();
        assert_eq!(
            format!("{collector} {collector:?}"),
            "https://x.example:4318 Collector(https://x.example:4318)"
        );
    }
}
