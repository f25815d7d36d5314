//! The part of the inspector that is about documents, which the folder `documents` answers.

use futures_util::future::BoxFuture;
use hyper::StatusCode;
use serde_json::Value;

use crate::hub::handle::Handle;

/// Answers a request of the page, from its query, with a status and JSON. A server with documents
/// has it among its extensions.
#[derive(Clone, Copy)]
pub(crate) struct InspectedDocuments(
    pub(crate) fn(Handle, String) -> BoxFuture<'static, (StatusCode, Value)>,
);
