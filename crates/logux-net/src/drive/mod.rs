//! What drives a machine of the engine over a transport: clocks to read, and a line that reads and writes side by side.

mod clock;
mod line;

pub use clock::Clock;
pub use line::{Event, Line};
