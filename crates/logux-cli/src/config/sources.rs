//! The sources of settings besides the command line: environment variables, `.env`, and
//! `logux.toml`. Their settings are parsed as flags.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Args as _, Command, FromArgMatches as _, error::ErrorKind};
use toml::{Spanned, Table, Value};

use super::{
    collections::read_rules,
    documents::read_documents,
    error::{ConfigError, FileError, SettingError, similar},
    flags::Flags,
    rules::RuleSource,
};

/// Variables with the prefix `LOGUX_` that are not flags: the path of the file, and the token of
/// `send` and `tail`.
const OTHER_VARIABLES: [&str; 2] = ["CONFIG", "TOKEN"];

/// The environment variables and the working directory.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) folder: PathBuf,
}

impl Environment {
    /// Returns the environment of the process.
    pub(crate) fn from_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables, folder: PathBuf::from(".") }
    }

    /// Returns the variables of `.env`, overridden by those of the environment.
    pub(super) fn all_variables(&self) -> Result<BTreeMap<String, String>, ConfigError> {
        let path = self.folder.join(".env");
        let mut variables =
            read_dotenv(&path).map_err(|error| ConfigError::File { path, error: error.into() })?;
        variables.extend(self.variables.clone());
        Ok(variables)
    }
}

fn read_dotenv(path: &Path) -> Result<BTreeMap<String, String>, dotenvy::Error> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    dotenvy::from_path_iter(path)?.collect()
}

impl Flags {
    /// Overrides the flags with the `LOGUX_*` variables. A variable that matches no flag is an
    /// error, because it is most likely misspelled.
    pub(super) fn read_variables(
        &mut self,
        variables: &BTreeMap<String, String>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(suffix) = name.strip_prefix("LOGUX_") else { continue };
            if OTHER_VARIABLES.contains(&suffix) {
                continue;
            }
            let key = suffix.to_ascii_lowercase().replace('_', "-");
            self.set(&key, std::slice::from_ref(value))
                .map_err(|error| ConfigError::Variable { name: name.clone(), error })?;
        }
        Ok(())
    }

    /// Overrides the flags with a file: `path`, or `logux.toml` in `folder` if it exists.
    pub(super) fn read_file(
        &mut self,
        path: Option<&Path>,
        folder: &Path,
    ) -> Result<(), ConfigError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => {
                let default = folder.join("logux.toml");
                if !default.exists() {
                    return Ok(());
                }
                default
            }
        };
        let read = std::fs::read_to_string(&path).map_err(FileError::from);
        read.and_then(|text| {
            self.application.rule_source = RuleSource::new(path.clone(), &text);
            self.read_toml(&text, path.parent().unwrap_or(Path::new("")))
        })
        .map_err(|error| ConfigError::File { path, error })
    }

    /// Overrides the flags with the text of a file in `folder`.
    fn read_toml(&mut self, text: &str, folder: &Path) -> Result<(), FileError> {
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let table: BTreeMap<Spanned<String>, Value> =
            toml::from_str(text).map_err(|error| FileError::Toml {
                line: line(error.span().map_or(0, |span| span.start)),
                message: error.message().replace('\n', ", "),
            })?;
        for (key, value) in &table {
            let result = match (flag_values(value), value) {
                (None, Value::Table(collections)) if key.get_ref() == "collections" => {
                    self.set_rules(collections)
                }
                (None, Value::Table(kinds)) if key.get_ref() == "documents" => {
                    self.set_documents(kinds, folder)
                }
                (Some(values), _) => self.set(key.get_ref(), &values),
                (None, _) => {
                    Err(SettingError::Unknown { name: key.get_ref().clone(), similar: None })
                }
            };
            result.map_err(|error| {
                let row = match &error {
                    SettingError::Rule(rule) => self.application.rule_source.line(&rule.row),
                    _ => None,
                };
                FileError::Setting { line: row.unwrap_or(line(key.span().start)), error }
            })?;
        }
        Ok(())
    }

    fn set_rules(&mut self, collections: &Table) -> Result<(), SettingError> {
        self.application.rules.extend(read_rules(collections).map_err(Box::new)?);
        Ok(())
    }

    fn set_documents(&mut self, kinds: &Table, folder: &Path) -> Result<(), SettingError> {
        self.application.document_tables.extend(read_documents(kinds, folder).map_err(Box::new)?);
        Ok(())
    }

    /// Sets a flag by its name.
    fn set(&mut self, key: &str, values: &[String]) -> Result<(), SettingError> {
        let flags = values.iter().map(|value| format!("--{key}={value}"));
        let command =
            Self::augment_args(Command::new("logux").no_binary_name(true).disable_help_flag(true));
        let matches: ArgMatches =
            command.try_get_matches_from(flags).map_err(|error| match error.kind() {
                ErrorKind::UnknownArgument => SettingError::Unknown {
                    name: key.to_owned(),
                    similar: similar(&error).map(|flag| flag.trim_start_matches('-').to_owned()),
                },
                _ => SettingError::Value(error),
            })?;
        Ok(self.update_from_arg_matches(&matches)?)
    }
}

/// Returns a TOML value as values of a flag, one for each item of an array. `None` for dates and
/// tables.
fn flag_values(value: &Value) -> Option<Vec<String>> {
    Some(vec![match value {
        Value::Array(items) => {
            let values = items.iter().map(flag_values).collect::<Option<Vec<_>>>();
            return values.map(|values| values.concat());
        }
        Value::String(string) => string.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Datetime(_) | Value::Table(_) => return None,
    }])
}
