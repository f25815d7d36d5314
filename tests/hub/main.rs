//! A hub, with the clients and the application played by the tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounds;
mod delivery;
mod determinism;
mod events;
mod filters;
mod join;
mod late;
mod life;
mod once;
mod world;
