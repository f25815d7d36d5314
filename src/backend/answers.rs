//! What a back end answers, read while it comes.

use std::{collections::VecDeque, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{AddedMeta, BackendError, elements::Elements, meta::RecipientFields};
use crate::{action::Action, server::Recipients};

/// One answer: about which command, and what.
#[derive(Debug)]
pub struct BackendAnswer {
    /// The `id` of the action or the `authId` of the login. An error may concern all commands of its request.
    pub id: Option<Arc<str>>,
    /// What it says.
    pub reply: BackendReply,
}

/// What an answer says.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendReply {
    /// The client may come in.
    Authenticated {
        /// The application's protocol version, if it says so.
        subprotocol: Option<Arc<str>>,
    },
    /// The client may not come in.
    Denied,
    /// The client's version of the application is too old or too new.
    WrongSubprotocol {
        /// Which versions would do, as a SemVer range.
        supported: Arc<str>,
    },
    /// Others get the action too.
    Resend(Recipients),
    /// The author may do it.
    Approved,
    /// The author may not do it.
    Forbidden,
    /// An action to be sent.
    Action(Box<(Action, AddedMeta)>),
    /// Done.
    Processed,
    /// There is no such type.
    UnknownAction,
    /// There is no such channel.
    UnknownChannel,
    /// It does not work.
    Error {
        /// Why, for the log of the server.
        details: String,
    },
}

impl PartialEq for BackendReply {
    /// Actions are compared by their text and who gets them.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Authenticated { subprotocol: a }, Self::Authenticated { subprotocol: b }) => {
                a == b
            }
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

/// Reads the body of a response, a JSON list, while it comes.
#[derive(Debug)]
pub struct ResponseReader {
    elements: Elements,
    ready: VecDeque<Vec<u8>>,
    failed: Option<BackendError>,
}

impl ResponseReader {
    /// A reader that holds at most `limit` bytes of an answer that is not complete.
    pub const fn new(limit: usize) -> Self {
        Self { elements: Elements::new(limit), ready: VecDeque::new(), failed: None }
    }

    /// Takes the next bytes of the body, cut anywhere.
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

    /// The next answer that is complete. After an error there are no more.
    ///
    /// # Errors
    /// [`BackendError`] when what came is no answer.
    #[allow(
        clippy::should_implement_trait,
        reason = "`None` means that nothing is there yet, not that it is the end"
    )]
    pub fn next(&mut self) -> Option<Result<BackendAnswer, BackendError>> {
        match self.ready.pop_front() {
            Some(element) => Some(read(&element)),
            None => self.failed.clone().map(Err),
        }
    }

    /// Whether the list was closed; to be asked when the body has ended.
    ///
    /// # Errors
    /// [`BackendError::Truncated`] if it was not.
    pub fn finish(&self) -> Result<(), BackendError> {
        if self.elements.is_complete() { Ok(()) } else { Err(BackendError::Truncated) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestFields<'a> {
    answer: String,
    id: Option<Arc<str>>,
    auth_id: Option<Arc<str>>,
    subprotocol: Option<Arc<str>>,
    supported: Option<Arc<str>>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

fn read(text: &[u8]) -> Result<BackendAnswer, BackendError> {
    let wrong = |error: serde_json::Error| BackendError::NotAnAnswer { why: error.to_string() };
    let missing =
        |field| BackendError::NotAnAnswer { why: format!("the field `{field}` is missing") };
    let fields: RequestFields<'_> = serde_json::from_slice(text).map_err(wrong)?;
    let reply = match fields.answer.as_str() {
        "authenticated" => BackendReply::Authenticated { subprotocol: fields.subprotocol },
        "denied" => BackendReply::Denied,
        "wrongSubprotocol" => BackendReply::WrongSubprotocol {
            supported: fields.supported.ok_or_else(|| missing("supported"))?,
        },
        "resend" => BackendReply::Resend(
            serde_json::from_slice::<RecipientFields>(text).map_err(wrong)?.into_recipients(),
        ),
        "approved" => BackendReply::Approved,
        "forbidden" => BackendReply::Forbidden,
        "action" => {
            let action = fields.action.ok_or_else(|| missing("action"))?.get();
            let action = Action::new(action)
                .map_err(|error| BackendError::NotAnAnswer { why: error.to_string() })?;
            let meta = fields
                .meta
                .map(|meta| serde_json::from_str(meta.get()).map_err(wrong))
                .transpose()?;
            BackendReply::Action(Box::new((action, meta.unwrap_or_default())))
        }
        "processed" => BackendReply::Processed,
        "unknownAction" => BackendReply::UnknownAction,
        "unknownChannel" => BackendReply::UnknownChannel,
        "error" => {
            let details = fields.details.map(RawValue::get).unwrap_or_default();
            // A text without its quotes, anything else as it is.
            let text = serde_json::from_str(details).unwrap_or_else(|_| details.to_owned());
            BackendReply::Error { details: text }
        }
        other => return Err(BackendError::Unknown(other.to_owned())),
    };
    Ok(BackendAnswer { id: fields.id.or(fields.auth_id), reply })
}
