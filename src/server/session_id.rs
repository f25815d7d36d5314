//! The numbers of connections, and maps with these keys.

use core::hash::{BuildHasherDefault, Hasher};

use indexmap::IndexMap;

/// The number of a connection. The driver chooses it and never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A map from connections to values, with a deterministic order of iteration.
///
/// It is read for each delivery of an action. The driver counts the connections, so no peer can
/// choose numbers that collide, and a multiplication is a sufficient hash.
pub type SessionMap<V> = IndexMap<SessionId, V, BuildHasherDefault<NumberHasher>>;

/// The hasher of [`SessionMap`], for consecutive numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4). Hash maps use the
        // lowest and the highest bits.
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
