//! The delays between attempts to connect.

use core::time::Duration;

/// The delays between attempts, and the number of attempts.
///
/// The defaults are those of the JavaScript packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first lost connection, before jitter. It doubles with each attempt.
    /// Default: 1 s.
    pub min_delay: Duration,
    /// The longest delay. Default: 5 s.
    pub max_delay: Duration,
    /// The number of consecutive attempts that may fail; `None` for no limit. Default: `None`.
    pub attempts: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(5),
            attempts: None,
        }
    }
}

impl Backoff {
    /// Returns the delay before the next attempt, after `attempts` consecutive attempts without a
    /// connection.
    ///
    /// `random` is uniformly distributed in 0.0..1.0. The delay is `min_delay`·2^`attempts` plus up
    /// to 50 %, so that the clients of a restarted server do not reconnect all at once; for one in
    /// ten values of `random` it is 5 to 10 % shorter instead. The result is at most `max_delay`.
    pub fn delay(&self, attempts: u32, random: f64) -> Duration {
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.0 };
        let base = self.min_delay.as_secs_f64() * 2_f64.powf(f64::from(attempts));
        let deviation = random * 0.5 * base;
        let shorter = (0.1..0.2).contains(&random);
        let seconds = if shorter { base - deviation } else { base + deviation };
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max_delay).min(self.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(attempts: u32, random: f64) -> u128 {
        Backoff::default().delay(attempts, random).as_millis()
    }

    #[test]
    fn delays_match_the_reference_implementation() {
        assert_eq!([ms(0, 0.0), ms(1, 0.0), ms(2, 0.0), ms(3, 0.0)], [1000, 2000, 4000, 5000]);
        assert_eq!([ms(0, 0.5), ms(1, 0.5), ms(2, 0.5)], [1250, 2500, 5000]);
        assert_eq!([ms(0, 0.1), ms(0, 0.15), ms(0, 0.2)], [950, 925, 1100]);
    }

    #[test]
    fn delays_stay_within_bounds_for_any_input() {
        for attempts in [0, 1, 5, 100, 5000, u32::MAX] {
            for random in [0.0, 0.15, 0.999, 1.0, -3.0, 7.0, f64::NAN, f64::INFINITY] {
                let delay = ms(attempts, random);
                assert!((900..=5000).contains(&delay), "{attempts} {random} {delay}");
            }
        }
    }
}
