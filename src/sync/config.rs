//! What one end of a connection is told at the start.

use core::time::Duration;
use std::sync::Arc;

use crate::{
    action::{NodeId, Subprotocol},
    json::Json,
    wire::{MessageLimits, Protocol},
};

/// Which end of the connection a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends `connect` when the connection opens, and corrects times by the server's clock.
    Client,
    /// Waits for `connect`, and asks its owner whether to let the other in.
    Server,
}

/// Settings of a [`Node`](super::Node). Many nodes can share one through an `Arc`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Own node id.
    pub node: NodeId,
    /// Which end of the connection this is.
    pub role: Role,
    /// The oldest protocol version to speak.
    pub min_protocol: Protocol,
    /// The application's protocol version, for each way in which the protocol's versions write it.
    pub subprotocol: Subprotocols,
    /// What the other end gets to know about this one, before `connect` or `connected`.
    pub headers: Option<Json>,
    /// The time without a message after which a ping is sent. `None`: never.
    pub ping_interval: Option<Duration>,
    /// The time to wait for `connect`, `connected`, `pong` and `synced` before the connection is
    /// closed. `None`: no limit.
    pub timeout: Option<Duration>,
    /// What the other end may make us hold.
    pub limits: MessageLimits,
    /// How many messages may wait for the authentication.
    pub max_waiting: usize,
    /// How many bytes they may have together.
    pub max_waiting_bytes: usize,
    /// How many received `sync` messages may wait to be kept before no more is read.
    pub max_receiving: usize,
    /// How many sent `sync` messages may wait for `synced` before no more is sent.
    pub max_sending: usize,
    /// How many actions to put into one `sync` message.
    pub actions_per_sync: usize,
}

/// The application's own protocol version: a number for protocol 5, a SemVer text for 3 and 4.
#[derive(Clone, Debug, Default)]
pub struct Subprotocols {
    /// For protocol 5.
    pub number: u32,
    /// For protocols 3 and 4; made from the number (`N.0.0`) when it is not given.
    pub semver: Option<Arc<str>>,
}

impl Subprotocols {
    /// How it is written in a protocol version.
    pub fn in_protocol(&self, protocol: Protocol) -> Subprotocol {
        if protocol.numbers_subprotocol() {
            Subprotocol::Number(self.number)
        } else {
            Subprotocol::SemVer(
                self.semver.clone().unwrap_or_else(|| format!("{}.0.0", self.number).into()),
            )
        }
    }
}

impl Config {
    /// The settings of a client: ping after 10 s of silence, give up after 70 s, as in the reference.
    pub fn client(node: NodeId) -> Self {
        Self {
            role: Role::Client,
            ping_interval: Some(Duration::from_secs(10)),
            ..Self::server(node)
        }
    }

    /// The settings of a server: ping after 20 s of silence, give up after 70 s, as in the reference.
    pub fn server(node: NodeId) -> Self {
        Self {
            node,
            role: Role::Server,
            min_protocol: Protocol::OLDEST,
            subprotocol: Subprotocols::default(),
            headers: None,
            ping_interval: Some(Duration::from_secs(20)),
            timeout: Some(Duration::from_secs(70)),
            limits: MessageLimits::default(),
            max_waiting: 100,
            max_waiting_bytes: 64 * 1024,
            max_receiving: 64,
            max_sending: 1_000,
            actions_per_sync: 100,
        }
    }
}
