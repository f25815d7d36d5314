//! The network between one client and the server.

use std::collections::VecDeque;

use super::clock::Chance;

/// Frames on their way in one direction, each with the time when it arrives.
#[derive(Debug, Default)]
pub(in crate::testing) struct Way {
    frames: VecDeque<(u64, String)>,
}

impl Way {
    /// Sends a frame. It does not overtake those before it.
    pub(in crate::testing) fn send(&mut self, arrives: u64, frame: String) {
        let arrives = self.frames.back().map_or(arrives, |(last, _)| arrives.max(*last));
        self.frames.push_back((arrives, frame));
    }

    pub(in crate::testing) fn next(&self) -> Option<u64> {
        self.frames.front().map(|(arrives, _)| *arrives)
    }

    pub(in crate::testing) fn receive(&mut self, now: u64) -> Option<String> {
        self.frames.pop_front_if(|(arrives, _)| *arrives <= now).map(|(_, frame)| frame)
    }

    /// Cuts the way after a number of bytes that chance decides: frames that are whole before that are still on their way. Returns how many are lost.
    pub(in crate::testing) fn cut(&mut self, chance: &mut Chance) -> usize {
        let bytes: usize = self.frames.iter().map(|(_, frame)| frame.len()).sum();
        let mut left = chance.between(0, bytes as u64);
        let is_whole = |(_, frame): &&(u64, String)| match left.checked_sub(frame.len() as u64) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        let whole = self.frames.iter().take_while(is_whole).count();
        let lost = self.frames.len() - whole;
        self.frames.truncate(whole);
        lost
    }
}

/// A connection, or the time when the client tries again.
#[derive(Debug)]
pub(super) enum Link {
    /// Frames can go both ways.
    Up { to_server: Way, to_client: Way },
    /// There is none, and the client tries again then. `None`: not before somebody heals the network.
    Down(Option<u64>),
}

impl Link {
    pub(super) fn up() -> Self {
        Self::Up { to_server: Way::default(), to_client: Way::default() }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Up { to_server, to_client } if to_server.frames.is_empty() && to_client.frames.is_empty())
    }
}
