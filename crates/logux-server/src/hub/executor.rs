//! Runs the handlers of actions and subscriptions.

use std::{
    future::Future,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use tokio::runtime;

/// The average time that a handler may work before it first waits.
const ALLOWED: Duration = Duration::from_micros(100);
/// The sum of the times beyond [`ALLOWED`] after which handlers start as tasks. It is long because
/// the operating system suspends the thread for some milliseconds now and then.
const MAX_EXCESS: Duration = Duration::from_millis(20);
/// The number of handlers that start as tasks then.
const AS_TASKS: u32 = 1_000;
/// The time before its first wait after which a handler is reported as blocking.
const BLOCKING: Duration = Duration::from_millis(5);

/// Runs handlers: polls each once on the hub's thread, since most complete at once, and continues
/// it as a task of the runtime if it waits.
///
/// A handler that starts as a task runs only after the tasks of all connections that the last
/// action has woken. Its responses then come in a later round with a commit of its own, and fewer
/// messages leave in one write: five times fewer deliveries per second. On the other hand, work
/// before the first wait delays the hub, so after too much of it, handlers start as tasks for a
/// while.
#[derive(Debug)]
pub(crate) struct HandlerExecutor {
    runtime: runtime::Handle,
    /// The number of the next handlers that start as tasks.
    as_tasks: u32,
    /// The time that handlers have worked beyond [`ALLOWED`].
    excess: Duration,
}

impl HandlerExecutor {
    pub(crate) const fn new(runtime: runtime::Handle) -> Self {
        Self { runtime, as_tasks: 0, excess: Duration::ZERO }
    }

    /// Starts a handler. Returns the time for which it has blocked the hub's thread, if it is to be
    /// reported.
    pub(crate) fn start(
        &mut self,
        handler: impl Future<Output = ()> + Send + 'static,
    ) -> Option<Duration> {
        if self.as_tasks > 0 {
            self.as_tasks -= 1;
            self.runtime.spawn(handler);
            return None;
        }
        let mut handler = Box::pin(handler);
        let start = Instant::now();
        let polled = {
            let _context = self.runtime.enter();
            handler.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        let took = start.elapsed();
        self.excess = (self.excess + took).saturating_sub(ALLOWED);
        if self.excess > MAX_EXCESS {
            (self.as_tasks, self.excess) = (AS_TASKS, Duration::ZERO);
        }
        if polled.is_pending() {
            // The first poll had no waker: the task polls the handler again at once.
            self.runtime.spawn(handler);
        }
        Some(took).filter(|took| *took > BLOCKING)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Records whether it runs on the hub's thread, before and after it waits.
    async fn record(threads: Arc<Mutex<Vec<bool>>>, hub: std::thread::ThreadId, work: Duration) {
        let is_hub = move || std::thread::current().id() == hub;
        threads.lock().unwrap().push(is_hub());
        std::thread::sleep(work);
        tokio::task::yield_now().await;
        threads.lock().unwrap().push(is_hub());
    }

    #[test]
    fn a_blocking_handler_is_reported_and_the_next_handlers_start_as_tasks() {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let mut executor = HandlerExecutor::new(runtime.handle().clone());
        let hub = std::thread::current().id();
        let run = |executor: &mut HandlerExecutor, work| {
            let threads = Arc::new(Mutex::new(Vec::new()));
            let (sender, end) = std::sync::mpsc::channel();
            let handler = record(threads.clone(), hub, work);
            let blocked = executor.start(async move {
                handler.await;
                sender.send(()).unwrap();
            });
            end.recv().unwrap();
            let threads = threads.lock().unwrap().clone();
            (threads, blocked)
        };
        let (threads, blocked) = run(&mut executor, 2 * MAX_EXCESS);
        assert_eq!(threads, [true, false], "a handler that waits continues as a task");
        assert!(blocked.is_some_and(|blocked| blocked >= 2 * MAX_EXCESS));
        let (threads, blocked) = run(&mut executor, 2 * BLOCKING);
        assert_eq!(threads, [false, false]);
        assert_eq!(blocked, None, "a task does not block the hub");
    }
}
