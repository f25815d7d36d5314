//! Which operation has inserted which element.

use core::ops::Range;

use im::OrdMap;
use smallvec::SmallVec;

use super::{
    Sequence, Waiting,
    names::Element,
    ranges::add_range,
    run::{Side, Standing},
    runs::Runs,
    slices::Slices,
};
use crate::{action::Stamp, time::WallTime};

/// The operation of each element: disjoint ranges of counters of a node. Settled operations are
/// joined.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    ranges: OrdMap<Element, Claim>,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    len: u32,
    /// `None` if a snapshot has settled the operation.
    operation: Option<Operation>,
}

/// Whether an operation is undone, and its id without the node: time and sequence number of the
/// action, and the index in the action. The lowest wins.
pub(super) type Operation = (bool, WallTime, u32, u32);

/// The elements that an operation gets, as ranges of their indexes in the operation.
pub(super) struct Won {
    pub(super) all: SmallVec<[Range<u32>; 1]>,
    /// The elements that another operation had before: first ones and numbers.
    pub(super) replaced: Vec<(Element, u32)>,
}

const fn operation(stamp: &Stamp, is_undone: bool) -> Operation {
    (is_undone, stamp.id().time(), stamp.id().sequence(), stamp.operation())
}

impl Claims {
    /// Adds the claim of an operation to elements that no other claims.
    pub(super) fn add(&mut self, first: Element, len: u32, stamp: &Stamp, is_undone: bool) {
        self.ranges.insert(first, Claim { len, operation: Some(operation(stamp, is_undone)) });
    }

    /// Adds the claim of an operation, where it is lower than those before.
    pub(super) fn resolve(
        &mut self,
        first: Element,
        len: u32,
        stamp: &Stamp,
        is_undone: bool,
    ) -> Won {
        let own = Some(operation(stamp, is_undone));
        let end = first.plus(len);
        let mut won = Won { all: SmallVec::new(), replaced: Vec::new() };
        let mut at = first;
        while at < end {
            let (claim, until) = self.claim_from(at, end);
            let count = until.counter - at.counter;
            let is_won = match claim {
                None => true,
                Some((start, claim)) => {
                    let is_lower = claim.operation > own;
                    if is_lower {
                        self.cut(start, claim, at..until);
                        won.replaced.push((at, count));
                    }
                    is_lower
                }
            };
            if is_won {
                self.insert_own(at, count, own);
                let from = at.counter - first.counter;
                // Elements that wait are one insertion, whoever has claimed them before.
                match won.all.last_mut() {
                    Some(last) if last.end == from => last.end += count,
                    _ => won.all.push(from..from + count),
                }
            }
            at = until;
        }
        won
    }

    /// Adds the claim of an operation, which may have the elements before: it was applied before
    /// others were joined with it.
    fn insert_own(&mut self, at: Element, len: u32, own: Option<Operation>) {
        let before = self.ranges.get_prev(&at).map(|(start, claim)| (*start, *claim));
        let before = before.filter(|(start, claim)| {
            start.plus(claim.len) == at && start.node == at.node && claim.operation == own
        });
        let (start, len) = before.map_or((at, len), |(start, claim)| (start, claim.len + len));
        self.ranges.insert(start, Claim { len, operation: own });
    }

    /// Returns the claim of an element, if there is one, and the end of the elements up to `end` of
    /// which the same is true.
    fn claim_from(&self, at: Element, end: Element) -> (Option<(Element, Claim)>, Element) {
        let previous = self.ranges.get_prev(&at).map(|(start, claim)| (*start, *claim));
        match previous.filter(|(start, claim)| start.node == at.node && start.plus(claim.len) > at)
        {
            Some((start, claim)) => (Some((start, claim)), start.plus(claim.len).min(end)),
            None => {
                let next = self.ranges.get_next(&at).map(|(start, _)| *start);
                (None, next.filter(|next| *next < end).unwrap_or(end))
            }
        }
    }

    /// Removes a part of a claim.
    fn cut(&mut self, start: Element, claim: Claim, part: Range<Element>) {
        self.ranges.remove(&start);
        let end = start.plus(claim.len);
        for (from, to) in [(start, part.start), (part.end, end)] {
            if from < to {
                self.ranges.insert(from, Claim { len: to.counter - from.counter, ..claim });
            }
        }
    }

    /// Returns `true` if a settled operation has inserted an element.
    pub(super) fn is_settled(&self, element: Element) -> bool {
        let (claim, _) = self.claim_from(element, element.plus(1));
        claim.is_some_and(|(_, claim)| claim.operation.is_none())
    }

