//! A hub: who is connected, who is subscribed to what, and the life of each action. No sockets, no callbacks.
//!
//! Read [`Hub`], then [`Input`], [`Output`] and [`HandlerResponse`]. Each connection has a [`sync::Node`](crate::sync::Node) of its own, outside;
//! the hub speaks to them by [`SessionId`]. The application is asked by [`Output::Request`] and answers by [`Input::Respond`] whenever it
//! likes.

mod added_offsets;
mod channels;
mod clean_log;
mod clock;
mod hub;
mod inbox;
mod inbox_usage;
mod io;
mod observer;
mod rate;
mod requests;
mod retention;
mod session_id;
mod sessions;

pub use hub::{Config, ConnectedClient, Hub, HubStats};
pub use io::{
    AddAction, Author, Filter, HandlerRequest, HandlerResponse, HubEvent, Input, Output, QueueName,
    Queues, Recipients, RequestId, RequestKind, UndoRequest,
};
pub use rate::{Rate, RateError, TokenBucket, TokenBuckets};
pub use retention::{Retention, RetentionPolicy};
pub use session_id::{NumberHasher, SessionId, SessionMap};

/// The log of a hub, with its observer.
type HubLog<S> = crate::log::Log<S, observer::HubObserver>;
