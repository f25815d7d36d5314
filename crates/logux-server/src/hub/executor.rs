//! Runs the handlers of actions and subscriptions.

use std::{
    collections::HashMap,
    future::Future,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use logux::ActionId;
use tokio::{runtime, task::JoinHandle};

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
    /// The tasks of handlers of actions, also some that have ended.
    tasks: HashMap<ActionId, JoinHandle<()>>,
    /// The number of tasks at which those that have ended are removed.
    max_tasks: usize,
}

/// The smallest number of tasks at which those that have ended are removed.
const MIN_TASKS: usize = 256;

impl HandlerExecutor {
    pub(crate) fn new(runtime: runtime::Handle) -> Self {
        Self {
            runtime,
            as_tasks: 0,
            excess: Duration::ZERO,
            tasks: HashMap::new(),
            max_tasks: MIN_TASKS,
        }
    }

    /// Starts a handler. Returns the time for which it has blocked the hub's thread, if it is to be
    /// reported.
    ///
    /// `action` is the action that the handler may take effect for. After a restart of the hub it
    /// may still have a handler, which waits for a database: the next one starts after it has
    /// ended, because otherwise the one may fail, and the other take effect.
    pub(crate) fn start(
        &mut self,
        action: Option<&ActionId>,
        handler: impl Future<Output = ()> + Send + 'static,
    ) -> Option<Duration> {
        let earlier = action.and_then(|id| self.tasks.remove(id));
        if let Some(earlier) = earlier.filter(|task| !task.is_finished()) {
            self.spawn(action, async move {
                // The result is an error if the handler has panicked, which ends it too.
                let _ = earlier.await;
                handler.await;
            });
            return None;
        }
        if self.as_tasks > 0 {
            self.as_tasks -= 1;
            self.spawn(action, handler);
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
            self.spawn(action, handler);
        }
        Some(took).filter(|took| *took > BLOCKING)
    }

    fn spawn(
        &mut self,
        action: Option<&ActionId>,
        handler: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.runtime.spawn(handler);
        let Some(id) = action else { return };
        if self.tasks.len() >= self.max_tasks {
            self.tasks.retain(|_, task| !task.is_finished());
            // Twice the number that is left, so that the cost for each task is constant.
            self.max_tasks = (2 * self.tasks.len()).max(MIN_TASKS);
        }
        self.tasks.insert(id.clone(), task);
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
            let blocked = executor.start(None, async move {
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
    #[test]
    fn a_handler_waits_for_the_earlier_one_of_its_action() {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let mut executor = HandlerExecutor::new(runtime.handle().clone());
        let id: ActionId = "1 10:client:tab 0".parse().unwrap();
        let (events, received) = std::sync::mpsc::channel();
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let first = events.clone();
        executor.start(Some(&id), async move {
            let _ = released.await;
            first.send("first").unwrap();
        });
        let second = events.clone();
        executor.start(Some(&id), async move { second.send("second").unwrap() });
        let other: ActionId = "2 10:client:tab 0".parse().unwrap();
        executor.start(Some(&other), async move { events.send("other").unwrap() });
        assert_eq!(received.recv().unwrap(), "other");
        release.send(()).unwrap();
        assert_eq!([received.recv().unwrap(), received.recv().unwrap()], ["first", "second"]);
    }

    #[test]
    fn ended_tasks_are_removed() {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let mut executor = HandlerExecutor::new(runtime.handle().clone());
        for n in 0..10 * MIN_TASKS {
            let id: ActionId = format!("{n} 10:client:tab 0").parse().unwrap();
            executor.start(Some(&id), tokio::task::yield_now());
            runtime.block_on(tokio::task::yield_now());
        }
        assert!(executor.tasks.len() <= 2 * MIN_TASKS, "{} tasks", executor.tasks.len());
    }
}
