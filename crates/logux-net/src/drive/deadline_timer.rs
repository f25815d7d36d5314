//! A timer for deadlines that are usually postponed before they are reached.

use core::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use logux::MonoTime;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Clock;

/// A timer that wakes its task at a deadline.
///
/// Each message postpones the deadlines of a connection. A timer set for an earlier time is left as
/// it is and checks the deadline when it fires. That costs an occasional wake-up without effect
/// instead of two changes of the runtime's timers per message.
#[derive(Debug)]
pub struct DeadlineTimer {
    clock: Clock,
    /// The timer, and the time for which it is set.
    timer: Option<(Pin<Box<Sleep>>, Instant)>,
}

impl DeadlineTimer {
    /// Creates a timer that is not set.
    pub const fn new(clock: Clock) -> Self {
        Self { clock, timer: None }
    }

    /// Waits until the deadline, or forever if there is none. Cancel safe.
    pub async fn until(&mut self, deadline: Option<MonoTime>) {
        let at = deadline.map(|at| self.clock.instant(at));
        poll_fn(|context| at.map_or(Poll::Pending, |at| self.poll(context, at))).await;
    }

    fn poll(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        loop {
            let (timer, at) =
                self.timer.get_or_insert_with(|| (Box::pin(sleep_until(deadline)), deadline));
            if *at > deadline {
                timer.as_mut().reset(deadline);
                *at = deadline;
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if *at == deadline {
                self.timer = None;
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
            *at = deadline;
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fires_at_the_latest_deadline() {
        let clock = Clock::start();
        let mut timer = DeadlineTimer::new(clock);
        let at = |ms| Some(MonoTime::from_millis(ms));
        assert!(timer.until(at(100)).now_or_never().is_none());
        assert!(timer.until(at(50)).now_or_never().is_none(), "an earlier deadline");
        advance(Duration::from_millis(20)).await;
        for moved in [200, 300] {
            assert!(timer.until(at(moved)).now_or_never().is_none());
        }
        timer.until(at(300)).await;
        assert_eq!(clock.now().mono, MonoTime::from_millis(300));
        assert!(timer.until(None).now_or_never().is_none());
        assert!(timer.until(at(300)).now_or_never().is_some(), "a deadline in the past");
    }
}
