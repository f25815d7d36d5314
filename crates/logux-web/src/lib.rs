//! The client of the engine for JavaScript: a pure machine, which is called with JSON and returns
//! JSON. The package `logux-web` has the other half, in JavaScript: the WebSocket, the timers and
//! IndexedDB.
//!
//! Read [`WebClient`], then `call` (what JavaScript asks for, which `reading` reads by the `fields`
//! of its JSON), `turn` (what it has to do) and `saved` (what it writes into a database). `records`
//! has the open lists of records, `texts`, `trees` and `history` the longer answers, `abi` the
//! functions of the WebAssembly module.

#[cfg(target_arch = "wasm32")]
mod abi;
mod call;
mod fields;
mod history;
mod reading;
mod records;
mod saved;
mod texts;
mod trees;
mod turn;
mod web_client;

pub use call::{ActionMeta, Call, CallError, Device, Start};
pub use fields::FieldError;
pub use saved::{SavedChange, SavedChangeError};
pub use turn::{LoggedAction, Turn, WebEvent};
pub use web_client::WebClient;
