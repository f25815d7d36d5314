//! Positions in a list, which do not change when items are inserted around them.

use core::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    op_id::OpId,
    saving::{LoadError, StateReader, StateWriter, damaged},
};
use crate::{action::ActionId, time::WallTime};

/// The maximum number of steps of a position.
pub const MAX_STEPS: usize = 256;

/// A position in a list. There is another position between any two positions, up to a maximum of
/// [`MAX_STEPS`] steps.
///
/// A position is a path in a tree of *runs*. A run is a sequence of items that one node inserted
/// one after the other in one place: its items share the path to the run and differ in a number. A
/// node that inserts elsewhere, or into a run of another node, begins a new run there. Therefore
/// concurrent runs in one place do not interleave, even when they are written backwards, which
/// Weidner and Kleppmann call non-interleaving ("The Art of the Fugue", 2023). Positions are
/// self-contained keys as in Logoot (Weiss, Urso and Molli, 2009), because actions may arrive in
/// any order and be forgotten.
///
/// A step also names the operation that made it, so that no two positions are equal, not even if an
/// item that was removed or moved returns to a position after another one was inserted there.
///
/// Numbers are spaced: 20 halvings fit between two neighbours before a position gets one step
/// longer. The JSON form is an array of steps `[order, run, index]`, where `run` is the id of the
/// operation that began the run, or `[order, run, index, time, sequence, operation]` if another
/// operation of the same node made the step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position(Arc<[Step]>);

/// One step of a position.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Step {
    /// The order of the runs in one place; the ids of the runs break ties.
    order: i64,
    run: OpId,
    /// The item in the run.
    index: i64,
    /// The operation that made the step.
    maker: OpId,
}

/// The initial distance between neighbours.
const SPACING: i64 = 1 << 20;
/// The maximum absolute value of a number, which every JSON parser can represent.
const LIMIT: i64 = 1 << 53;

impl Position {
    /// Makes a position between two neighbours for the item that the operation `id` inserts or
    /// moves. Returns `None` if it would have more than [`MAX_STEPS`] steps. O(steps).
    ///
    /// Takes the first that fits: the next one in the run of `before`, the previous one in the run
    /// of `after`, a new run at the level of `before`, a new run below `before`.
    pub fn between(before: Option<&Self>, after: Option<&Self>, id: &OpId) -> Option<Self> {
        let fits = |new: &Self| {
            before.is_none_or(|before| before < new) && after.is_none_or(|after| new < after)
        };
        [Self::next_in_run, Self::previous_in_run, Self::sibling_run, Self::child_run]
            .into_iter()
            .filter_map(|position| position(before, after, id))
            .find(|new| fits(new) && new.0.len() <= MAX_STEPS && new.is_within_limits())
    }

    /// Returns `true` if two positions are in the same run.
    fn same_run(&self, other: &Self) -> bool {
        let (Some((last, prefix)), Some((other_last, other_prefix))) =
            (self.0.split_last(), other.0.split_last())
        else {
            return false;
        };
        (last.order, &last.run) == (other_last.order, &other_last.run) && prefix == other_prefix
    }

    fn next_in_run(before: Option<&Self>, after: Option<&Self>, id: &OpId) -> Option<Self> {
        let before = before.filter(|before| before.is_run_of(id))?;
        let (last, _) = before.0.split_last()?;
        let index =
            match after.filter(|after| after.same_run(before)).and_then(|after| after.0.last()) {
                Some(next) => middle(last.index, next.index)?,
                None => last.index.checked_add(SPACING)?,
            };
        Some(before.with_last(Step { index, maker: id.clone(), ..last.clone() }))
    }

    fn previous_in_run(_: Option<&Self>, after: Option<&Self>, id: &OpId) -> Option<Self> {
        let after = after.filter(|after| after.is_run_of(id))?;
        let (last, _) = after.0.split_last()?;
        let index = last.index.checked_sub(SPACING)?;
        Some(after.with_last(Step { index, maker: id.clone(), ..last.clone() }))
    }

