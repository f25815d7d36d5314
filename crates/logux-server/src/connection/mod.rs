//! One client's connection, from its first frame to its last.
//!
//! Read [`driver`]: it owns the transport and the `sync::Node`, reads and writes frames, and
//! exchanges commands and outbox items with the hub. [`batch`] decides which actions share a
//! message, [`rate_limit`] throttles reads. [`shared`] is the state that all connections share and
//! the decision who may connect, with [`auth`] (what the application decides) and
//! [`login_throttle`] (a limit on wrong credentials). [`registry`] lists all open connections.

pub(crate) mod auth;
pub(crate) mod batch;
pub(crate) mod driver;
pub(crate) mod login_throttle;
pub(crate) mod rate_limit;
pub(crate) mod registry;
pub(crate) mod shared;
