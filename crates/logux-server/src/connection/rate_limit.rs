//! Who sends too much is read more slowly: nothing of it is lost or refused, and the others do not notice.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use logux::{
    MonoTime,
    server::{Rate, TokenBucket, TokenBuckets},
};
use logux_net::Frame;

/// How long reading pauses at a stretch, in milliseconds. A client whose ping is not heard for much longer takes the server for dead.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How fast connections and users may send, in messages and actions: a message costs one, and each action in it after the first one more.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    connection: Option<Rate>,
    users: Option<Mutex<TokenBuckets<Arc<str>>>>,
}

/// How one connection keeps to its rates.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter {
    bucket: TokenBucket,
    /// When all that came is paid for.
    paid_at: MonoTime,
    /// When the next frame may be read, paid or not.
    read_at: MonoTime,
    /// A frame that has to wait until all is paid.
    held: Option<Frame>,
    was_slowed: bool,
}

impl RateLimits {
    pub(crate) fn new(connection: Option<Rate>, user: Option<Rate>) -> Self {
        Self { connection, users: user.map(|rate| Mutex::new(TokenBuckets::new(rate))) }
    }

    /// What a new connection needs to keep to it; nothing when there are no rates.
    pub(crate) fn rate_limiter(&self) -> Option<Box<RateLimiter>> {
        (self.connection.is_some() || self.users.is_some()).then(Box::default)
    }
}

impl RateLimiter {
    /// Pays for what came. `true` when the connection is slowed down for the first time.
    pub(crate) fn acquire(
        &mut self,
        rate_limits: &RateLimits,
        user: Option<&str>,
        now: MonoTime,
        tokens: u64,
    ) -> bool {
        let mut paid_at = now;
        if let Some(rate) = rate_limits.connection {
            paid_at = self.bucket.acquire(rate, now, tokens);
        }
        if let (Some(users), Some(user)) = (&rate_limits.users, user) {
            // A panic of another holder leaves the buckets whole: every change is one call.
            let mut users = users.lock().unwrap_or_else(PoisonError::into_inner);
            paid_at = paid_at.max(users.acquire(user, now, tokens));
        }
        self.paid_at = paid_at;
        self.read_at = paid_at.min(now.after(MAX_PAUSE));
        paid_at > now && !std::mem::replace(&mut self.was_slowed, true)
    }

    /// Whether a frame may be read now.
    pub(crate) fn may_read(&self, now: MonoTime) -> bool {
        self.held.is_none() && now >= self.read_at
    }

    /// When there is something to do again.
    pub(crate) fn wakes_at(&self, now: MonoTime) -> Option<MonoTime> {
        let at = if self.held.is_some() { self.paid_at } else { self.read_at };
        (at > now || self.held.is_some()).then_some(at)
    }

    /// Takes a frame that was read, and gives it back if it may be handled now. Signs of life may be, debts or not; work has to wait.
    pub(crate) fn admit(&mut self, now: MonoTime, frame: Frame) -> Option<Frame> {
        let text = frame.as_str();
        let is_sign_of_life =
            ["[\"ping\"", "[\"pong\"", "[\"synced\""].iter().any(|start| text.starts_with(start));
        if now >= self.paid_at || is_sign_of_life {
            return Some(frame);
        }
        self.held = Some(frame);
        None
    }

    /// The frame that had to wait, when its time has come.
    pub(crate) fn due(&mut self, now: MonoTime) -> Option<Frame> {
        if now >= self.paid_at { self.held.take() } else { None }
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
    fn small_debts_pause_reading_until_they_are_paid() {
        let rate_limits = RateLimits::new("10/s".parse().ok(), None);
        let mut rate_limiter = rate_limits.rate_limiter().unwrap();
        assert!(
            !rate_limiter.acquire(&rate_limits, None, at(0), 10) && rate_limiter.may_read(at(0))
        );
        assert!(
            rate_limiter.acquire(&rate_limits, None, at(0), 1),
            "the first time is worth a word"
        );
        assert!(!rate_limiter.may_read(at(99)) && rate_limiter.may_read(at(100)));
        assert_eq!(
            (rate_limiter.wakes_at(at(0)), rate_limiter.wakes_at(at(100))),
            (Some(at(100)), None)
        );
        assert!(!rate_limiter.acquire(&rate_limits, None, at(100), 1));
    }

    #[test]
    fn after_a_large_batch_signs_of_life_are_heard_and_work_waits() {
        let rate_limits = RateLimits::new("10/s".parse().ok(), None);
        let mut rate_limiter = rate_limits.rate_limiter().unwrap();
        rate_limiter.acquire(&rate_limits, None, at(0), 210);
        assert_eq!(
            rate_limiter.wakes_at(at(0)),
            Some(at(5_000)),
            "it is not deaf for the whole 20 s"
        );
        assert!(rate_limiter.admit(at(5_000), frame(r#"["ping",1]"#)).is_some());
        rate_limiter.acquire(&rate_limits, None, at(5_000), 1);
        assert!(
            !rate_limiter.may_read(at(9_999)) && rate_limiter.may_read(at(10_000)),
            "pings are not free either"
        );
        assert!(rate_limiter.admit(at(10_000), frame(r#"[ "sync",1]"#)).is_none());
        assert!(!rate_limiter.may_read(at(15_000)) && rate_limiter.due(at(20_099)).is_none());
        assert_eq!(rate_limiter.wakes_at(at(10_000)), Some(at(20_100)));
        assert!(rate_limiter.due(at(20_100)).is_some() && rate_limiter.may_read(at(20_100)));
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
