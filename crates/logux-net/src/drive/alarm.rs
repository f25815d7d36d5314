//! A timer for deadlines that move away before they are reached.

use core::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use logux::MonoTime;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Clock;

/// Wakes its task at a deadline.
///
/// Each message moves a connection's deadlines further away. So a timer that was set for an earlier moment stays as it is, and looks at the deadline when it goes off: once
/// in a while for nothing, in place of two changes of the runtime's timers for each message.
#[derive(Debug)]
pub struct Alarm {
    clock: Clock,
    /// The timer, and the moment that it is set for.
    timer: Option<(Pin<Box<Sleep>>, Instant)>,
}

impl Alarm {
    /// One that is not set.
    pub const fn new(clock: Clock) -> Self {
        Self { clock, timer: None }
    }

    /// Waits until the moment of a deadline, or for ever if there is none. Cancel safe.
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
    async fn goes_off_at_the_last_deadline_that_it_was_told() {
        let clock = Clock::start();
        let mut alarm = Alarm::new(clock);
        let at = |ms| Some(MonoTime::from_millis(ms));
        assert!(alarm.until(at(100)).now_or_never().is_none());
        assert!(alarm.until(at(50)).now_or_never().is_none(), "earlier than before");
        advance(Duration::from_millis(20)).await;
        for moved in [200, 300] {
            assert!(alarm.until(at(moved)).now_or_never().is_none());
        }
        alarm.until(at(300)).await;
        assert_eq!(clock.now().mono, MonoTime::from_millis(300));
        assert!(alarm.until(None).now_or_never().is_none());
        assert!(alarm.until(at(300)).now_or_never().is_some(), "a deadline that has passed");
    }
}
