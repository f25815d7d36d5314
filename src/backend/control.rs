//! Control requests: requests of a back end to the server.

use core::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{AddedMeta, VERSION};
use crate::{action::Action, server::Recipients};

/// A request of the back end to add actions to the log.
pub struct ControlRequest {
    /// The shared secret. To be compared in constant time, before the call of
    /// [`commands`](Self::commands).
    pub secret: String,
    commands: Vec<Box<RawValue>>,
}

impl fmt::Debug for ControlRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlRequest")
            .field("commands", &self.commands.len())
            .finish_non_exhaustive()
    }
}

/// An error in a control request. Its texts are those of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlError {
    /// The body is not JSON.
    Format,
    /// The body is not an object with a number `version`, a string `secret` and a list of objects
    /// `commands`.
    Body,
    /// The version is not [`VERSION`].
    Version,
    /// A command is unknown, or has no valid action, meta, clients or channel.
    Command,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "Wrong format",
            Self::Body => "Wrong body",
            Self::Version => "Back-end protocol version is not supported",
            Self::Command => "Wrong command",
        })
    }
}

impl core::error::Error for ControlError {}

impl ControlRequest {
    /// Reads the body of a request, without checking the content of its commands. O(length).
    ///
    /// # Errors
    /// [`ControlError::Format`], [`ControlError::Body`] or [`ControlError::Version`], checked in
    /// this order.
    pub fn from_json(body: &[u8]) -> Result<Self, ControlError> {
        #[derive(Deserialize)]
        struct BodyFields {
            version: f64,
            secret: String,
            commands: Vec<Box<RawValue>>,
        }
        serde_json::from_slice::<&RawValue>(body).map_err(|_| ControlError::Format)?;
        let BodyFields { version, secret, commands } =
            serde_json::from_slice(body).map_err(|_| ControlError::Body)?;
        if commands.iter().any(|command| !command.get().starts_with('{')) {
            return Err(ControlError::Body);
        }
        if version != f64::from(VERSION) {
            return Err(ControlError::Version);
        }
        Ok(Self { secret, commands })
    }

    /// Returns the commands. O(length).
    ///
    /// # Errors
    /// [`ControlError::Command`] if one of the commands is invalid.
    pub fn commands(&self) -> Result<Vec<ControlCommand>, ControlError> {
        self.commands
            .iter()
            .map(|command| read(command.get()).ok_or(ControlError::Command))
            .collect()
    }
}

/// A command of the back end.
#[derive(Debug)]
#[non_exhaustive]
pub enum ControlCommand {
    /// `action`: an action to add to the log.
    Action(Box<(Action, AddedMeta)>),
    /// `unsubscribe`: the subscriptions of these clients to a channel end.
    Unsubscribe {
        /// The clients, at least one.
        clients: Recipients,
        /// The channel.
        channel: Arc<str>,
    },
    /// `disconnect`: the connections of these clients are closed.
    Disconnect {
        /// The clients, at least one.
        clients: Recipients,
        /// Whether the clients are told that their credentials are wrong, so that they do not
        /// connect again by themselves.
        is_final: bool,
    },
}

fn read(command: &str) -> Option<ControlCommand> {
    #[derive(Deserialize)]
    struct CommandFields<'a> {
        command: String,
        #[serde(borrow)]
        action: Option<&'a RawValue>,
        #[serde(borrow)]
        meta: &'a RawValue,
        channel: Option<Arc<str>>,
        #[serde(default, rename = "final")]
        is_final: bool,
    }
    let fields: CommandFields<'_> = serde_json::from_str(command).ok()?;
    if !fields.meta.get().starts_with('{') {
        return None;
    }
    let meta: AddedMeta = serde_json::from_str(fields.meta.get()).ok()?;
    // A command without clients is a mistake of its author.
    let clients = |meta: AddedMeta| Some(meta.to).filter(|to| *to != Recipients::default());
    Some(match fields.command.as_str() {
        "action" => {
            ControlCommand::Action(Box::new((Action::new(fields.action?.get()).ok()?, meta)))
        }
        "unsubscribe" => {
            ControlCommand::Unsubscribe { clients: clients(meta)?, channel: fields.channel? }
        }
        "disconnect" => {
            ControlCommand::Disconnect { clients: clients(meta)?, is_final: fields.is_final }
        }
        _ => return None,
    })
}
