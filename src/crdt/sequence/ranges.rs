//! Ranges of elements, and their values.

use im::OrdMap;
use smallvec::SmallVec;

use super::{names::Element, pages::Pages};

/// A value for each element, stored once for neighbouring counters of one node. Elements that were
/// never set have any value.
#[derive(Clone, Debug)]
pub(super) struct Ranges<V> {
    /// The value of each element from a key on, up to the next key.
    starts: OrdMap<Element, V>,
    /// The last range of each node, by number, as far as known: nodes insert elements in the order
    /// of their counters, so most accesses are to these.
    last: Pages<Option<(Element, V)>>,
}

impl<V: Clone> Default for Ranges<V> {
    fn default() -> Self {
        Self { starts: OrdMap::new(), last: Pages::default() }
    }
}

impl<V: Copy + PartialEq> Ranges<V> {
    /// Creates the ranges that begin at these elements.
    pub(super) fn of(starts: Vec<(Element, V)>) -> Self {
        Self { starts: starts.into_iter().collect(), last: Pages::default() }
    }

    /// Returns the value of an element.
    #[inline]
    pub(super) fn get(&self, element: Element) -> Option<V> {
        self.start_before(element).map(|(_, value)| value)
    }

    /// Returns the range of an element: its start and value.
    #[inline]
    fn start_before(&self, element: Element) -> Option<(Element, V)> {
        let last = self.last_of(element.node);
        if let Some((start, value)) = last.filter(|(start, _)| *start <= element) {
            return Some((start, value));
        }
        let (start, value) = self.starts.get_prev(&element)?;
        (start.node == element.node).then_some((*start, *value))
    }

    fn last_of(&self, node: u32) -> Option<(Element, V)> {
        if node as usize >= self.last.len() { None } else { *self.last.get(node) }
    }

    fn set_last(&mut self, node: u32, range: Option<(Element, V)>) {
        if self.last_of(node) == range {
            return;
        }
        while self.last.len() <= node as usize {
            self.last.push(None);
        }
        *self.last.get_mut(node) = range;
    }

    /// Sets the value of `len` elements. `is_last`: none with a higher counter has a value.
    pub(super) fn set(&mut self, first: Element, len: u32, value: V, is_last: bool) {
        let end = first.plus(len);
        let after = if is_last { None } else { self.start_before(end) };
        let before = self.start_before(first);
        if is_last {
            if before.is_some_and(|(_, before)| before == value) {
                self.set_last(first.node, before);
                return;
            }
            self.set_last(first.node, Some((first, value)));
        } else {
            self.set_last(first.node, None);
            let inside: SmallVec<[Element; 4]> =
                self.starts.range(first..end).map(|(start, _)| *start).collect();
            for start in inside {
                self.starts.remove(&start);
            }
        }
        let before = before.filter(|(start, _)| *start < first);
        let before = if is_last { before } else { before.or_else(|| self.start_before(first)) };
        if before.is_none_or(|(_, before)| before != value) {
            self.starts.insert(first, value);
        }
        if let Some((start, after)) = after
            && start < end
            && after != value
        {
            self.starts.insert(end, after);
        }
    }

    /// Returns the starts of ranges after an element of the same node.
    pub(super) fn starts_after(&self, element: Element) -> impl Iterator<Item = (Element, V)> {
        let end = Element { node: element.node, counter: u32::MAX };
        self.starts.range(element.plus(1)..=end).map(|(start, value)| (*start, *value))
    }

    /// Changes all values.
    pub(super) fn map(&mut self, change: impl Fn(V) -> V) {
        self.last = Pages::default();
        self.starts = self.starts.iter().map(|(start, value)| (*start, change(*value))).collect();
    }
}

/// Adds a range of counters to disjoint ranges, which are joined where they touch.
pub(super) fn add_range(ranges: &mut OrdMap<Element, u32>, first: Element, len: u32) {
    let (mut start, mut end) = (first, first.plus(len));
    while let Some((own, count)) = ranges.get_prev(&end).map(|(own, count)| (*own, *count))
        && own.node == first.node
        && own.plus(count) >= start
    {
        start = start.min(own);
        end = end.max(own.plus(count));
        ranges.remove(&own);
    }
    ranges.insert(start, end.counter - start.counter);
}

/// Takes the parts within a range of counters out of disjoint ranges.
pub(super) fn take_ranges(
    ranges: &mut OrdMap<Element, u32>,
    first: Element,
    len: u32,
) -> Vec<(Element, u32)> {
    let end = first.plus(len);
    let mut taken = Vec::new();
    while let Some((own, count)) =
        ranges.range(..end).next_back().map(|(own, count)| (*own, *count))
        && own.node == first.node
        && own.plus(count) > first
    {
        let own_end = own.plus(count);
        ranges.remove(&own);
        if own < first {
            ranges.insert(own, first.counter - own.counter);
        }
        if own_end > end {
            ranges.insert(end, own_end.counter - end.counter);
        }
        let (from, to) = (own.max(first), own_end.min(end));
        taken.push((from, to.counter - from.counter));
    }
    taken
}
