//! The URL of an OpenTelemetry collector.

use std::{collections::BTreeMap, fmt};

use hyper::Uri;

/// The path of the OTLP endpoint for traces.
const TRACES_PATH: &str = "/v1/traces";

/// The URL of a collector's endpoint for traces.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CollectorUrl(Uri);

/// The URL of a collector is not valid. `from` is the flag or variable that contains it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectorUrlError {
    #[error("{from}: expected the URL of a collector, such as http://127.0.0.1:4318, not `{url}`")]
    Invalid { from: &'static str, url: String },
    #[error(
        "{from}: the URL of a collector must not contain a password; set \
         OTEL_EXPORTER_OTLP_HEADERS instead"
    )]
    Password { from: &'static str },
}

impl CollectorUrl {
    /// Returns the URL from the flag, or from the standard variables of OpenTelemetry. An empty
    /// flag disables the export.
    pub(crate) fn resolve(
        flag: Option<&str>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, CollectorUrlError> {
        match flag {
            Some("") => return Ok(None),
            Some(url) => return Self::from_base("--otlp", url).map(Some),
            None => {}
        }
        let variable =
            |name| variables.get(name).filter(|url| !url.is_empty()).map(|url| (name, url));
        if let Some((from, url)) = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            return parse(from, url).map(|url| Some(Self(url)));
        }
        variable("OTEL_EXPORTER_OTLP_ENDPOINT")
            .map(|(from, url)| Self::from_base(from, url))
            .transpose()
    }

    /// Returns the URL with [`TRACES_PATH`] appended, unless it ends with it.
    fn from_base(from: &'static str, url: &str) -> Result<Self, CollectorUrlError> {
        let base = url.trim_end_matches('/');
        let uri = parse(from, base)?;
        match (uri.query(), uri.path().ends_with(TRACES_PATH)) {
            (Some(_), _) => Err(CollectorUrlError::Invalid { from, url: url.to_owned() }),
            (None, true) => Ok(Self(uri)),
            (None, false) => parse(from, &format!("{base}{TRACES_PATH}")).map(Self),
        }
    }

    /// Returns the whole URL.
    pub(crate) fn url(&self) -> String {
        self.0.to_string()
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl fmt::Display for CollectorUrl {
    /// Writes scheme, host and port, but not the path, which may contain a secret.
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

impl fmt::Debug for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectorUrl({self})")
    }
}

fn parse(from: &'static str, url: &str) -> Result<Uri, CollectorUrlError> {
    if url.contains('@') {
        return Err(CollectorUrlError::Password { from });
    }
    let is_usable = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    };
    let parsed = url.parse().ok().filter(is_usable);
    parsed.ok_or_else(|| CollectorUrlError::Invalid { from, url: url.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let url = CollectorUrl::resolve(flag, &variables).map_err(|error| error.to_string())?;
        Ok(url.map(|collector| collector.url()))
    }

    #[test]
    fn flag_overrides_the_variables_of_opentelemetry() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/own"),
        ];
        let url = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(resolve(Some("https://x/"), &variables), url("https://x/v1/traces"));
        assert_eq!(resolve(Some("http://x:1/otel"), &[]), url("http://x:1/otel/v1/traces"));
        assert_eq!(resolve(Some("http://x/v1/traces"), &[]), url("http://x/v1/traces"));
        assert_eq!(resolve(None, &variables), url("http://t/own"));
        assert_eq!(resolve(None, &variables[..1]), url("http://c:4318/v1/traces"));
        assert_eq!(resolve(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
        assert_eq!(resolve(Some(""), &variables), Ok(None), "an empty flag disables the export");
        assert_eq!(resolve(None, &[]), Ok(None));
    }

    #[test]
    fn errors_do_not_contain_passwords() {
        for url in [
            "localhost:4318",
            "ws://x",
            "http://",
            "/v1/traces",
            "a b",
            "http://x/?a=b",
            "grpc://x:4317",
        ] {
            let error = resolve(Some(url), &[]).unwrap_err();
            assert!(
                error.starts_with("--otlp: expected the URL of a collector") && error.contains(url),
                "{error}"
            );
        }
        let error =
            resolve(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hidden@x")]).unwrap_err();
        assert!(
            error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: ") && !error.contains("hidden"),
            "{error}"
        );
    }

    #[test]
    fn display_and_debug_omit_the_path() {
        let collector =
            CollectorUrl::resolve(Some("https://x.example:4318/hidden"), &BTreeMap::new())
                .unwrap()
                .unwrap();
        assert_eq!(
            format!("{collector} {collector:?}"),
            "https://x.example:4318 CollectorUrl(https://x.example:4318)"
        );
    }
}
