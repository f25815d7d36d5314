//! How far the cores of the machine are from each other.
//!
//! A virtual machine may have its cores near each other at one time and far at another, and a server whose threads speak to each other is then one third
//! slower than a minute before. So a report says which it was.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long to look. The best of all that fits counts: the two threads are disturbed at times.
const LOOK: Duration = Duration::from_millis(100);
/// How many times a ball is passed at a time.
const BATCH: u32 = 1_000;
/// What is no ball any more.
const STOP: u64 = u64::MAX;

/// How long one word takes to another core and back; nothing where there is no other.
pub(super) fn round_trip() -> Option<Duration> {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    let ball = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                match ball.load(Ordering::Acquire) {
                    STOP => break,
                    here if here % 2 == 1 => ball.store(here + 1, Ordering::Release),
                    _ => std::hint::spin_loop(),
                }
            }
        });
        let (began, mut count, mut best) = (Instant::now(), 0, None);
        while began.elapsed() < LOOK {
            let start = Instant::now();
            for _ in 0..BATCH {
                ball.store(count + 1, Ordering::Release);
                count += 2;
                while ball.load(Ordering::Acquire) != count {
                    std::hint::spin_loop();
                }
            }
            let took = start.elapsed() / BATCH;
            best = Some(best.map_or(took, |best: Duration| best.min(took)));
        }
        ball.store(STOP, Ordering::Release);
        best
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn comes_back() {
        assert!(super::round_trip().is_none_or(|took| !took.is_zero()));
    }
}
