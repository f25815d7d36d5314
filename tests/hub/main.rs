//! The hub. The tests play the roles of the clients and the application.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod client_undos;
mod connections;
mod counted_store;
mod delivery;
mod determinism;
mod documents;
mod events;
mod exactly_once;
mod fates;
mod filters;
mod late_subscribers;
mod limits;
mod memory;
mod presence;
mod processing;
mod reloads;
mod replaced;
mod revoking;
mod rounds;
mod slices;
mod world;
