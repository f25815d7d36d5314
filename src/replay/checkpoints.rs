//! Saved states: dense near the end of history, sparser further back.

use super::TimelineConfig;

/// States after some of the steps, each with the number of steps that it includes.
///
/// At a distance *d* from the end, neighbours are at most max(`save_every`, *d* / 2) steps apart,
/// and at most `save_gap`, or twice that after late actions. So going back *d* steps starts from a
/// state at most about *d* / 2 steps earlier. The number of states is O(log `save_gap` + n /
/// `save_gap`).
#[derive(Clone, Debug)]
pub(super) struct Checkpoints<S> {
    saved: Vec<(usize, S)>,
    min_gap: usize,
    max_gap: usize,
}

impl<S: Clone> Checkpoints<S> {
    pub(super) fn new(config: &TimelineConfig) -> Self {
        let min_gap = config.save_every.clamp(1, TimelineConfig::MAX_GAP);
        Self {
            saved: Vec::new(),
            min_gap,
            max_gap: config.save_gap.clamp(min_gap, TimelineConfig::MAX_GAP),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.saved.len()
    }

    /// Returns the latest state after at most `count` steps.
    pub(super) fn before(&self, count: usize) -> Option<(usize, &S)> {
        let end = self.saved.partition_point(|(saved_count, _)| *saved_count <= count);
        self.saved[..end].last().map(|(saved_count, state)| (*saved_count, state))
    }

    /// Returns the step count of the first state after more than `count` steps.
    fn after(&self, count: usize) -> Option<usize> {
        self.saved
            .get(self.saved.partition_point(|(saved_count, _)| *saved_count <= count))
            .map(|(saved_count, _)| *saved_count)
    }

    /// Removes all states.
    pub(super) fn clear(&mut self) {
        self.saved.clear();
    }

    /// Removes the states that include the step with this index.
    pub(super) fn remove_after(&mut self, index: usize) {
        let kept = self.saved.partition_point(|(saved_count, _)| *saved_count <= index);
        self.saved.truncate(kept);
    }

    /// Saves the state after `count` of `end` steps, if the last saved state is far enough away.
    #[inline]
    pub(super) fn save_if_due(&mut self, count: usize, end: usize, state: &S) {
        let last = self.saved.last().map_or(0, |(saved_count, _)| *saved_count);
        if count - last >= self.gap(end - count) {
            self.saved.push((count, state.clone()));
            self.thin(end);
        }
    }

    /// Returns the distance between neighbours at this distance from the end.
    fn gap(&self, distance: usize) -> usize {
        (distance / 2).clamp(self.min_gap, self.max_gap)
    }

    /// Removes states that are closer to each other than needed at their current distance from the
    /// end.
    fn thin(&mut self, end: usize) {
        let mut index = self.saved.len().saturating_sub(1);
        while index >= 1 {
            let next = self.saved.get(index + 1).map_or(end, |(saved_count, _)| *saved_count);
            let previous = index.checked_sub(1).map_or(0, |before| self.saved[before].0);
            if end - next > 4 * self.max_gap {
                break;
            }
            if index + 1 < self.saved.len() && next - previous <= self.gap(end - next) {
                self.saved.remove(index);
            }
            index -= 1;
        }
    }

    /// Inserts a step at `index` whose order makes no difference: applies it to the later states.
    pub(super) fn insert_step(&mut self, index: usize, mut apply: impl FnMut(&mut S)) {
        let from = self.saved.partition_point(|(saved_count, _)| *saved_count <= index);
        for (saved_count, state) in &mut self.saved[from..] {
            *saved_count += 1;
            apply(state);
        }
    }

    /// Changes the states that include the step at `index`.
    pub(super) fn change_after(&mut self, index: usize, change: impl Fn(&mut S)) {
        let from = self.saved.partition_point(|(saved_count, _)| *saved_count <= index);
        self.saved[from..].iter_mut().for_each(|(_, state)| change(state));
    }

    /// Makes the step at `index`, whose order makes no difference, part of the base: applies it to
    /// the earlier states.
    pub(super) fn absorb(&mut self, index: usize, apply: impl Fn(&mut S)) {
        let end = self.saved.partition_point(|(saved_count, _)| *saved_count <= index);
        self.saved[..end].iter_mut().for_each(|(_, state)| apply(state));
    }

    /// If late actions have made the gap around `count` too long, returns the step count in its
    /// middle, where a state should be saved.
    pub(super) fn split_point(&self, count: usize, end: usize) -> Option<usize> {
        let from = self.before(count).map_or(0, |(saved_count, _)| saved_count);
        let to = self.after(count).unwrap_or(end);
        // Gaps are split only at twice their normal length, so that the amortised cost of splitting
        // is constant for each late action.
        (to - from > (2 * self.max_gap).min(TimelineConfig::MAX_GAP))
            .then_some(from + (to - from) / 2)
    }

    /// Saves a state that is not the last one.
    pub(super) fn insert_state(&mut self, count: usize, state: S) {
        let index = self.saved.partition_point(|(saved_count, _)| *saved_count < count);
        self.saved.insert(index, (count, state));
    }

    /// Renumbers the states: `renumber` returns the new count for an old one, or `None` to remove
    /// the state.
    pub(super) fn renumber(&mut self, mut renumber: impl FnMut(usize) -> Option<usize>) {
        self.saved.retain_mut(|(saved_count, _)| {
            renumber(*saved_count).map(|new| *saved_count = new).is_some()
        });
    }

    /// Returns the largest number of steps from the base or a saved state to the next one or the
    /// end.
    pub(super) fn longest_gap(&self, end: usize) -> usize {
        let counts = self.saved.iter().map(|(saved_count, _)| *saved_count);
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
    fn number_and_distance_of_saved_states_are_bounded() {
        let mut saved = Checkpoints::new(&TimelineConfig::default());
        for count in 1..=100_000 {
            saved.save_if_due(count, count, &count);
            if count.is_multiple_of(997) {
                for distance in [0, 1, 10, 100, 1_000, 10_000] {
                    let Some(wanted) = count.checked_sub(distance) else { continue };
                    let (saved_count, state) = saved.before(wanted).unwrap_or((0, &0));
                    assert_eq!(saved_count, *state);
                    let work = wanted - saved_count;
                    assert!(
                        work <= (distance * 3 / 4).clamp(32, 4_096),
                        "going back {distance} of {count} steps costs {work}"
                    );
                }
            }
        }
        assert!(saved.len() < 100_000 / 2_048 + 64, "{} states are saved", saved.len());
        assert!(saved.longest_gap(100_000) <= 4_096);
    }
}
