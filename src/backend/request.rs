//! The requests to a back end.

use core::fmt;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::VERSION;
use crate::{action::Subprotocol, json::Json, store::Entry};

/// One command as JSON, to be added to a [`request`].
#[derive(Clone)]
pub struct BackendCommand(Box<RawValue>);

impl fmt::Debug for BackendCommand {
    /// Writes only the length, because a command may contain a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({} bytes)", self.0.get().len())
    }
}

impl BackendCommand {
    /// Returns the JSON text.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }
}

/// The command `auth`: a request to authenticate a client.
#[derive(Debug, Default)]
pub struct AuthCommand<'a> {
    /// The id of the command, which its answer repeats.
    pub auth_id: &'a str,
    /// The user that the client claims.
    pub user_id: Option<&'a str>,
    /// The client's credentials. A secret.
    pub token: Option<&'a str>,
    /// The client's subprotocol.
    pub subprotocol: Option<&'a Subprotocol>,
    /// The cookies of the client's HTTP request.
    pub cookie: BTreeMap<String, String>,
    /// The client's headers, a JSON object. Default: `{}`.
    pub headers: Option<&'a Json>,
    /// The origin of the web page that connects, if it is one.
    pub origin: Option<&'a str>,
}

/// The command `action`: an action or a subscription of a client.
#[derive(Debug)]
pub struct ActionCommand<'a> {
    /// The action and its meta.
    pub entry: &'a Entry,
    /// The subprotocol of the author.
    pub subprotocol: Option<&'a Subprotocol>,
    /// The headers of the author's client, a JSON object. Default: `{}`.
    pub headers: Option<&'a Json>,
}

/// Returns the subprotocol as SemVer, the only form that back ends know: the number `N` of protocol
/// 5 is `N.0.0`.
fn semver(subprotocol: Option<&Subprotocol>) -> String {
    subprotocol
        .map_or_else(|| "0.0.0".to_owned(), |version| version.to_semver().as_ref().to_owned())
}

/// Returns JSON text as a value for `serde_json`. Default: `{}`.
fn raw_value(json: Option<&str>) -> Result<&RawValue, serde_json::Error> {
    serde_json::from_str(json.unwrap_or("{}"))
}

impl AuthCommand<'_> {
    /// Returns the command as JSON.
    ///
    /// # Errors
    /// If `serde_json` rejects JSON that [`Json`] accepts.
    pub fn to_command(&self) -> Result<BackendCommand, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct CommandFields<'a> {
            command: &'static str,
            auth_id: &'a str,
            user_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            token: Option<&'a str>,
            subprotocol: String,
            cookie: &'a BTreeMap<String, String>,
            headers: &'a RawValue,
            #[serde(skip_serializing_if = "Option::is_none")]
            origin: Option<&'a str>,
        }
        serde_json::value::to_raw_value(&CommandFields {
            command: "auth",
            auth_id: self.auth_id,
            user_id: self.user_id,
            token: self.token,
            subprotocol: semver(self.subprotocol),
            cookie: &self.cookie,
            headers: raw_value(self.headers.map(Json::as_str))?,
            origin: self.origin,
        })
        .map(BackendCommand)
    }
}

impl ActionCommand<'_> {
    /// Returns the command as JSON, with the unchanged text of the action.
    ///
    /// # Errors
    /// If `serde_json` rejects JSON that [`Json`] accepts.
    pub fn to_command(&self) -> Result<BackendCommand, serde_json::Error> {
        #[derive(Serialize)]
        struct Meta {
            id: String,
            time: i64,
            subprotocol: String,
        }
        #[derive(Serialize)]
        struct CommandFields<'a> {
            command: &'static str,
            action: &'a RawValue,
            meta: Meta,
            headers: &'a RawValue,
        }
        let meta = &self.entry.meta;
        serde_json::value::to_raw_value(&CommandFields {
            command: "action",
            action: raw_value(Some(self.entry.action.as_json()))?,
            meta: Meta {
                id: meta.id.to_string(),
                time: meta.time.as_millis(),
                subprotocol: semver(self.subprotocol),
            },
            headers: raw_value(self.headers.map(Json::as_str))?,
        })
        .map(BackendCommand)
    }
}

/// Returns the body of a request with these commands. O(length).
pub fn request<'a>(secret: &str, commands: impl IntoIterator<Item = &'a BackendCommand>) -> String {
    #[derive(Serialize)]
    struct RequestFields<'a> {
        version: u32,
        secret: &'a str,
        commands: Vec<&'a RawValue>,
    }
    let commands = commands.into_iter().map(|command| &*command.0).collect();
    // Serializing numbers, strings and JSON cannot fail.
    serde_json::to_string(&RequestFields { version: VERSION, secret, commands }).unwrap_or_default()
}
