//! The machine of a client, with hand-written frames of the server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../hub/counted_store.rs"]
mod counted_store;

mod answers;
mod bursts;
mod commit;
mod connection;
mod device;
mod documents;
mod encryption;
mod followers;
mod hostile;
mod presence;
mod selections;
mod starts;
mod subscriptions;
mod typing;
mod undo;
mod undo_steps;
mod user;
