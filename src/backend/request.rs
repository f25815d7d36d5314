//! What a back end is asked.

use core::fmt;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::VERSION;
use crate::{action::Subprotocol, json::Json, store::Entry};

/// One command as JSON, ready to be put into a request.
#[derive(Clone)]
pub struct Command(Box<RawValue>);

impl fmt::Debug for Command {
    /// Its length only: a command may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({} bytes)", self.0.get().len())
    }
}

impl Command {
    /// Its JSON.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }
}

/// May this client come in?
#[derive(Debug, Default)]
pub struct AuthCommand<'a> {
    /// Comes back in the answer.
    pub auth_id: &'a str,
    /// Who it says it is.
    pub user_id: Option<&'a str>,
    /// What it shows for a proof.
    pub token: Option<&'a str>,
    /// The application's protocol version it speaks.
    pub subprotocol: Option<&'a Subprotocol>,
    /// The cookies of its HTTP request.
    pub cookie: BTreeMap<String, String>,
    /// What it says about itself: a JSON object.
    pub headers: Option<&'a Json>,
}

/// An action of a client, a subscription included.
#[derive(Debug)]
pub struct ActionCommand<'a> {
    /// The action and its meta.
    pub entry: &'a Entry,
    /// The application's protocol version of its author.
    pub subprotocol: Option<&'a Subprotocol>,
    /// What the author's client says about itself: a JSON object.
    pub headers: Option<&'a Json>,
}

/// Back ends know one way of writing versions, SemVer. What clients of protocol 5 write as a number stands for `N.0.0`.
fn semver(subprotocol: Option<&Subprotocol>) -> String {
    match subprotocol {
        Some(Subprotocol::SemVer(text)) => text.as_ref().to_owned(),
        Some(Subprotocol::Number(number)) => format!("{number}.0.0"),
        None => "0.0.0".to_owned(),
    }
}

fn untyped_reducer(json: Option<&str>) -> Result<&RawValue, serde_json::Error> {
    serde_json::from_str(json.unwrap_or("{}"))
}

impl AuthCommand<'_> {
    /// The command as JSON.
    ///
    /// # Errors
    /// When a text that Logux takes for JSON is none to `serde_json`.
    pub fn to_command(&self) -> Result<Command, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct RequestFields<'a> {
            command: &'static str,
            auth_id: &'a str,
            user_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            token: Option<&'a str>,
            subprotocol: String,
            cookie: &'a BTreeMap<String, String>,
            headers: &'a RawValue,
        }
        serde_json::value::to_raw_value(&RequestFields {
            command: "auth",
            auth_id: self.auth_id,
            user_id: self.user_id,
            token: self.token,
            subprotocol: semver(self.subprotocol),
            cookie: &self.cookie,
            headers: untyped_reducer(self.headers.map(Json::as_str))?,
        })
        .map(Command)
    }
}

impl ActionCommand<'_> {
    /// The command as JSON; the action is the text that came.
    ///
    /// # Errors
    /// When a text that Logux takes for JSON is none to `serde_json`.
    pub fn to_command(&self) -> Result<Command, serde_json::Error> {
        #[derive(Serialize)]
        struct Meta {
            id: String,
            time: i64,
            subprotocol: String,
        }
        #[derive(Serialize)]
        struct RequestFields<'a> {
            command: &'static str,
            action: &'a RawValue,
            meta: Meta,
            headers: &'a RawValue,
        }
        let meta = &self.entry.meta;
        serde_json::value::to_raw_value(&RequestFields {
            command: "action",
            action: untyped_reducer(Some(self.entry.action.as_json()))?,
            meta: Meta {
                id: meta.id.to_string(),
                time: meta.time.as_millis(),
                subprotocol: semver(self.subprotocol),
            },
            headers: untyped_reducer(self.headers.map(Json::as_str))?,
        })
        .map(Command)
    }
}

/// The body of a request with some commands.
pub fn request<'a>(secret: &str, commands: impl IntoIterator<Item = &'a Command>) -> String {
    #[derive(Serialize)]
    struct RequestFields<'a> {
        version: u32,
        secret: &'a str,
        commands: Vec<&'a RawValue>,
    }
    let commands = commands.into_iter().map(|command| &*command.0).collect();
    // Numbers, texts and JSON can always be written as JSON.
    serde_json::to_string(&RequestFields { version: VERSION, secret, commands }).unwrap_or_default()
}
