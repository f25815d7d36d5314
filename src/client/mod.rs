//! A device: its own actions until they are answered, its subscriptions across reconnects.
//!
//! Read [`Client`], then [`Input`] and [`Output`].

mod io;
mod machine;
mod subscriptions;

pub use io::{Input, Output};
pub use machine::{Client, Config, Secret};
