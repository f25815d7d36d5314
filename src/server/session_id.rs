//! Numbers of connections, and maps by them.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;

/// Number of one connection, given by the driver, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A map by connections, looked into for each action that one is sent.
///
/// The driver gives the numbers one after the other, so nobody outside can choose some that collide, and hashing them can be a multiplication.
pub type SessionMap<V> = HashMap<SessionId, V, BuildHasherDefault<NumberHasher>>;

/// The hasher of [`SessionMap`], for numbers that are given one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4). Maps look at the lowest bits and at the highest.
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
