//! The answers of a back end, read from the parts of a body.

use std::{collections::VecDeque, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{AddedMeta, BackendError, elements::Elements, meta::RecipientFields};
use crate::{action::Action, server::Recipients, time::WallTime};

/// One answer of a back end.
#[derive(Debug)]
pub struct BackendAnswer {
    /// The `id` of the action or the `authId` of the authentication. `None` for an error of all
    /// commands of the request.
    pub id: Option<Arc<str>>,
    /// The content of the answer.
    pub reply: BackendReply,
}

/// The content of an answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendReply {
    /// `authenticated`: the client is accepted.
    Authenticated {
        /// The subprotocol of the application, if the answer has it.
        subprotocol: Option<Arc<str>>,
        /// The end of the login, if the answer has it.
        expires: Option<WallTime>,
    },
    /// `denied`: the client is rejected.
    Denied,
    /// `wrongSubprotocol`: the client's subprotocol is not supported.
    WrongSubprotocol {
        /// The supported versions, as a SemVer range.
        supported: Arc<str>,
    },
    /// `resend`: the action is sent to these recipients.
    Resend(Recipients),
    /// `approved`: the author may send the action or subscribe.
    Approved,
    /// `forbidden`: the author may not send the action or subscribe.
    Forbidden,
    /// `action`: an action to add to the log.
    Action(Box<(Action, AddedMeta)>),
    /// `processed`: the command is processed.
    Processed,
    /// `unknownAction`: the back end does not know the type of the action.
    UnknownAction,
    /// `unknownChannel`: the back end does not know the channel.
    UnknownChannel,
    /// `error`: the command failed.
    Error {
        /// The details, for the log of the server.
        details: String,
    },
}

impl PartialEq for BackendReply {
    /// Compares actions by their text and their recipients.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Authenticated { subprotocol: a, expires: a_end },
                Self::Authenticated { subprotocol: b, expires: b_end },
            ) => a == b && a_end == b_end,
            (Self::WrongSubprotocol { supported: a }, Self::WrongSubprotocol { supported: b }) => {
                a == b
            }
            (Self::Resend(a), Self::Resend(b)) => a == b,
            (Self::Action(a), Self::Action(b)) => a.0 == b.0 && a.1.to == b.1.to,
            (Self::Error { details: a }, Self::Error { details: b }) => a == b,
            _ => core::mem::discriminant(self) == core::mem::discriminant(other),
        }
    }
}

/// Reads the answers of a response, a JSON list, from parts of its body.
#[derive(Debug)]
pub struct ResponseReader {
    elements: Elements,
    ready: VecDeque<Vec<u8>>,
    failed: Option<BackendError>,
}

impl ResponseReader {
    /// Creates a reader of answers of at most `limit` bytes each.
    pub const fn new(limit: usize) -> Self {
        Self { elements: Elements::new(limit), ready: VecDeque::new(), failed: None }
    }

    /// Adds the next bytes of the body. Parts may end anywhere. O(length).
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.failed.is_some() {
                return;
            }
            match self.elements.byte(*byte) {
                Ok(element) => self.ready.extend(element),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    /// Returns the next complete answer. `None` if no complete answer has been received.
    ///
    /// # Errors
    /// [`BackendError`] if the next element is not a valid answer. If the list itself is invalid or
    /// an answer is too long, all later calls return the error too.
    #[allow(
        clippy::should_implement_trait,
        reason = "`None` does not mean the end: later bytes may complete an answer"
    )]
    pub fn next(&mut self) -> Option<Result<BackendAnswer, BackendError>> {
        match self.ready.pop_front() {
            Some(element) => Some(read(&element)),
            None => self.failed.clone().map(Err),
        }
    }

    /// Checks that the list is complete. To be called at the end of the body.
    ///
    /// # Errors
    /// [`BackendError::Truncated`] if the list is not complete.
    pub fn finish(&self) -> Result<(), BackendError> {
        if self.elements.is_complete() { Ok(()) } else { Err(BackendError::Truncated) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerFields<'a> {
    answer: String,
    id: Option<Arc<str>>,
    auth_id: Option<Arc<str>>,
    subprotocol: Option<Arc<str>>,
    supported: Option<Arc<str>>,
    expires: Option<f64>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

fn read(text: &[u8]) -> Result<BackendAnswer, BackendError> {
    let invalid = |error: serde_json::Error| BackendError::NotAnAnswer { why: error.to_string() };
    let missing =
        |field| BackendError::NotAnAnswer { why: format!("the field `{field}` is missing") };
    let fields: AnswerFields<'_> = serde_json::from_slice(text).map_err(invalid)?;
    let reply = match fields.answer.as_str() {
        "authenticated" => BackendReply::Authenticated {
            subprotocol: fields.subprotocol,
            #[allow(
                clippy::cast_possible_truncation,
                reason = "fractions of a millisecond are dropped; times out of range saturate"
            )]
            expires: fields.expires.map(|ms| WallTime::from_millis(ms as i64)),
        },
        "denied" => BackendReply::Denied,
        "wrongSubprotocol" => BackendReply::WrongSubprotocol {
            supported: fields.supported.ok_or_else(|| missing("supported"))?,
        },
        "resend" => BackendReply::Resend(
            serde_json::from_slice::<RecipientFields>(text).map_err(invalid)?.into_recipients(),
        ),
        "approved" => BackendReply::Approved,
        "forbidden" => BackendReply::Forbidden,
        "action" => {
            let action = fields.action.ok_or_else(|| missing("action"))?.get();
            let action = Action::new(action)
                .map_err(|error| BackendError::NotAnAnswer { why: error.to_string() })?;
            let meta = fields
                .meta
                .map(|meta| serde_json::from_str(meta.get()).map_err(invalid))
                .transpose()?;
            BackendReply::Action(Box::new((action, meta.unwrap_or_default())))
        }
        "processed" => BackendReply::Processed,
        "unknownAction" => BackendReply::UnknownAction,
        "unknownChannel" => BackendReply::UnknownChannel,
        "error" => {
            let details = fields.details.map(RawValue::get).unwrap_or_default();
            // A string is decoded; other values stay JSON.
            let details = serde_json::from_str(details).unwrap_or_else(|_| details.to_owned());
            BackendReply::Error { details }
        }
        other => return Err(BackendError::Unknown(other.to_owned())),
    };
    Ok(BackendAnswer { id: fields.id.or(fields.auth_id), reply })
}
