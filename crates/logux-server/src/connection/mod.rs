//! One client's connection, from its first frame to its last.
//!
//! Read [`driver`]: it owns the transport and the `sync::Node`, reads and writes frames, and
//! exchanges commands and outbox items with the hub. [`batch`] decides which actions share a
//! message, [`rate_limit`] throttles reads; large frames wait for memory ([`large_frames`],
//! [`receive_budget`]). [`shared`] has the state that all connections share and
//! decides which clients may connect, with [`auth`] (the application's decision) and
//! [`login_throttle`] (delays after wrong credentials) and [`replacements`] (a pause for clients
//! that replace each other). [`registry`] lists all open connections.

pub(crate) mod auth;
pub(crate) mod batch;
pub(crate) mod driver;
pub(crate) mod large_frames;
pub(crate) mod login_throttle;
pub(crate) mod rate_limit;
pub(crate) mod receive_budget;
pub(crate) mod registry;
pub(crate) mod replacements;
pub(crate) mod shared;
