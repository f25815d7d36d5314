//! Whether work grows with its size, or with the square of it.

use std::fs;

use crate::heap;

/// What some work has cost: bytes that were allocated, and time of the processor in nanoseconds. It
/// does not grow when others use the processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    bytes: i64,
    /// `None` on systems without `/proc`.
    time: Option<u64>,
}

fn processor_time() -> Option<u64> {
    // The system brings the number up to date when the thread gives way.
    std::thread::yield_now();
    let numbers = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    numbers.split_whitespace().next()?.parse().ok()
}

fn cost_of(work: impl FnOnce()) -> Cost {
    let (bytes, time) = (heap::total(), processor_time());
    work();
    let time = processor_time().zip(time).map(|(now, before)| now - before);
    Cost { bytes: heap::total() - bytes, time }
}

/// How much larger the second piece of work is.
const FACTOR: usize = 8;
/// Linear work costs 8 times as much, quadratic work 64 times.
const MAX_RATIO: f64 = 24.0;

/// Shorter times are not exact, in nanoseconds.
const MIN_TIME: u64 = 1_000_000;

/// Asserts that work does not become quadratic: 8 times the size costs less than 24 times as much.
/// `prepare` makes the input of a size, which is not counted.
pub(crate) fn assert_not_quadratic<T>(
    name: &str,
    size: usize,
    prepare: impl Fn(usize) -> T,
    work: impl Fn(T),
) {
    let mut measured = Vec::new();
    // What else happens on the machine can only make the work slower.
    for _ in 0..3 {
        let [small, large] = [size, size * FACTOR].map(|size| {
            let input = prepare(size);
            cost_of(|| work(input))
        });
        let times = small.time.zip(large.time);
        let ratio = |(small, large): (u64, u64)| large as f64 / small.max(MIN_TIME) as f64;
        let time_ratio = times.map_or(0.0, ratio);
        let byte_ratio = large.bytes as f64 / small.bytes.max(1) as f64;
        if time_ratio < MAX_RATIO && byte_ratio < MAX_RATIO {
            return;
        }
        measured.push((small, large));
    }
    panic!("{name}: {size} and {} cost {measured:?}", size * FACTOR);
}
