//! A connection between a device and the server: its frames in transit, and when each end detects
//! that it is closed.

use crate::testing::simulation::{clock::Random, link::FrameQueue};

/// A connection. It exists until both ends have left it.
#[derive(Debug, Default)]
pub(super) struct Connection {
    pub(super) to_server: FrameQueue,
    pub(super) to_client: FrameQueue,
    /// The time when each end detects that the connection is closed, in milliseconds. Frames in
    /// transit arrive before.
    closed_at: [Option<u64>; 2],
    /// Whether each end has left the connection, and receives no more frames.
    pub(super) is_left: [bool; 2],
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

impl Connection {
    /// Returns the queue of the frames to one end.
    pub(super) fn queue(&mut self, to: Side) -> &mut FrameQueue {
        match to {
            Side::Server => &mut self.to_server,
            Side::Client => &mut self.to_client,
        }
    }

    /// Returns `true` if frames can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.closed_at == [None, None]
    }

    /// Cuts each direction at a random byte, and returns the number of lost frames. The ends detect
    /// it at these times, in milliseconds.
    pub(super) fn cut(
        &mut self,
        random: &mut Random,
        server_detects: u64,
        client_detects: u64,
    ) -> usize {
        if !self.is_open() {
            return 0;
        }
        let lost = self.to_server.cut(random) + self.to_client.cut(random);
        self.closed_at = [Some(server_detects), Some(client_detects)];
        lost
    }

    /// Closes the connection at one end. The other end still receives all frames in transit, and
    /// then detects it at this time, in milliseconds.
    pub(super) fn close(&mut self, side: Side, other_detects: u64) {
        let other = match side {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        };
        self.is_left[side as usize] = true;
        self.closed_at[side as usize].get_or_insert(other_detects);
        self.closed_at[other as usize].get_or_insert(other_detects);
    }

    /// Returns the time of the next event at one end, in milliseconds.
    pub(super) fn next_event(&self, to: Side) -> Option<u64> {
        if self.is_left[to as usize] {
            return None;
        }
        let queue = match to {
            Side::Server => &self.to_server,
            Side::Client => &self.to_client,
        };
        queue.next_arrival().or(self.closed_at[to as usize])
    }

    /// Returns `true` if one end detects by this time that the connection is closed.
    pub(super) fn is_closed(&self, to: Side, now: u64) -> bool {
        self.next_event(to).is_some_and(|at| at <= now) && self.is_empty(to)
    }

    fn is_empty(&self, to: Side) -> bool {
        match to {
            Side::Server => self.to_server.next_arrival().is_none(),
            Side::Client => self.to_client.next_arrival().is_none(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.is_open() && self.is_empty(Side::Server) && self.is_empty(Side::Client)
    }
}
