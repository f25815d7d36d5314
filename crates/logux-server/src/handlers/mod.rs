//! The application's side: its handlers, and the values that they receive.
//!
//! Read [`handler`] (the type of a handler), then [`context`] (its argument), then [`action_type`],
//! [`typed_action`] and [`channel`] (sets of handlers), then [`pattern`] (the names that they are
//! registered under) and [`registry`], which finds and calls the handlers for each request of the
//! hub. [`deletions`] remembers what was deleted while it was sent; [`on_connect`] sends actions to
//! clients that connect; [`projection`] computes states from the server's log.

pub(crate) mod action_type;
pub(crate) mod channel;
pub(crate) mod context;
pub(crate) mod deletions;
pub(crate) mod handler;
pub(crate) mod load_limiter;
pub(crate) mod on_connect;
pub(crate) mod pattern;
pub(crate) mod projection;
pub(crate) mod registry;
pub(crate) mod typed_action;
