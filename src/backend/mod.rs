//! The back-end protocol, for an application that is an HTTP server.
//!
//! The requests of a Logux server, the answers of the application, and the application's control
//! requests, as values and JSON. `logux-server` sends and receives them. The protocol is version 4
//! of the reference's back-end protocol; `spec/backend.md` describes it.
//!
//! Read [`AuthCommand`], [`ActionCommand`] and [`request()`], then [`BackendAnswer`] and
//! [`ResponseReader`], then [`ControlRequest`] and [`AddedMeta`].
//!
//! ```
//! use logux::backend::{ResponseReader, BackendReply};
//!
//! let mut answers = ResponseReader::new(1024);
//! answers.push(br#"[{"answer":"approved","id":"1 10:a:b 0"},{"answer":"proc"#);
//! let first = answers.next().expect("a complete answer")?;
//! assert_eq!((first.id.as_deref(), first.reply), (Some("1 10:a:b 0"), BackendReply::Approved));
//! assert!(answers.next().is_none(), "the second answer is incomplete");
//! # Ok::<(), logux::backend::BackendError>(())
//! ```

mod answers;
mod control;
mod elements;
mod meta;
mod request;

pub use answers::{BackendAnswer, BackendReply, ResponseReader};
pub use control::{ControlCommand, ControlError, ControlRequest};
pub use meta::AddedMeta;
pub use request::{ActionCommand, AuthCommand, BackendCommand, request};

/// The version of the protocol.
pub const VERSION: u32 = 4;

/// An invalid response of a back end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendError {
    /// The body is not a JSON list.
    NotAList,
    /// The body ended before the end of the list.
    Truncated,
    /// An answer is too long.
    TooLong {
        /// The largest length of an answer, in bytes.
        limit: usize,
    },
    /// An answer is not a JSON object with a string `answer` and the fields that it requires.
    NotAnAnswer {
        /// The problem.
        why: String,
    },
    /// The protocol has no answer with this name.
    Unknown(String),
}

impl core::fmt::Display for BackendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotAList => f.write_str("expected a JSON list of answers"),
            Self::Truncated => f.write_str("the body ended before the end of the list of answers"),
            Self::TooLong { limit } => write!(f, "an answer is longer than {limit} bytes"),
            Self::NotAnAnswer { why } => {
                write!(
                    f,
                    "expected an answer such as {{\"answer\":\"processed\",\"id\":\"…\"}}: {why}"
                )
            }
            Self::Unknown(name) => write!(f, "unknown answer `{name}`"),
        }
    }
}

impl core::error::Error for BackendError {}
