//! Where settings come from besides the flags: the environment, `.env`, and `logux.toml`. All are read as if they were flags.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};
use toml::{Spanned, Value};

use super::{OptionsError, error::one_line, flags::Flags};

/// Variables that are no settings of the server: where the file is, and the token of `send` and `tail`.
const OTHER_VARIABLES: [&str; 2] = ["CONFIG", "TOKEN"];

/// Everything outside of the flags that has a say.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) folder: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables, folder: PathBuf::from(".") }
    }

    /// The variables of `.env`, and above them those of the environment.
    pub(super) fn all_variables(&self) -> Result<BTreeMap<String, String>, OptionsError> {
        let mut variables = dotenv(&self.folder.join(".env"))?;
        variables.extend(self.variables.clone());
        Ok(variables)
    }
}

fn dotenv(path: &Path) -> Result<BTreeMap<String, String>, OptionsError> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let wrong = |error: dotenvy::Error| OptionsError::File {
        path: path.to_owned(),
        problem: error.to_string(),
    };
    dotenvy::from_path_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)
}

impl Flags {
    /// Puts the `LOGUX_*` variables above what is there. One that no flag corresponds to is an error, since it is most likely a mistake in
    /// writing.
    pub(super) fn read_variables(
        &mut self,
        variables: &BTreeMap<String, String>,
    ) -> Result<(), OptionsError> {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix("LOGUX_") else { continue };
            if OTHER_VARIABLES.contains(&rest) {
                continue;
            }
            let key = rest.to_ascii_lowercase().replace('_', "-");
            self.read(&key, std::slice::from_ref(value)).map_err(|problem| {
                OptionsError::Variable { name: name.clone(), problem: problem.of("setting") }
            })?;
        }
        Ok(())
    }

    /// Puts a file above what is there: the given one, or the usual one if it exists.
    pub(super) fn read_file(
        &mut self,
        given: Option<&Path>,
        folder: &Path,
    ) -> Result<(), OptionsError> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => folder.join("logux.toml"),
        };
        if given.is_none() && !path.exists() {
            return Ok(());
        }
        let wrong = |problem: String| OptionsError::File { path: path.clone(), problem };
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let table: BTreeMap<Spanned<String>, Value> = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(format!("line {}: {}", line(at), error.message().replace('\n', ", ")))
        })?;
        for (key, value) in &table {
            let read = match texts(value) {
                Some(values) => self.read(key.get_ref(), &values),
                None => Err(Problem::Unknown(key.get_ref().clone())),
            };
            read.map_err(|problem| {
                wrong(format!("line {}: {}", line(key.span().start), problem.of("field")))
            })?;
        }
        Ok(())
    }

    /// Reads one setting by name.
    fn read(&mut self, key: &str, values: &[String]) -> Result<(), Problem> {
        let flags = values.iter().map(|value| format!("--{key}={value}"));
        let command =
            Self::augment_args(Command::new("logux").no_binary_name(true).disable_help_flag(true));
        let matches: ArgMatches =
            command.try_get_matches_from(flags).map_err(|error| match error.kind() {
                clap::error::ErrorKind::UnknownArgument => Problem::Unknown(key.to_owned()),
                _ => Problem::Clap(error),
            })?;
        self.update_from_arg_matches(&matches).map_err(Problem::Clap)
    }
}

/// What a value of TOML is as flags: each item of a list is one. `None` for what is no setting.
fn texts(value: &Value) -> Option<Vec<String>> {
    Some(vec![match value {
        Value::Array(items) => {
            return items.iter().map(texts).collect::<Option<Vec<_>>>().map(|texts| texts.concat());
        }
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(is) => is.to_string(),
        Value::Datetime(_) | Value::Table(_) => return None,
    }])
}

/// Why a setting of a source other than the flags cannot be read.
enum Problem {
    Unknown(String),
    Clap(clap::Error),
}

impl Problem {
    /// In one line, where settings are called `what`.
    fn of(&self, what: &str) -> String {
        match self {
            Self::Unknown(key) => format!("there is no {what} `{key}`"),
            Self::Clap(error) => one_line(error),
        }
    }
}
