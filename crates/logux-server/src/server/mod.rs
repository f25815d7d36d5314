//! Describes, starts and stops a server.
//!
//! Read [`builder`] (the description), then [`config`], then [`running`] (start and shutdown).
//! [`signal`] waits for the operating system's signals to stop; [`relay`] registers handlers for
//! end-to-end encrypted actions.

pub(crate) mod builder;
pub(crate) mod config;
mod relay;
pub(crate) mod running;
pub(crate) mod signal;
