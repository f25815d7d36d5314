//! Where handlers run.

use std::{
    future::Future,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use tokio::runtime;

/// What a handler may work on the average without waiting.
const ALLOWED: Duration = Duration::from_micros(100);
/// How much more all of them together may work before they are put aside. The system stops the thread for some milliseconds now and then, which is not
/// their fault.
const TOO_LONG: Duration = Duration::from_millis(20);
/// How many are not begun at once then.
const ASIDE: u32 = 1_000;

/// Runs handlers: begun on the hub's thread, since most have nothing to wait for, and as tasks of the runtime if they have.
///
/// A task would wait behind all connections that the last action has woken, and its answer with it, while nothing gathers that could leave in one write: five times
/// fewer deliveries a second. The price is that work without waiting holds up the hub, so when there is too much of it handlers are tasks from the start, for a while.
#[derive(Debug)]
pub(crate) struct Asking {
    runtime: runtime::Handle,
    aside: u32,
    /// How long they have worked beyond what is allowed.
    beyond: Duration,
}

impl Asking {
    pub(crate) const fn new(runtime: runtime::Handle) -> Self {
        Self { runtime, aside: 0, beyond: Duration::ZERO }
    }

    /// Runs a handler to its end; `true` when it has come to it at once.
    pub(crate) fn start(&mut self, running: impl Future<Output = ()> + Send + 'static) -> bool {
        if self.aside > 0 {
            self.aside -= 1;
            self.runtime.spawn(running);
            return false;
        }
        let mut running = Box::pin(running);
        let began = Instant::now();
        let begun = {
            let _context = self.runtime.enter();
            running.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        self.beyond = (self.beyond + began.elapsed()).saturating_sub(ALLOWED);
        if self.beyond > TOO_LONG {
            (self.aside, self.beyond) = (ASIDE, Duration::ZERO);
        }
        if begun.is_pending() {
            // Polled again at once, now with somebody to wake it.
            self.runtime.spawn(running);
        }
        begun.is_ready()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Notes on which thread it runs, before and after it has waited.
    async fn note(threads: Arc<Mutex<Vec<bool>>>, hub: std::thread::ThreadId, work: Duration) {
        let here = move || std::thread::current().id() == hub;
        threads.lock().unwrap().push(here());
        std::thread::sleep(work);
        tokio::task::yield_now().await;
        threads.lock().unwrap().push(here());
    }

    #[test]
    fn what_holds_up_the_hub_is_put_aside() {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let mut asking = Asking::new(runtime.handle().clone());
        let hub = std::thread::current().id();
        let seen = |asking: &mut Asking, work| {
            let threads = Arc::new(Mutex::new(Vec::new()));
            let (done, end) = std::sync::mpsc::channel();
            let noting = note(threads.clone(), hub, work);
            asking.start(async move {
                noting.await;
                done.send(()).unwrap();
            });
            end.recv().unwrap();
            threads.lock().unwrap().clone()
        };
        assert_eq!(seen(&mut asking, 2 * TOO_LONG), [true, false], "what waits goes on as a task");
        assert_eq!(seen(&mut asking, Duration::ZERO), [false, false]);
    }
}
