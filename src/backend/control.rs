//! What a back end asks of the server.

use core::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{AddedMeta, VERSION};
use crate::action::Action;

/// A request of the back end: actions to be added.
pub struct ControlRequest {
    /// What it shows for a proof. To be compared in constant time, before [`actions`](Self::actions) are looked at.
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

/// A request that cannot be understood. The texts are the reference's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlError {
    /// It is not JSON.
    Format,
    /// It is no object with a number `version`, a text `secret` and a list of objects `commands`.
    Body,
    /// It is of another version than [`VERSION`].
    Version,
    /// A command is not `action` with an action and a meta.
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
    /// Reads the body of a request, except for its commands.
    ///
    /// # Errors
    /// [`ControlError`], in the order of its variants.
    pub fn from_json(body: &[u8]) -> Result<Self, ControlError> {
        #[derive(Deserialize)]
        struct RequestFields {
            version: f64,
            secret: String,
            commands: Vec<Box<RawValue>>,
        }
        serde_json::from_slice::<&RawValue>(body).map_err(|_| ControlError::Format)?;
        let RequestFields { version, secret, commands } =
            serde_json::from_slice(body).map_err(|_| ControlError::Body)?;
        if commands.iter().any(|command| !command.get().starts_with('{')) {
            return Err(ControlError::Body);
        }
        if version != f64::from(VERSION) {
            return Err(ControlError::Version);
        }
        Ok(Self { secret, commands })
    }

    /// The actions to be added, all or none.
    ///
    /// # Errors
    /// [`ControlError::Command`] when one command is none.
    pub fn actions(&self) -> Result<Vec<(Action, AddedMeta)>, ControlError> {
        self.commands
            .iter()
            .map(|command| action(command.get()).ok_or(ControlError::Command))
            .collect()
    }
}

fn action(command: &str) -> Option<(Action, AddedMeta)> {
    #[derive(Deserialize)]
    struct RequestFields<'a> {
        command: String,
        #[serde(borrow)]
        action: &'a RawValue,
        #[serde(borrow)]
        meta: &'a RawValue,
    }
    let fields: RequestFields<'_> = serde_json::from_str(command).ok()?;
    let is_object = fields.meta.get().starts_with('{');
    if fields.command != "action" || !is_object {
        return None;
    }
    Some((Action::new(fields.action.get()).ok()?, serde_json::from_str(fields.meta.get()).ok()?))
}
