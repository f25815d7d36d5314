//! What drives a machine of the engine over a transport: clocks to read, an alarm for deadlines, and a line that reads and writes side by side.

mod alarm;
mod clock;
mod line;

pub use alarm::Alarm;
pub use clock::Clock;
pub use line::{Event, Line};
