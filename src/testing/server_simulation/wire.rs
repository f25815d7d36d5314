//! One connection between a device and the server: what is on its way, and which ends know that it is over.

use crate::testing::simulation::{clock::Chance, link::Way};

/// A connection. It is there until both ends know that it is over.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) to_server: Way,
    pub(super) to_client: Way,
    /// When each end learns that it is over, once it is: not before all frames on their way have come.
    pub(super) ends_at: [Option<u64>; 2],
    /// Whether an end is not interested any more.
    pub(super) is_left: [bool; 2],
}

/// An end of a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

impl Wire {
    pub(super) fn way(&mut self, to: Side) -> &mut Way {
        match to {
            Side::Server => &mut self.to_server,
            Side::Client => &mut self.to_client,
        }
    }

    /// Whether frames can be sent.
    pub(super) fn is_whole(&self) -> bool {
        self.ends_at == [None, None]
    }

    /// Cuts it in both directions, each at a byte of its own; returns how many frames are lost. The ends learn of it at these times.
    pub(super) fn cut(
        &mut self,
        chance: &mut Chance,
        server_learns: u64,
        client_learns: u64,
    ) -> usize {
        if !self.is_whole() {
            return 0;
        }
        let lost = self.to_server.cut(chance) + self.to_client.cut(chance);
        self.ends_at = [Some(server_learns), Some(client_learns)];
        lost
    }

    /// One end hangs up: what it has sent still comes, and then the other learns of it.
    pub(super) fn hang_up(&mut self, side: Side, other_learns: u64) {
        let other = match side {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        };
        self.is_left[side as usize] = true;
        self.ends_at[side as usize].get_or_insert(other_learns);
        self.ends_at[other as usize].get_or_insert(other_learns);
    }

    /// When the next thing comes to one end.
    pub(super) fn next_moment(&self, to: Side) -> Option<u64> {
        if self.is_left[to as usize] {
            return None;
        }
        let way = match to {
            Side::Server => &self.to_server,
            Side::Client => &self.to_client,
        };
        way.next().or(self.ends_at[to as usize])
    }

    /// Whether one end learns now that it is over.
    pub(super) fn is_over(&self, to: Side, now: u64) -> bool {
        self.next_moment(to).is_some_and(|at| at <= now) && self.is_empty(to)
    }

    fn is_empty(&self, to: Side) -> bool {
        match to {
            Side::Server => self.to_server.next().is_none(),
            Side::Client => self.to_client.next().is_none(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.is_whole() && self.is_empty(Side::Server) && self.is_empty(Side::Client)
    }
}
