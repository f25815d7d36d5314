//! What runs the engine's hub: one thread that owns it, and the ways to and from that thread.
//!
//! Read [`driver`] first: it gives commands to the hub in rounds, commits each round, and carries
//! out what follows. [`handle`] is the way in, a channel of commands; [`outbox`] is the way out, a
//! bounded queue for each connection, filled through [`outboxes`]. [`application`] is what the driver needs of the application,
//! [`executor`] runs its handlers. [`recipients`] says who receives an action.

pub(crate) mod application;
pub(crate) mod driver;
pub(crate) mod executor;
pub(crate) mod handle;
pub(crate) mod outbox;
pub(crate) mod outboxes;
pub(crate) mod recipients;
