//! Who sends too much is read more slowly: nothing of it is lost or refused, and the others do not notice.

use std::sync::{Arc, Mutex, PoisonError};

use logux::{
    MonoTime,
    server::{Buckets, Rate, TokenBucket},
};
use logux_net::Frame;

/// How long reading pauses at a stretch, in milliseconds. A client whose ping is not heard for much longer takes the server for dead.
const MAX_PAUSE: u64 = 5_000;

/// How fast connections and users may send, in messages and actions: a message costs one, and each action in it after the first one more.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    connection: Option<Rate>,
    users: Option<Mutex<Buckets<Arc<str>>>>,
}

/// How one connection keeps to its rates.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    bucket: TokenBucket,
    /// When all that came is paid for.
    paid_at: MonoTime,
    /// When the next frame may be read, paid or not.
    read_at: MonoTime,
    /// A frame that has to wait until all is paid.
    held: Option<Frame>,
    was_slowed: bool,
}

impl Paces {
    pub(crate) fn new(connection: Option<Rate>, user: Option<Rate>) -> Self {
        Self { connection, users: user.map(|rate| Mutex::new(Buckets::new(rate))) }
    }

    /// What a new connection needs to keep to it; nothing when there are no rates.
    pub(crate) fn pace(&self) -> Option<Box<Pace>> {
        (self.connection.is_some() || self.users.is_some()).then(Box::default)
    }
}

impl Pace {
    /// Pays for what came. `true` when the connection is slowed down for the first time.
    pub(crate) fn spend(
        &mut self,
        paces: &Paces,
        user: Option<&str>,
        now: MonoTime,
        tokens: u64,
    ) -> bool {
        let mut paid_at = now;
        if let Some(rate) = paces.connection {
            paid_at = self.bucket.spend(rate, now, tokens);
        }
        if let (Some(users), Some(user)) = (&paces.users, user) {
            // A panic of another holder leaves the buckets whole: every change is one call.
            let mut users = users.lock().unwrap_or_else(PoisonError::into_inner);
            paid_at = paid_at.max(users.spend(user, now, tokens));
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
        let paces = Paces::new("10/s".parse().ok(), None);
        let mut pace = paces.pace().unwrap();
        assert!(!pace.spend(&paces, None, at(0), 10) && pace.may_read(at(0)));
        assert!(pace.spend(&paces, None, at(0), 1), "the first time is worth a word");
        assert!(!pace.may_read(at(99)) && pace.may_read(at(100)));
        assert_eq!((pace.wakes_at(at(0)), pace.wakes_at(at(100))), (Some(at(100)), None));
        assert!(!pace.spend(&paces, None, at(100), 1));
    }

    #[test]
    fn after_a_large_batch_signs_of_life_are_heard_and_work_waits() {
        let paces = Paces::new("10/s".parse().ok(), None);
        let mut pace = paces.pace().unwrap();
        pace.spend(&paces, None, at(0), 210);
        assert_eq!(pace.wakes_at(at(0)), Some(at(5_000)), "it is not deaf for the whole 20 s");
        assert!(pace.admit(at(5_000), frame(r#"["ping",1]"#)).is_some());
        pace.spend(&paces, None, at(5_000), 1);
        assert!(
            !pace.may_read(at(9_999)) && pace.may_read(at(10_000)),
            "pings are not free either"
        );
        assert!(pace.admit(at(10_000), frame(r#"[ "sync",1]"#)).is_none());
        assert!(!pace.may_read(at(15_000)) && pace.due(at(20_099)).is_none());
        assert_eq!(pace.wakes_at(at(10_000)), Some(at(20_100)));
        assert!(pace.due(at(20_100)).is_some() && pace.may_read(at(20_100)));
    }

    #[test]
    fn the_connections_of_a_user_share_a_rate() {
        let paces = Paces::new(None, "10/s".parse().ok());
        let [mut phone, mut laptop, mut other] = [(); 3].map(|()| paces.pace().unwrap());
        phone.spend(&paces, Some("10"), at(0), 10);
        laptop.spend(&paces, Some("10"), at(0), 1);
        other.spend(&paces, Some("20"), at(0), 1);
        assert!(phone.may_read(at(0)) && !laptop.may_read(at(0)) && other.may_read(at(0)));
        assert!(Paces::new(None, None).pace().is_none());
    }
}
