//! Building blocks for driving a state machine of the engine over a transport: the [`Clock`], the
//! [`DeadlineTimer`] for its deadlines, and the [`FrameConnection`] that reads and writes
//! independently.

mod clock;
mod deadline_timer;
mod frame_connection;

pub use clock::Clock;
pub use deadline_timer::DeadlineTimer;
pub use frame_connection::{Event, FrameConnection};
