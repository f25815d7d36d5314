//! The thread that owns the engine's hub, and the queues to and from it.
//!
//! Read [`driver`] first: it handles commands in rounds, commits each round, and performs the
//! outputs. [`handle`] sends the commands; [`outbox`] is the bounded queue of outputs to one
//! connection, and [`outboxes`] fills all of them. [`application`] has the traits through which the
//! driver calls the application, [`executor`] runs the handlers. A handler sends at the pace of its
//! [`reader`]. [`waiting`] is the driver while the log cannot be written, [`outage`] such a time,
//! and [`log_status`] what other parts know of it. [`recipients`] converts channel names to
//! recipients.

pub(crate) mod application;
pub(crate) mod driver;
pub(crate) mod executor;
pub(crate) mod handle;
pub(crate) mod log_status;
pub(crate) mod outage;
pub(crate) mod outbox;
pub(crate) mod outboxes;
pub(crate) mod reader;
pub(crate) mod recipients;
mod waiting;