    fn sibling_run(before: Option<&Self>, after: Option<&Self>, id: &OpId) -> Option<Self> {
        let run = |order| Step { order, run: id.clone(), index: 0, maker: id.clone() };
        match (before, after) {
            (None, None) => Some(Self(Arc::new([run(0)]))),
            (None, Some(after)) => {
                Some(Self(Arc::new([run(after.0.first()?.order.checked_sub(SPACING)?)])))
            }
            (Some(before), after) => {
                let (last, prefix) = before.0.split_last()?;
                let neighbour = after.and_then(|after| {
                    let next = after.0.get(prefix.len())?;
                    after.0.starts_with(prefix).then_some(next)
                });
                let order = match neighbour {
                    Some(next) => middle(last.order, next.order)?,
                    None => last.order.checked_add(SPACING)?,
                };
                Some(before.with_last(run(order)))
            }
        }
    }

    fn child_run(before: Option<&Self>, after: Option<&Self>, id: &OpId) -> Option<Self> {
        let before = before?;
        let first =
            after.and_then(|after| after.0.strip_prefix(&*before.0)).and_then(<[Step]>::first);
        let order = first.map_or(Some(0), |first| first.order.checked_sub(SPACING))?;
        let new = Step { order, run: id.clone(), index: 0, maker: id.clone() };
        Some(Self(before.0.iter().cloned().chain([new]).collect()))
    }

    /// Returns `true` if the node of the operation began the run of this position.
    fn is_run_of(&self, id: &OpId) -> bool {
        self.0.last().is_some_and(|last| last.run.action().node() == id.action().node())
    }

    fn with_last(&self, step: Step) -> Self {
        let prefix = &self.0[..self.0.len() - 1];
        Self(prefix.iter().cloned().chain([step]).collect())
    }

    /// Writes the steps.
    pub(super) fn encode(&self, writer: &mut StateWriter) {
        writer.unsigned(self.0.len() as u64);
        for Step { order, run, index, maker } in &*self.0 {
            writer.signed(*order);
            writer.op_id(run);
            writer.signed(*index);
            writer.op_id(maker);
        }
    }

    /// Reads the steps.
    pub(super) fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let mut steps = Vec::new();
        for _ in 0..reader.unsigned()? {
            steps.push(Step {
                order: reader.signed()?,
                run: reader.op_id()?,
                index: reader.signed()?,
                maker: reader.op_id()?,
            });
        }
        let position = Self(steps.into());
        let is_valid = (1..=MAX_STEPS).contains(&position.0.len()) && position.is_within_limits();
        if is_valid { Ok(position) } else { Err(damaged("a position of 1 to 256 steps")) }
    }

    fn is_within_limits(&self) -> bool {
        self.0.iter().all(|step| {
            [step.order, step.index]
                .iter()
                .all(|number| number.unsigned_abs() <= LIMIT.unsigned_abs())
        })
    }
}

