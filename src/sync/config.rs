//! The configuration of one end of a connection.

use core::time::Duration;
use std::sync::Arc;

use crate::{
    action::{NodeId, Subprotocol},
    json::Json,
    wire::{MessageLimits, Protocol},
};

/// The end of the connection that a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends `connect` when the connection opens, and corrects times by the server's clock.
    Client,
    /// Waits for `connect`.
    Server,
}

/// The configuration of a [`Node`](super::Node). Many nodes can share one in an `Arc`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node id.
    pub node: NodeId,
    /// The end of the connection.
    pub role: Role,
    /// The oldest protocol version to accept. Default: [`Protocol::OLDEST`].
    pub min_protocol: Protocol,
    /// The subprotocol, in its forms for the protocol versions. Default: 0.
    pub subprotocol: Subprotocols,
    /// A JSON object about this node, sent before `connect` or `connected`. Default: none.
    pub headers: Option<Json>,
    /// The time without a message after which a ping is sent. `None`: never. Default: 10 s for a
    /// client, 20 s for a server.
    pub ping_interval: Option<Duration>,
    /// The time to wait for `pong` and `synced` before the connection is closed. `None`: no limit.
    /// Default: 70 s.
    pub timeout: Option<Duration>,
    /// The time to wait for `connect` or `connected` before the connection is closed. `None`: no
    /// limit. Default: 70 s for a client, because the application decides about the login
    /// meanwhile; 15 s for a server.
    pub connect_timeout: Option<Duration>,
    /// The bounds of a received message.
    pub limits: MessageLimits,
    /// The largest message before the end of the authentication, in bytes. Default: 16 KiB for a
    /// server; for a client, that of `limits`.
    pub max_connect_bytes: usize,
    /// The largest number of messages that wait for the end of the authentication. Default: 100.
    pub max_waiting: usize,
    /// The largest total size of these messages, in bytes. Default: 16 KiB.
    pub max_waiting_bytes: usize,
    /// The number of received batches without [`Input::Persisted`](super::Input::Persisted) at
    /// which [`wants_frames`](super::Node::wants_frames) becomes `false`. Default: 64.
    pub max_receiving: usize,
    /// The size of the `sync` messages of these batches, in bytes, at which `wants_frames` becomes
    /// `false`. One more message may exceed it. Default: 512 KiB for a client, which confirms with
    /// a commit what has arrived together; 64 KiB for a server, which has many connections.
    pub max_receiving_bytes: usize,
    /// The largest number of received actions in one [`Output::Received`](super::Output::Received).
    /// A larger message is delivered in several batches, two at a time, so that its receiver can
    /// serve others between them. Default: 256.
    pub actions_per_batch: usize,
    /// The size of the actions of a batch at which it ends, in bytes. Default: 256 KiB.
    pub bytes_per_batch: usize,
    /// The number of sent `sync` messages without `synced` at which
    /// [`can_send`](super::Node::can_send) becomes `false`. Default: 1,000.
    pub max_sending: usize,
    /// The size of the sent `sync` messages without `synced`, in bytes, at which
    /// [`can_send`](super::Node::can_send) becomes `false`. So a peer on a slow line receives each
    /// message long before its [`timeout`](Self::timeout), and what waits in the buffers of the
    /// network is bounded. Default: 512 KiB.
    pub max_sending_bytes: usize,
    /// The largest number of actions in one sent `sync` message. Default: 100.
    pub actions_per_sync: usize,
    /// The largest size of a sent `sync` message, in bytes, unless it has one action only. Default:
    /// 1,000,000, below the limit of most peers.
    pub bytes_per_sync: usize,
}

/// The version of the application's own protocol: a number in protocol 5, a SemVer string in
/// protocols 3 and 4.
#[derive(Clone, Debug, Default)]
pub struct Subprotocols {
    /// The version in protocol 5.
    pub number: u32,
    /// The version in protocols 3 and 4. Defaults to `N.0.0`, where `N` is the number.
    pub semver: Option<Arc<str>>,
}

impl Subprotocols {
    /// Returns the version of an action in the form of a protocol version. A SemVer string is
    /// reduced to its major number in protocol 5.
    pub(super) fn convert(
        &self,
        version: Option<&Subprotocol>,
        protocol: Protocol,
    ) -> Option<Subprotocol> {
        let is_number = protocol.has_numeric_subprotocol();
        match version? {
            Subprotocol::Number(number) if *number == self.number => {
                Some(self.in_protocol(protocol))
            }
            Subprotocol::SemVer(text) if is_number => Some(Subprotocol::Number(major(text))),
            version if is_number => Some(version.clone()),
            version => Some(Subprotocol::SemVer(version.to_semver())),
        }
    }

    /// Returns the form of the subprotocol in a protocol version.
    pub fn in_protocol(&self, protocol: Protocol) -> Subprotocol {
        if protocol.has_numeric_subprotocol() {
            Subprotocol::Number(self.number)
        } else {
            Subprotocol::SemVer(
                self.semver.clone().unwrap_or_else(|| format!("{}.0.0", self.number).into()),
            )
        }
    }
}

/// Returns the major number of a SemVer string. 0 if there is none.
fn major(semver: &str) -> u32 {
    let digits = semver.trim_start_matches(['v', '=', ' ']);
    digits.split(['.', '-', '+']).next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

impl Config {
    /// Creates the default configuration of a client: a ping after 10 s of silence and a time-out
    /// of 70 s, as in the reference.
    pub fn client(node: NodeId) -> Self {
        Self {
            role: Role::Client,
            ping_interval: Some(Duration::from_secs(10)),
            connect_timeout: Some(Duration::from_secs(70)),
            max_connect_bytes: MessageLimits::default().message_bytes,
            max_receiving_bytes: 512 * 1024,
            ..Self::server(node)
        }
    }

    /// Creates the default configuration of a server: a ping after 20 s of silence and a time-out
    /// of 70 s, as in the reference; 15 s for `connect`.
    pub fn server(node: NodeId) -> Self {
        Self {
            node,
            role: Role::Server,
            min_protocol: Protocol::OLDEST,
            subprotocol: Subprotocols::default(),
            headers: None,
            ping_interval: Some(Duration::from_secs(20)),
            timeout: Some(Duration::from_secs(70)),
            connect_timeout: Some(Duration::from_secs(15)),
            limits: MessageLimits::default(),
            max_connect_bytes: 16 * 1024,
            max_waiting: 100,
            max_waiting_bytes: 16 * 1024,
            max_receiving: 64,
            max_receiving_bytes: 64 * 1024,
            actions_per_batch: 256,
            bytes_per_batch: 256 * 1024,
            max_sending: 1_000,
            max_sending_bytes: 512 * 1024,
            actions_per_sync: 100,
            bytes_per_sync: 1_000_000,
        }
    }
}
