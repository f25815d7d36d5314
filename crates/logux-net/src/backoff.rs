//! When to try again: the rules, without a clock, randomness or I/O.

use core::{fmt, time::Duration};

/// Errors of the protocol after which trying again cannot help.
pub const FATAL_ERRORS: [&str; 3] = ["wrong-protocol", "wrong-subprotocol", "wrong-credentials"];

/// How long to wait between attempts, and how many to make.
///
/// The defaults are those of the JavaScript packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first lost connection, before jitter. It doubles with each attempt. 1 s by default.
    pub min_delay: Duration,
    /// No wait is longer. 5 s by default.
    pub max_delay: Duration,
    /// How many attempts in a row may fail; `None` is without end, the default.
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
    /// The wait before the next attempt, after `attempts` in a row that led to no connection.
    ///
    /// `random` is evenly distributed over 0.0..1.0. The wait is `min_delay`·2^`attempts`, made longer by up to a half, so that
    /// the clients of a server that was restarted do not come back all at once; in one case of ten it is made shorter
    /// by 5 to 10 % instead. At last it is cut to `max_delay`.
    pub fn delay(&self, attempts: u32, random: f64) -> Duration {
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.0 };
        let base = self.min_delay.as_secs_f64() * 2_f64.powf(f64::from(attempts));
        let deviation = random * 0.5 * base;
        let shorter = (0.1..0.2).contains(&random);
        let seconds = if shorter { base - deviation } else { base + deviation };
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max_delay).min(self.max_delay)
    }
}

/// Why no more attempts are made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// This many attempts in a row have failed, all that [`Backoff::attempts`] allows.
    AttemptsUsedUp(u32),
    /// The peer answered with an error that will not go away, one of [`FATAL_ERRORS`].
    Fatal(&'static str),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AttemptsUsedUp(count) => write!(f, "no connection after {count} attempts"),
            Self::Fatal(kind) => write!(f, "the server refuses this client: {kind}"),
        }
    }
}

impl std::error::Error for Stopped {}

/// The policy of one client: what happened goes in, what to do comes out.
///
/// Tell it when an attempt [begins](Self::connecting), when it has [led to a connection](Self::connected), and each
/// [error message](Self::peer_error) of the peer. When the connection is lost or the attempt has failed, [`lost`](Self::lost)
/// says how long to wait. [`Reconnecting`](crate::Reconnecting) does this over a [`Connector`](crate::Connector).
///
/// ```
/// use logux_net::{Backoff, Reconnect, Stopped};
///
/// let mut policy = Reconnect::new(Backoff::default());
/// policy.connecting();
/// policy.connected();
/// assert_eq!(policy.lost(0.0)?.as_millis(), 1000);
/// policy.connecting();
/// assert_eq!(policy.lost(0.0)?.as_millis(), 2000);
/// policy.peer_error("wrong-credentials");
/// assert_eq!(policy.lost(0.0), Err(Stopped::Fatal("wrong-credentials")));
/// # Ok::<(), Stopped>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reconnect {
    backoff: Backoff,
    attempts: u32,
    fatal: Option<&'static str>,
}

impl Reconnect {
    /// A policy that has seen no attempt yet.
    pub const fn new(backoff: Backoff) -> Self {
        Self { backoff, attempts: 0, fatal: None }
    }

    /// An attempt begins.
    pub const fn connecting(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The attempt has led to a connection: the count of attempts begins anew.
    pub const fn connected(&mut self) {
        self.attempts = 0;
    }

    /// The peer sent `["error", kind, …]`. Kinds outside of [`FATAL_ERRORS`] change nothing.
    pub fn peer_error(&mut self, kind: &str) {
        if let Some(kind) = FATAL_ERRORS.into_iter().find(|fatal| *fatal == kind) {
            self.fatal = Some(kind);
        }
    }

    /// The connection is lost, or the attempt has failed: how long to wait before the next attempt. `random` as in
    /// [`Backoff::delay`].
    ///
    /// # Errors
    ///
    /// [`Stopped`] when there should be no next attempt, until [`restart`](Self::restart).
    pub fn lost(&self, random: f64) -> Result<Duration, Stopped> {
        if let Some(kind) = self.fatal {
            return Err(Stopped::Fatal(kind));
        }
        match self.backoff.attempts {
            Some(limit) if self.attempts >= limit => Err(Stopped::AttemptsUsedUp(self.attempts)),
            _ => Ok(self.backoff.delay(self.attempts, random)),
        }
    }

    /// Forgets the fatal error and the attempts, for instance after the user has signed in anew.
    pub const fn restart(&mut self) {
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
    fn delays_are_those_of_the_reference() {
        assert_eq!([ms(0, 0.0), ms(1, 0.0), ms(2, 0.0), ms(3, 0.0)], [1000, 2000, 4000, 5000]);
        assert_eq!([ms(0, 0.5), ms(1, 0.5), ms(2, 0.5)], [1250, 2500, 5000]);
        assert_eq!([ms(0, 0.1), ms(0, 0.15), ms(0, 0.2)], [950, 925, 1100]);
    }

    #[test]
    fn no_input_leads_outside_of_the_bounds() {
        for attempts in [0, 1, 5, 100, 5000, u32::MAX] {
            for random in [0.0, 0.15, 0.999, 1.0, -3.0, 7.0, f64::NAN, f64::INFINITY] {
                let delay = ms(attempts, random);
                assert!((900..=5000).contains(&delay), "{attempts} {random} {delay}");
            }
        }
    }

    #[test]
    fn attempts_run_out_and_a_connection_gives_them_back() {
        let mut policy = Reconnect::new(Backoff { attempts: Some(2), ..Backoff::default() });
        policy.connecting();
        assert!(policy.lost(0.0).is_ok());
        policy.connecting();
        assert_eq!(policy.lost(0.0), Err(Stopped::AttemptsUsedUp(2)));
        policy.connected();
        assert!(policy.lost(0.0).is_ok());
    }

    #[test]
    fn only_fatal_errors_stop() {
        let mut policy = Reconnect::new(Backoff::default());
        policy.peer_error("wrong-format");
        policy.peer_error("timeout");
        assert!(policy.lost(0.0).is_ok());
        for kind in FATAL_ERRORS {
            policy.peer_error(kind);
            policy.connected();
            assert_eq!(policy.lost(0.0), Err(Stopped::Fatal(kind)));
            policy.restart();
            assert!(policy.lost(0.0).is_ok());
        }
    }
}
