//! A hub, with the clients and the application played by the tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounds;
mod coming;
mod delivery;
mod late;
mod life;
mod once;
mod seeing;
mod world;
