//! The network between one client and the server.

use std::collections::VecDeque;

use super::clock::Random;

/// Frames in transit in one direction, each with its time of arrival.
#[derive(Debug, Default)]
pub(in crate::testing) struct FrameQueue {
    frames: VecDeque<(u64, String)>,
}

impl FrameQueue {
    /// Sends a frame. It does not arrive before earlier frames.
    pub(in crate::testing) fn send(&mut self, arrives: u64, frame: String) {
        let arrives = self.frames.back().map_or(arrives, |(last, _)| arrives.max(*last));
        self.frames.push_back((arrives, frame));
    }

    /// Returns the next time of arrival.
    pub(in crate::testing) fn next_arrival(&self) -> Option<u64> {
        self.frames.front().map(|(arrives, _)| *arrives)
    }

    /// Returns the next frame, if it has arrived.
    pub(in crate::testing) fn receive(&mut self, now: u64) -> Option<String> {
        self.frames.pop_front_if(|(arrives, _)| *arrives <= now).map(|(_, frame)| frame)
    }

    /// Cuts the connection after a random number of bytes. Frames that are complete up to there
    /// still arrive. Returns the number of lost frames.
    pub(in crate::testing) fn cut(&mut self, random: &mut Random) -> usize {
        let bytes: usize = self.frames.iter().map(|(_, frame)| frame.len()).sum();
        let mut remaining = random.between(0, bytes as u64);
        let is_complete =
            |(_, frame): &&(u64, String)| match remaining.checked_sub(frame.len() as u64) {
                Some(rest) => {
                    remaining = rest;
                    true
                }
                None => false,
            };
        let complete = self.frames.iter().take_while(is_complete).count();
        let lost = self.frames.len() - complete;
        self.frames.truncate(complete);
        lost
    }
}

/// A connection, or the time of the next attempt to connect.
#[derive(Debug)]
pub(super) enum Link {
    /// The connection is open.
    Up { to_server: FrameQueue, to_client: FrameQueue },
    /// There is no connection; the client connects at this time. `None`: not before the network is
    /// healed.
    Down(Option<u64>),
}

impl Link {
    pub(super) fn up() -> Self {
        Self::Up { to_server: FrameQueue::default(), to_client: FrameQueue::default() }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Up { to_server, to_client } if to_server.frames.is_empty() && to_client.frames.is_empty())
    }
}
