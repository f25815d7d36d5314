//! How a server is described, started and stopped.
//!
//! Read [`builder`] (the description), then [`config`], then [`running`] (a server from its start
//! to its end). [`signal`] waits for the operating system's requests to stop; [`relay`] registers
//! handlers for end-to-end encrypted actions.

pub(crate) mod builder;
pub(crate) mod config;
mod relay;
pub(crate) mod running;
pub(crate) mod signal;
