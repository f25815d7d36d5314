//! How a server is described, started and stopped.
//!
//! Read [`builder`] (the description), then [`settings`], then [`running`] (a server from its start
//! to its end). [`signal`] waits for the operating system's requests to stop; [`relay`] registers
//! handlers for end-to-end encrypted actions.

pub(crate) mod builder;
mod relay;
pub(crate) mod running;
pub(crate) mod settings;
pub(crate) mod signal;
