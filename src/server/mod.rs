//! A hub: who is connected, who is subscribed to what, and the life of each action. No sockets, no callbacks.
//!
//! Read [`Hub`], then [`Input`], [`Output`] and [`Answer`]. Each connection has a [`sync::Node`](crate::sync::Node) of its own, outside;
//! the hub speaks to them by [`SessionId`]. The application is asked by [`Output::Ask`] and answers by [`Input::Answer`] whenever it
//! likes.

mod channels;
mod cleaned;
mod clock;
mod held;
mod hub;
mod inbox;
mod io;
mod jobs;
mod keep;
mod numbers;
mod rate;
mod session_id;
mod sessions;

pub use hub::{Census, Config, ConnectedClient, Hub};
pub use io::{
    About, Addition, Answer, Ask, Author, Filter, Input, Job, Output, QueueName, Queues,
    Recipients, Report, Undoing,
};
pub use keep::{Keep, Keeps};
pub use rate::{Buckets, Rate, RateError, TokenBucket};
pub use session_id::{NumberHasher, SessionId, SessionMap};

/// The log of a hub, and who looks at what comes and goes.
type HubLog<S> = crate::log::Log<S, (cleaned::Cleaned, held::Held)>;
