//! Items that leave in the order in which they came, some of them after a response of the driver.

use std::collections::VecDeque;

/// The number of items between the first one that has to wait and the last one that was requested.
const MAX_ITEMS: usize = 64;

/// The size of these items at which no further ones are requested, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// Names one request to the driver. A response with the token of a request that has one already, or
/// of an earlier connection, is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CipherToken(u64);

/// Issues tokens, each once.
#[derive(Debug, Default)]
pub(super) struct Tokens(u64);

impl Tokens {
    fn next(&mut self) -> CipherToken {
        self.0 += 1;
        CipherToken(self.0)
    }
}

/// A queue of which the driver works on the first items at the same time.
#[derive(Debug)]
pub(super) struct OrderedQueue<T> {
    items: VecDeque<Item<T>>,
    /// The number of items at the front that are ready, requested or failed, and their size.
    window: usize,
    window_bytes: usize,
}

#[derive(Debug)]
struct Item<T> {
    value: T,
    bytes: usize,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Waiting,
    Requested(CipherToken),
    Ready,
    /// It stays until the queue is cleared, and so do the items after it.
    Failed,
}

impl<T> Default for OrderedQueue<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), window: 0, window_bytes: 0 }
    }
}

impl<T> OrderedQueue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Appends an item that needs nothing but its turn.
    pub(super) fn push_ready(&mut self, value: T) {
        self.push(value, 0, Step::Ready);
    }

    /// Appends an item of this size that needs a response.
    pub(super) fn push_waiting(&mut self, value: T, bytes: usize) {
        self.push(value, bytes, Step::Waiting);
    }

    /// Appends an item that stays, as do all after it.
    pub(super) fn push_failed(&mut self, value: T) {
        self.push(value, 0, Step::Failed);
    }

    fn push(&mut self, value: T, bytes: usize, step: Step) {
        self.items.push_back(Item { value, bytes, step });
    }

    /// Requests the next waiting item, if the bounds allow.
    pub(super) fn next_request(&mut self, tokens: &mut Tokens) -> Option<(CipherToken, &T)> {
        loop {
            if self.window >= MAX_ITEMS || self.window_bytes >= MAX_BYTES {
                return None;
            }
            let index = self.window;
            let item = self.items.get_mut(index)?;
            self.window += 1;
            self.window_bytes += item.bytes;
            if item.step == Step::Waiting {
                let token = tokens.next();
                item.step = Step::Requested(token);
                return Some((token, &self.items[index].value));
            }
        }
    }

    /// Returns the item of a request that has no response yet.
    pub(super) fn requested(&mut self, token: CipherToken) -> Option<Requested<'_, T>> {
        let item = self.items.iter_mut().take(self.window);
        item.into_iter().find(|item| item.step == Step::Requested(token)).map(Requested)
    }

    /// Removes the first item if it is ready.
    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front_if(|item| item.step == Step::Ready)?;
        if self.window > 0 {
            self.window -= 1;
            self.window_bytes -= item.bytes;
        }
        Some(item.value)
    }

    /// Removes the items that `keep` does not keep, and lets the others wait again.
    pub(super) fn restart(&mut self, keep: impl Fn(&T) -> bool) {
        self.items.retain(|item| keep(&item.value));
        for item in &mut self.items {
            if let Step::Requested(_) = item.step {
                item.step = Step::Waiting;
            }
        }
        (self.window, self.window_bytes) = (0, 0);
    }
}

/// An item that was requested.
pub(super) struct Requested<'a, T>(&'a mut Item<T>);

impl<T> Requested<'_, T> {
    pub(super) fn value(&self) -> &T {
        &self.0.value
    }

    /// Lets the changed item leave when it is its turn.
    pub(super) fn ready(self, change: impl FnOnce(&mut T)) {
        change(&mut self.0.value);
        self.0.step = Step::Ready;
    }

    /// Lets the item and all after it stay.
    pub(super) fn failed(self) {
        self.0.step = Step::Failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_in_any_order_do_not_change_the_order() {
        let (mut queue, mut tokens) = (OrderedQueue::default(), Tokens::default());
        (0..3).for_each(|n| queue.push_waiting(n, 1));
        queue.push_ready(3);
        let requests: Vec<_> =
            core::iter::from_fn(|| queue.next_request(&mut tokens).map(|(token, _)| token))
                .collect();
        assert_eq!(requests.len(), 3);
        for (token, first) in requests.iter().rev().zip([None, None, Some(10)]) {
            queue.requested(*token).unwrap().ready(|n| *n += 10);
            assert!(queue.requested(*token).is_none(), "one response for each request");
            assert_eq!(queue.pop(), first);
        }
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop(), queue.pop()],
            [Some(11), Some(12), Some(3), None]
        );
    }

    #[test]
    fn requests_are_bounded_by_number_and_size() {
        for (bytes, expected) in [(1, MAX_ITEMS), (MAX_BYTES / 4, 4), (MAX_BYTES * 9, 1)] {
            let (mut queue, mut tokens) = (OrderedQueue::default(), Tokens::default());
            (0..1_000).for_each(|n| queue.push_waiting(n, bytes));
            let mut requests = Vec::new();
            while let Some((token, _)) = queue.next_request(&mut tokens) {
                requests.push(token);
            }
            assert_eq!(requests.len(), expected);
            // The response to a later one gives no room: its result waits in memory.
            if let Some(last) = requests.get(1..).and_then(<[_]>::last) {
                queue.requested(*last).unwrap().ready(|_| {});
                assert!(queue.next_request(&mut tokens).is_none());
            }
            queue.requested(requests[0]).unwrap().ready(|_| {});
            assert_eq!(queue.pop(), Some(0));
            assert!(queue.next_request(&mut tokens).is_some());
        }
    }

    #[test]
    fn after_a_restart_earlier_responses_are_ignored() {
        let (mut queue, mut tokens) = (OrderedQueue::default(), Tokens::default());
        (0..4).for_each(|n| queue.push_waiting(n, 1));
        let (first, _) = queue.next_request(&mut tokens).unwrap();
        queue.restart(|n| n % 2 == 0);
        assert!(queue.requested(first).is_none());
        let (again, n) = queue.next_request(&mut tokens).unwrap();
        assert_eq!((again == first, *n), (false, 0));
        queue.requested(again).unwrap().failed();
        assert_eq!(queue.pop(), None, "an item that failed holds those after it");
    }
}
