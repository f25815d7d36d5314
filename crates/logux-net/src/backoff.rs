//! Rules for reconnecting, without a clock, randomness or I/O.

use core::time::Duration;

/// Kinds of protocol errors after which the client does not reconnect.
pub const FATAL_ERRORS: [&str; 3] = ["wrong-protocol", "wrong-subprotocol", "wrong-credentials"];

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

/// The reason why no more attempts are made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconnectError {
    /// This number of consecutive attempts failed, the maximum that [`Backoff::attempts`] allows.
    #[error("no connection after {0} attempts")]
    AttemptsExhausted(u32),
    /// The peer answered with a permanent error, one of [`FATAL_ERRORS`].
    #[error("the server refuses this client: {0}")]
    Fatal(&'static str),
}

/// The reconnect policy of one client, as a state machine without I/O.
///
/// Call [`connecting`](Self::connecting) when an attempt begins, [`connected`](Self::connected)
/// when it succeeds, and [`peer_error`](Self::peer_error) for each error message of the peer. When
/// the connection is lost or the attempt has failed, [`next_delay`](Self::next_delay) returns the
/// delay before the next attempt. [`Reconnector`](crate::Reconnector) applies the policy to a
/// [`Connector`](crate::Connector).
///
/// ```
/// use logux_net::{Backoff, ReconnectPolicy, ReconnectError};
///
/// let mut policy = ReconnectPolicy::new(Backoff::default());
/// policy.connecting();
/// policy.connected();
/// assert_eq!(policy.next_delay(0.0)?.as_millis(), 1000);
/// policy.connecting();
/// assert_eq!(policy.next_delay(0.0)?.as_millis(), 2000);
/// policy.peer_error("wrong-credentials");
/// assert_eq!(policy.next_delay(0.0), Err(ReconnectError::Fatal("wrong-credentials")));
/// # Ok::<(), ReconnectError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReconnectPolicy {
    backoff: Backoff,
    attempts: u32,
    fatal: Option<&'static str>,
}

impl ReconnectPolicy {
    /// Creates a policy without attempts.
    pub const fn new(backoff: Backoff) -> Self {
        Self { backoff, attempts: 0, fatal: None }
    }

    /// Records the start of an attempt.
    pub const fn connecting(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Records that the attempt succeeded, and resets the number of attempts.
    pub const fn connected(&mut self) {
        self.attempts = 0;
    }

    /// Records an `["error", kind, …]` message of the peer. Kinds outside [`FATAL_ERRORS`] have no
    /// effect.
    pub fn peer_error(&mut self, kind: &str) {
        if let Some(kind) = FATAL_ERRORS.into_iter().find(|fatal| *fatal == kind) {
            self.fatal = Some(kind);
        }
    }

    /// Returns the delay before the next attempt, when the connection is lost or the attempt has
    /// failed. `random` as in [`Backoff::delay`].
    ///
    /// # Errors
    ///
    /// [`ReconnectError`] if no more attempts are allowed until [`reset`](Self::reset).
    pub fn next_delay(&self, random: f64) -> Result<Duration, ReconnectError> {
        if let Some(kind) = self.fatal {
            return Err(ReconnectError::Fatal(kind));
        }
        match self.backoff.attempts {
            Some(limit) if self.attempts >= limit => {
                Err(ReconnectError::AttemptsExhausted(self.attempts))
            }
            _ => Ok(self.backoff.delay(self.attempts, random)),
        }
    }

    /// Clears the fatal error and the number of attempts, for example after the user has signed in
    /// again.
    pub const fn reset(&mut self) {
        self.attempts = 0;
        self.fatal = None;
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

    #[test]
    fn attempts_are_limited_and_reset_by_a_connection() {
        let mut policy = ReconnectPolicy::new(Backoff { attempts: Some(2), ..Backoff::default() });
        policy.connecting();
        assert!(policy.next_delay(0.0).is_ok());
        policy.connecting();
        assert_eq!(policy.next_delay(0.0), Err(ReconnectError::AttemptsExhausted(2)));
        policy.connected();
        assert!(policy.next_delay(0.0).is_ok());
    }

    #[test]
    fn only_fatal_errors_stop_reconnecting() {
        let mut policy = ReconnectPolicy::new(Backoff::default());
        policy.peer_error("wrong-format");
        policy.peer_error("timeout");
        assert!(policy.next_delay(0.0).is_ok());
        for kind in FATAL_ERRORS {
            policy.peer_error(kind);
            policy.connected();
            assert_eq!(policy.next_delay(0.0), Err(ReconnectError::Fatal(kind)));
            policy.reset();
            assert!(policy.next_delay(0.0).is_ok());
        }
    }
}