    /// Returns the claims that are not settled.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = (Element, u32, Operation)> {
        let claims = self.ranges.iter();
        claims.filter_map(|(first, claim)| Some((*first, claim.len, claim.operation?)))
    }

    /// Adds the claim of a settled operation.
    pub(super) fn add_settled(&mut self, first: Element, len: u32) {
        self.ranges.insert(first, Claim { len, operation: None });
    }

    /// Adds the claim of a settled operation. Returns `false` if another claims one of the
    /// elements.
    pub(super) fn add_if_unknown(&mut self, first: Element, len: u32) -> bool {
        let end = first.plus(len);
        let is_unknown = matches!(self.claim_from(first, end), (None, until) if until == end);
        if is_unknown {
            self.add_settled(first, len);
        }
        is_unknown
    }

    /// Sets the operation of elements that have a settled one.
    pub(super) fn restore(&mut self, first: Element, len: u32, operation: Operation) {
        let end = first.plus(len);
        let mut at = first;
        while at < end {
            let (claim, until) = self.claim_from(at, end);
            if let Some((start, claim)) = claim {
                self.cut(start, claim, at..until);
            }
            at = until;
        }
        self.ranges.insert(first, Claim { len, operation: Some(operation) });
    }

    /// Settles all operations.
    pub(super) fn settle(&mut self) {
        let mut settled: Vec<(Element, Claim)> = Vec::new();
        for (first, claim) in &self.ranges {
            match settled.last_mut() {
                Some((last, own)) if last.plus(own.len) == *first => own.len += claim.len,
                _ => settled.push((*first, Claim { len: claim.len, operation: None })),
            }
        }
        self.ranges = settled.into_iter().collect();
    }
}

impl Sequence {
    /// Removes elements that another operation claims, and builds the order of the others again.
    /// O(n log n), where one node has used a name twice.
    pub(super) fn rebuild(&mut self, replaced: &[(Element, u32)], is_text: bool) {
        // Nobody removes places of a list; they are hidden.
        for (first, len) in replaced.iter().filter(|_| is_text) {
            for offset in 0..*len {
                let element = first.plus(offset);
                let place = self.runs.find(element);
                if place.is_some_and(|place| self.runs.run(place).standing == Standing::Removed) {
                    add_range(&mut self.removed, element, 1);
                }
            }
        }
        let mut all = self.insertions();
        all.extend(core::mem::take(&mut self.waiting).into_iter().map(|(_, own)| own));
        self.runs = Runs::default();
        let mut placed = super::Placed::new();
        for insertion in all.into_iter().flat_map(|insertion| insertion.without(replaced)) {
            let Waiting { first, len, text, after, before, standing } = insertion;
            self.add(first, len, &text, (after, before), standing, false, &mut placed);
        }
    }

    /// Returns the insertions that give the order.
    fn insertions(&self) -> Vec<Waiting> {
        let mut all: Vec<Waiting> = self
            .runs
            .iter()
            .map(|(run, text)| Waiting {
                first: run.first,
                len: run.len,
                text: text.into(),
                after: None,
                before: run.right,
                standing: run.standing,
            })
            .collect();
        let runs: Vec<_> = self.runs.iter().map(|(run, _)| run).collect();
        // The parent of a right child is the nearest element before it that is higher; that of a
        // left child is its right origin.
        let mut above: Vec<usize> = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            while above.last().is_some_and(|last| runs[*last].depth >= run.depth) {
                above.pop();
            }
            if run.side == Side::Right {
                let parent = above.last().map(|last| {
                    let last = runs[*last];
                    last.first.plus(run.depth - 1 - last.depth)
                });
                all[index].after = parent;
            }
            above.push(index);
        }
        all
    }
}

impl Waiting {
    /// Returns the insertion without some of its elements, in parts. `removed` is sorted.
    fn without(self, removed: &[(Element, u32)]) -> Vec<Self> {
        let (first, end) = (self.first, self.first.plus(self.len));
        let before = removed.partition_point(|(own, len)| own.plus(*len) <= first);
        let overlapping = removed[before..].iter().take_while(|(own, _)| *own < end);
        let mut kept: Vec<Range<u32>> = Vec::new();
        let mut at = 0;
        for (own, len) in overlapping {
            kept.push(at..own.counter.max(first.counter) - first.counter);
            at = own.plus(*len).min(end).counter - first.counter;
        }
        if kept.is_empty() {
            return vec![self];
        }
        kept.push(at..self.len);
        let mut slices = Slices::new(&self.text, self.len);
        let parts = kept.into_iter().filter(|range| !range.is_empty()).map(|range| Self {
            first: first.plus(range.start),
            len: range.end - range.start,
            text: slices.next(&range).into(),
            after: range.start.checked_sub(1).map_or(self.after, |last| Some(first.plus(last))),
            ..self.clone()
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        action::Stamp,
        crdt::{crdt::Crdt, text::Text},
        time::WallTime,
    };

    #[test]
    fn an_insertion_waits_as_a_whole_whoever_has_claimed_its_elements_before() {
        let [one, other] = [
            (1, r#"{"op":"insert","first":3,"text":"abc","after":"@b 0"}"#),
            (2, r#"{"op":"insert","first":5,"text":"x","before":"@c 0"}"#),
        ]
        .map(|(ms, json)| {
            let id = format!("{ms} a 0").parse().unwrap();
            (serde_json::from_str(json).unwrap(), Stamp::new(WallTime::from_millis(ms), id))
        });
        let apply = |ops: [&(_, Stamp); 2]| {
            let mut text = Text::default();
            ops.iter().for_each(|(op, stamp)| drop(text.apply(op, stamp)));
            text
        };
        assert_eq!(apply([&one, &other]), apply([&other, &one]));
    }
}