/// Returns a number between two others, if there is one.
fn middle(low: i64, high: i64) -> Option<i64> {
    let distance = high.checked_sub(low).filter(|distance| *distance > 1)?;
    Some(low + (distance / 2).min(SPACING))
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A step in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StepJson {
    First(i64, OpId, i64),
    Later(i64, OpId, i64, WallTime, u32, u32),
}

impl From<&Step> for StepJson {
    fn from(Step { order, run, index, maker }: &Step) -> Self {
        if maker == run {
            return Self::First(*order, run.clone(), *index);
        }
        let action = maker.action();
        Self::Later(*order, run.clone(), *index, action.time(), action.sequence(), maker.index())
    }
}

impl From<StepJson> for Step {
    fn from(step: StepJson) -> Self {
        match step {
            StepJson::First(order, run, index) => Self { order, maker: run.clone(), run, index },
            StepJson::Later(order, run, index, time, sequence, operation) => {
                let action = ActionId::new(time, run.action().node().clone(), sequence);
                Self { order, run, index, maker: OpId::new(action, operation) }
            }
        }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(StepJson::from))
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let steps = Vec::<StepJson>::deserialize(deserializer)?;
        let position = Self(steps.into_iter().map(Step::from).collect());
        if position.0.is_empty() || position.0.len() > MAX_STEPS || !position.is_within_limits() {
            let steps = position.0.len();
            return Err(D::Error::custom(format!(
                "expected a position of 1 to {MAX_STEPS} steps with numbers within ±2^53, \
                 got {steps} steps"
            )));
        }
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: usize, node: usize) -> OpId {
        format!("{number} {} 0", ["a", "b", "c"][node]).parse().unwrap()
    }

    proptest! {
        #[test]
        fn there_is_a_position_between_any_two(
            inserts in proptest::collection::vec((any::<prop::sample::Index>(), 0..3_usize), 1..120)
        ) {
            let mut positions: Vec<Position> = Vec::new();
            for (number, (at, node)) in inserts.into_iter().enumerate() {
                let at = at.index(positions.len() + 1);
                let before = at.checked_sub(1).map(|before| &positions[before]);
                let new = Position::between(before, positions.get(at), &id(number, node));
                positions.insert(at, new.expect("a position"));
                prop_assert!(positions.is_sorted_by(|a, b| a < b));
            }
        }

        #[test]
        fn concurrent_runs_in_one_place_do_not_interleave(
            runs in proptest::collection::vec((2..6_usize, any::<bool>()), 2..4), inner: bool
        ) {
            // A node inserts two items. Then several nodes insert items in the same place
            // concurrently, forwards or backwards.
            let first = Position::between(None, None, &id(0, 2)).unwrap();
            let second = Position::between(Some(&first), None, &id(1, 2)).unwrap();
            let end = inner.then_some(&second);
            let mut all: Vec<(Position, usize)> = Vec::new();
            for (node, (length, backwards)) in runs.iter().enumerate() {
                let mut own: Vec<Position> = Vec::new();
                for number in 0..*length {
                    let id: OpId = format!("{} n{node} 0", 10 + number).parse().unwrap();
                    if *backwards {
                        let after = own.first().or(end);
                        own.insert(0, Position::between(Some(&first), after, &id).unwrap());
                    } else {
                        let before = own.last().or(Some(&first));
                        own.push(Position::between(before, end, &id).unwrap());
                    }
                }
                all.extend(own.into_iter().map(|position| (position, node)));
            }
            all.sort();
            let mut nodes: Vec<usize> = all.iter().map(|(_, node)| *node).collect();
            nodes.dedup();
            prop_assert_eq!(nodes.len(), runs.len(), "the items of each node are contiguous");
        }
    }

    #[test]
    fn alternating_inserts_at_both_ends_keep_positions_short() {
        let mut positions: Vec<Position> = Vec::new();
        for number in 0..10_000 {
            let (before, after) =
                if number % 3 == 0 { (None, positions.first()) } else { (positions.last(), None) };
            let new = Position::between(before, after, &id(number, number % 2)).unwrap();
            assert_eq!(new.0.len(), 1);
            if number % 3 == 0 { positions.insert(0, new) } else { positions.push(new) }
        }
    }

    #[test]
    fn a_position_that_was_left_is_not_made_again() {
        let first = Position::between(None, None, &id(0, 0)).unwrap();
        let removed = Position::between(Some(&first), None, &id(1, 0)).unwrap();
        let new = Position::between(Some(&first), None, &id(2, 0)).unwrap();
        assert!(removed < new, "an item at the same place has another position");
        for node in 0..3 {
            let between = Position::between(Some(&removed), Some(&new), &id(3, node)).unwrap();
            assert!(removed < between && between < new);
            let text = serde_json::to_string(&between).unwrap();
            assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), between);
        }
    }

    #[test]
    fn alternating_inserts_exhaust_a_gap() {
        let mut low = Position::between(None, None, &id(0, 0)).unwrap();
        let mut high = Position::between(Some(&low), None, &id(1, 1)).unwrap();
        // Three nodes in turn, so that no node has a run of its own next to the gap, which is
        // narrowed from both sides.
        let mut count = 0;
        while let Some(new) = Position::between(Some(&low), Some(&high), &id(count, count % 3)) {
            if count % 2 == 0 {
                low = new
            } else {
                high = new
            }
            count += 1;
            assert!(low < high && count < 100_000, "the gap is exhausted");
        }
        assert!(count > MAX_STEPS * 5, "{count} inserts between two neighbours");
        assert!(low.0.len() <= MAX_STEPS);
    }
}
