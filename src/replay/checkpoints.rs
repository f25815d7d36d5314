//! Saved states: dense near the end of history, sparser behind.

use super::TimelineConfig;

/// States after some of the steps. `count` says after how many.
///
/// At a distance *d* from the end, neighbours are at most max(`save_every`, *d* / 2) steps apart, and never more than `save_gap` before
/// thinning, so going back *d* steps finds a state at most about *d* / 2 before. Their number is O(log `save_gap` + n / `save_gap`).
#[derive(Clone, Debug)]
pub(super) struct Checkpoints<S> {
    saved: Vec<(usize, S)>,
    dense: usize,
    sparse: usize,
}

impl<S: Clone> Checkpoints<S> {
    pub(super) fn new(config: &TimelineConfig) -> Self {
        let dense = config.save_every.clamp(1, TimelineConfig::MAX_GAP);
        Self {
            saved: Vec::new(),
            dense,
            sparse: config.save_gap.clamp(dense, TimelineConfig::MAX_GAP),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.saved.len()
    }

    /// The latest state after at most `count` steps.
    pub(super) fn before(&self, count: usize) -> Option<(usize, &S)> {
        let behind = self.saved.partition_point(|(own, _)| *own <= count);
        self.saved[..behind].last().map(|(own, state)| (*own, state))
    }

    /// The first state after more than `count` steps.
    fn after(&self, count: usize) -> Option<usize> {
        self.saved.get(self.saved.partition_point(|(own, _)| *own <= count)).map(|(own, _)| *own)
    }

    /// Forgets the states that the step number `index` is part of.
    pub(super) fn forget_behind(&mut self, index: usize) {
        let keep = self.saved.partition_point(|(own, _)| *own <= index);
        self.saved.truncate(keep);
    }

    /// Saves the state after `count` steps, of which there will be `end`, if the last one saved is far enough away.
    #[inline]
    pub(super) fn offer(&mut self, count: usize, end: usize, state: &S) {
        let last = self.saved.last().map_or(0, |(own, _)| *own);
        if count - last >= self.gap(end - count) {
            self.saved.push((count, state.clone()));
            self.thin(end);
        }
    }

    /// The distance that neighbours may have that far from the end.
    fn gap(&self, distance: usize) -> usize {
        (distance / 2).clamp(self.dense, self.sparse)
    }

    /// Forgets states that are closer to each other than they need to be now that the end has moved on.
    fn thin(&mut self, end: usize) {
        let mut at = self.saved.len().saturating_sub(1);
        while at >= 1 {
            let next = self.saved.get(at + 1).map_or(end, |(own, _)| *own);
            let previous = at.checked_sub(1).map_or(0, |before| self.saved[before].0);
            if end - next > 4 * self.sparse {
                break;
            }
            if at + 1 < self.saved.len() && next - previous <= self.gap(end - next) {
                self.saved.remove(at);
            }
            at -= 1;
        }
    }

    /// A step came in at `index`, and the order makes no difference: later states get it too.
    pub(super) fn insert(&mut self, index: usize, mut apply: impl FnMut(&mut S)) {
        let from = self.saved.partition_point(|(own, _)| *own <= index);
        for (own, state) in &mut self.saved[from..] {
            *own += 1;
            apply(state);
        }
    }

    /// The step at `index` goes into the past of everything, and the order makes no difference: earlier states get it too.
    pub(super) fn absorb(&mut self, index: usize, apply: impl Fn(&mut S)) {
        let until = self.saved.partition_point(|(own, _)| *own <= index);
        self.saved[..until].iter_mut().for_each(|(_, state)| apply(state));
    }

    /// Where a state should be saved in the middle of a stretch around `count` that late actions have made too long.
    pub(super) fn overgrown(&self, count: usize, end: usize) -> Option<usize> {
        let from = self.before(count).map_or(0, |(own, _)| own);
        let to = self.after(count).unwrap_or(end);
        // Up to twice the gap is normal until then, so that splitting costs a constant part of what came.
        (to - from > (2 * self.sparse).min(TimelineConfig::MAX_GAP))
            .then_some(from + (to - from) / 2)
    }

    /// Saves a state in the middle.
    pub(super) fn put(&mut self, count: usize, state: S) {
        let at = self.saved.partition_point(|(own, _)| *own < count);
        self.saved.insert(at, (count, state));
    }

    /// Counts steps anew: `renumber` gives the new count for an old one, `None` when the state is of no use any more.
    pub(super) fn renumber(&mut self, mut renumber: impl FnMut(usize) -> Option<usize>) {
        self.saved.retain_mut(|(own, _)| renumber(*own).map(|new| *own = new).is_some());
    }

    /// The longest way from one saved state, or the beginning, to the next or the end.
    pub(super) fn longest_gap(&self, end: usize) -> usize {
        let counts = self.saved.iter().map(|(own, _)| *own);
        core::iter::once(0)
            .chain(counts.clone())
            .zip(counts.chain([end]))
            .map(|(a, b)| b - a)
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_saved_and_none_is_far_away() {
        let mut saved = Checkpoints::new(&TimelineConfig::default());
        for count in 1..=100_000 {
            saved.offer(count, count, &count);
            if count.is_multiple_of(997) {
                for distance in [0, 1, 10, 100, 1_000, 10_000] {
                    let Some(wanted) = count.checked_sub(distance) else { continue };
                    let (own, state) = saved.before(wanted).unwrap_or((0, &0));
                    assert_eq!(own, *state);
                    let work = wanted - own;
                    assert!(
                        work <= (distance * 3 / 4).clamp(32, 4_096),
                        "{distance} back in {count} costs {work}"
                    );
                }
            }
        }
        assert!(saved.len() < 100_000 / 2_048 + 64, "{} saved", saved.len());
        assert!(saved.longest_gap(100_000) <= 4_096);
    }
}
