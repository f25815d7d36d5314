//! The latency between two cores of the machine.
//!
//! The cores of a virtual machine can be close to each other at one time and far apart at another.
//! A server whose threads communicate is one third slower when they are far apart, so reports
//! contain the latency.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The duration of the measurement. The best batch counts, because threads can be interrupted.
const DURATION: Duration = Duration::from_millis(100);
/// The number of round trips in a batch.
const BATCH: u32 = 1_000;
/// Tells the other thread to stop.
const STOP: u64 = u64::MAX;

/// Measures how long a cache line takes to another core and back. `None` on a single core.
pub(super) fn round_trip_time() -> Option<Duration> {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    let counter = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                match counter.load(Ordering::Acquire) {
                    STOP => break,
                    value if value % 2 == 1 => counter.store(value + 1, Ordering::Release),
                    _ => std::hint::spin_loop(),
                }
            }
        });
        let (start, mut count, mut best) = (Instant::now(), 0, None);
        while start.elapsed() < DURATION {
            let batch_start = Instant::now();
            for _ in 0..BATCH {
                counter.store(count + 1, Ordering::Release);
                count += 2;
                while counter.load(Ordering::Acquire) != count {
                    std::hint::spin_loop();
                }
            }
            let time = batch_start.elapsed() / BATCH;
            best = Some(best.map_or(time, |best: Duration| best.min(time)));
        }
        counter.store(STOP, Ordering::Release);
        best
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn round_trip_time_is_not_zero() {
        assert!(super::round_trip_time().is_none_or(|time| !time.is_zero()));
    }
}
