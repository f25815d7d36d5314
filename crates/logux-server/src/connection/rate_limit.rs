//! Throttles reads from connections that exceed their rate. No message is lost or refused, and
//! other connections are not affected.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use logux::{
    MonoTime,
    server::{Rate, TokenBucket, TokenBuckets},
};
use logux_net::Frame;

/// The longest pause between two reads. A client whose pings are not answered for much longer
/// closes the connection.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The rates of connections and users. A message costs one token, and each of its actions after the
/// first another one.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    connection: Option<Rate>,
    users: Option<Mutex<TokenBuckets<Arc<str>>>>,
}

/// The rate limiter of one connection.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    bucket: TokenBucket,
    /// The time at which all acquired tokens are available.
    available_at: MonoTime,
    /// The time at which the next frame may be read, also if tokens are missing.
    read_at: MonoTime,
    /// A frame that waits until all acquired tokens are available.
    waiting: Option<Frame>,
    was_throttled: bool,
}

impl RateLimits {
    pub(crate) fn new(connection: Option<Rate>, user: Option<Rate>) -> Self {
        Self { connection, users: user.map(|rate| Mutex::new(TokenBuckets::new(rate))) }
    }

    /// Creates the rate limiter of a new connection. `None` if there are no rates.
    pub(crate) fn rate_limiter(&self) -> Option<Box<RateLimiter>> {
        (self.connection.is_some() || self.users.is_some()).then(Box::default)
    }
}

impl RateLimiter {
    /// Acquires tokens for received messages and actions. Returns `true` if the connection is
    /// throttled for the first time.
    pub(crate) fn acquire(
        &mut self,
        rate_limits: &RateLimits,
        user: Option<&str>,
        now: MonoTime,
        tokens: u64,
    ) -> bool {
        let mut available_at = now;
        if let Some(rate) = rate_limits.connection {
            available_at = self.bucket.acquire(rate, now, tokens);
        }
        if let (Some(users), Some(user)) = (&rate_limits.users, user) {
            // A poisoned lock is consistent: every change is one call.
            let mut users = users.lock().unwrap_or_else(PoisonError::into_inner);
            available_at = available_at.max(users.acquire(user, now, tokens));
        }
        self.available_at = available_at;
        self.read_at = available_at.min(now.after(MAX_PAUSE));
        available_at > now && !std::mem::replace(&mut self.was_throttled, true)
    }

    /// Returns `true` if a frame may be read now.
    pub(crate) fn may_read(&self, now: MonoTime) -> bool {
        self.waiting.is_none() && now >= self.read_at
    }

    /// Returns the time at which a frame may be read or handled again. `None` if it may be now.
    pub(crate) fn next_deadline(&self, now: MonoTime) -> Option<MonoTime> {
        let at = if self.waiting.is_some() { self.available_at } else { self.read_at };
        (at > now || self.waiting.is_some()).then_some(at)
    }

    /// Takes a frame that was read, and returns it if it may be handled now: always if it is
    /// `ping`, `pong` or `synced`, otherwise if all acquired tokens are available. Keeps other
    /// frames for [`take_due`](Self::take_due).
    pub(crate) fn admit(&mut self, now: MonoTime, frame: Frame) -> Option<Frame> {
        let text = frame.as_str();
        let is_keep_alive =
            ["[\"ping\"", "[\"pong\"", "[\"synced\""].iter().any(|start| text.starts_with(start));
        if now >= self.available_at || is_keep_alive {
            return Some(frame);
        }
        self.waiting = Some(frame);
        None
    }

    /// Returns the waiting frame if it may be handled now.
    pub(crate) fn take_due(&mut self, now: MonoTime) -> Option<Frame> {
        if now >= self.available_at { self.waiting.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_millis(ms)
    }

    fn frame(text: &str) -> Frame {
        Frame::from(text.to_owned())
    }

    #[test]
    fn reads_pause_until_the_tokens_are_available() {
        let rate_limits = RateLimits::new("10/s".parse().ok(), None);
        let mut rate_limiter = rate_limits.rate_limiter().unwrap();
        assert!(
            !rate_limiter.acquire(&rate_limits, None, at(0), 10) && rate_limiter.may_read(at(0))
        );
        assert!(
            rate_limiter.acquire(&rate_limits, None, at(0), 1),
            "the first throttling is reported"
        );
        assert!(!rate_limiter.may_read(at(99)) && rate_limiter.may_read(at(100)));
        assert_eq!(
            (rate_limiter.next_deadline(at(0)), rate_limiter.next_deadline(at(100))),
            (Some(at(100)), None)
        );
        assert!(!rate_limiter.acquire(&rate_limits, None, at(100), 1));
    }

    #[test]
    fn after_a_large_batch_keep_alives_are_handled_and_actions_wait() {
        let rate_limits = RateLimits::new("10/s".parse().ok(), None);
        let mut rate_limiter = rate_limits.rate_limiter().unwrap();
        rate_limiter.acquire(&rate_limits, None, at(0), 210);
        assert_eq!(
            rate_limiter.next_deadline(at(0)),
            Some(at(5_000)),
            "reads do not pause for the whole 20 s"
        );
        assert!(rate_limiter.admit(at(5_000), frame(r#"["ping",1]"#)).is_some());
        rate_limiter.acquire(&rate_limits, None, at(5_000), 1);
        assert!(
            !rate_limiter.may_read(at(9_999)) && rate_limiter.may_read(at(10_000)),
            "a ping costs a token too"
        );
        assert!(rate_limiter.admit(at(10_000), frame(r#"[ "sync",1]"#)).is_none());
        assert!(!rate_limiter.may_read(at(15_000)) && rate_limiter.take_due(at(20_099)).is_none());
        assert_eq!(rate_limiter.next_deadline(at(10_000)), Some(at(20_100)));
        assert!(rate_limiter.take_due(at(20_100)).is_some() && rate_limiter.may_read(at(20_100)));
    }

    #[test]
    fn the_connections_of_a_user_share_a_rate() {
        let rate_limits = RateLimits::new(None, "10/s".parse().ok());
        let [mut phone, mut laptop, mut other] =
            [(); 3].map(|()| rate_limits.rate_limiter().unwrap());
        phone.acquire(&rate_limits, Some("10"), at(0), 10);
        laptop.acquire(&rate_limits, Some("10"), at(0), 1);
        other.acquire(&rate_limits, Some("20"), at(0), 1);
        assert!(phone.may_read(at(0)) && !laptop.may_read(at(0)) && other.may_read(at(0)));
        assert!(RateLimits::new(None, None).rate_limiter().is_none());
    }
}
