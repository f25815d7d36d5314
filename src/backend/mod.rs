//! The back-end protocol: any HTTP server is the application.
//!
//! What a Logux server asks an HTTP server, what that answers, and what it asks on its own account; all of it as values and JSON, who sends it lies
//! above. The protocol is the fourth version of the reference's, which `spec/backend.md` describes.
//!
//! ```
//! use logux::backend::{ResponseReader, BackendReply};
//!
//! let mut answers = ResponseReader::new(1024);
//! answers.push(br#"[{"answer":"approved","id":"1 10:a:b 0"},{"answer":"proc"#);
//! let first = answers.next().expect("one is complete")?;
//! assert_eq!((first.id.as_deref(), first.reply), (Some("1 10:a:b 0"), BackendReply::Approved));
//! assert!(answers.next().is_none(), "the rest has not come yet");
//! # Ok::<(), logux::backend::BackendError>(())
//! ```

mod answers;
mod control;
mod elements;
mod meta;
mod request;

pub use answers::{BackendAnswer, BackendReply, ResponseReader};
pub use control::{ControlError, ControlRequest};
pub use meta::AddedMeta;
pub use request::{ActionCommand, AuthCommand, Command, request};

/// The version of the protocol.
pub const VERSION: u32 = 4;

/// A back end answered something else than the protocol says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendError {
    /// The body is no list of answers.
    NotAList,
    /// The body ended before its list did.
    Truncated,
    /// One answer is longer than it may be.
    TooLong {
        /// How many bytes it may have.
        limit: usize,
    },
    /// One answer is no JSON object with a text `answer` and the fields that belong to it.
    NotAnAnswer {
        /// What is wrong.
        why: String,
    },
    /// The protocol has no answer of this name.
    Unknown(String),
}

impl core::fmt::Display for BackendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotAList => f.write_str("expected a JSON list of answers"),
            Self::Truncated => f.write_str("the list of answers ended in the middle"),
            Self::TooLong { limit } => write!(f, "an answer is longer than {limit} bytes"),
            Self::NotAnAnswer { why } => {
                write!(
                    f,
                    "expected an answer such as {{\"answer\":\"processed\",\"id\":\"…\"}}: {why}"
                )
            }
            Self::Unknown(name) => write!(f, "there is no answer `{name}`"),
        }
    }
}

impl core::error::Error for BackendError {}
