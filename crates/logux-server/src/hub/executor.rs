//! Runs handlers.

use std::{
    future::Future,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use tokio::runtime;

/// The time that a handler may work without waiting, on average.
const ALLOWED: Duration = Duration::from_micros(100);
/// The time beyond that after which handlers are moved off the hub's thread. The operating system
/// stops the thread for some milliseconds now and then, which is not the handlers' fault.
const TOO_LONG: Duration = Duration::from_millis(20);
/// How many handlers are started as tasks then.
const AS_TASKS: u32 = 1_000;
/// The time without waiting after which a handler is reported.
const BLOCKING: Duration = Duration::from_millis(5);

/// Runs handlers: each is polled once on the hub's thread, since most complete at once, and continues
/// as a task of the runtime if it waits.
///
/// A task would run after all connections that the last action has woken, and its responses with it,
/// while nothing gathers that could leave in one write: a fifth of the deliveries per second. The price
/// is that work without waiting delays the hub, so after too much of it handlers start as tasks for a
/// while.
#[derive(Debug)]
pub(crate) struct HandlerExecutor {
    runtime: runtime::Handle,
    /// How many of the next handlers start as tasks.
    as_tasks: u32,
    /// The time that handlers have worked beyond what is allowed.
    excess: Duration,
}

/// How the first poll of a handler went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FirstPoll {
    /// Whether the handler has completed.
    pub(crate) is_completed: bool,
    /// How long it has blocked the hub's thread, if that is to be reported.
    pub(crate) blocked: Option<Duration>,
}

impl HandlerExecutor {
    pub(crate) const fn new(runtime: runtime::Handle) -> Self {
        Self { runtime, as_tasks: 0, excess: Duration::ZERO }
    }

    /// Starts a handler.
    pub(crate) fn start(
        &mut self,
        handler: impl Future<Output = ()> + Send + 'static,
    ) -> FirstPoll {
        if self.as_tasks > 0 {
            self.as_tasks -= 1;
            self.runtime.spawn(handler);
            return FirstPoll::default();
        }
        let mut handler = Box::pin(handler);
        let began = Instant::now();
        let polled = {
            let _context = self.runtime.enter();
            handler.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        let took = began.elapsed();
        self.excess = (self.excess + took).saturating_sub(ALLOWED);
        if self.excess > TOO_LONG {
            (self.as_tasks, self.excess) = (AS_TASKS, Duration::ZERO);
        }
        if polled.is_pending() {
            // The task polls it again at once, with a waker.
            self.runtime.spawn(handler);
        }
        FirstPoll {
            is_completed: polled.is_ready(),
            blocked: Some(took).filter(|took| *took > BLOCKING),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Records whether it runs on the hub's thread, before and after it has waited.
    async fn record(threads: Arc<Mutex<Vec<bool>>>, hub: std::thread::ThreadId, work: Duration) {
        let is_here = move || std::thread::current().id() == hub;
        threads.lock().unwrap().push(is_here());
        std::thread::sleep(work);
        tokio::task::yield_now().await;
        threads.lock().unwrap().push(is_here());
    }

    #[test]
    fn handlers_that_block_the_hub_are_reported_and_followed_by_tasks() {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let mut executor = HandlerExecutor::new(runtime.handle().clone());
        let hub = std::thread::current().id();
        let run = |executor: &mut HandlerExecutor, work| {
            let threads = Arc::new(Mutex::new(Vec::new()));
            let (done, end) = std::sync::mpsc::channel();
            let handler = record(threads.clone(), hub, work);
            let first_poll = executor.start(async move {
                handler.await;
                done.send(()).unwrap();
            });
            end.recv().unwrap();
            let threads = threads.lock().unwrap().clone();
            (threads, first_poll)
        };
        let (threads, first_poll) = run(&mut executor, 2 * TOO_LONG);
        assert_eq!(threads, [true, false], "a handler that waits continues as a task");
        assert!(first_poll.blocked.is_some_and(|blocked| blocked >= 2 * TOO_LONG));
        let (threads, first_poll) = run(&mut executor, 2 * BLOCKING);
        assert_eq!(threads, [false, false]);
        assert_eq!(first_poll, FirstPoll::default(), "a task does not block the hub");
    }
}
