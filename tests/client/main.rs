//! The machine of a client, with hand-written frames of the server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod commit;
mod connection;
mod device;
mod encryption;
mod hostile;
mod subscriptions;
mod undo;
mod undo_steps;
mod user;
