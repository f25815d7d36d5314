//! Places in a list that stay what they are, whatever is put around them.

use core::cmp::Ordering;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::action::ActionId;

/// How many steps a position may have.
pub const MAX_STEPS: usize = 256;

/// A place in a list, between any two of which there is always another.
///
/// A position is a way down a tree of *runs*. A run is what one node has put in one place one after the other: its items share the way to the run and
/// differ in a number. Who puts something elsewhere, or into a run of somebody else, begins a run of their own there. So runs of two people at one place
/// never mix, also when they are written backwards, which is the property that Weidner and Kleppmann call non-interleaving ("The Art of the
/// Fugue", 2023); here it is had with keys that are complete in themselves, in the manner of Logoot (Weiss, Urso and Molli, 2009), since actions may
/// come in any order and be forgotten.
///
/// Numbers leave room: 20 halvings fit between two neighbours before a position gets one step longer. In JSON: an array of
/// `[order, run, index]`, where the run is named by the action that began it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position(Arc<[Step]>);

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Step {
    /// Which of the runs at this place comes first; where they are equal, the run's id decides.
    order: i64,
    run: ActionId,
    /// Which item of the run.
    index: i64,
}

/// The room between neighbours.
const ROOM: i64 = 1 << 20;
/// The range of numbers, which every JSON reader can hold.
const LIMIT: i64 = 1 << 53;

impl Position {
    /// A place between two neighbours, for what the action `id` puts there. `None` when it would have more than [`MAX_STEPS`] steps.
    ///
    /// The first that fits of: further in the run of the one before, back in the run of the one behind, a run beside, a run below.
    pub fn between(before: Option<&Self>, behind: Option<&Self>, id: &ActionId) -> Option<Self> {
        let fits = |new: &Self| {
            before.is_none_or(|before| before < new) && behind.is_none_or(|behind| new < behind)
        };
        [Self::further, Self::back, Self::beside, Self::below]
            .into_iter()
            .filter_map(|place| place(before, behind, id))
            .find(|new| fits(new) && new.0.len() <= MAX_STEPS && new.is_within_limits())
    }

    /// Whether the runs of two positions are the same.
    fn same_run(&self, other: &Self) -> bool {
        let (Some((own, own_way)), Some((last, way))) = (self.0.split_last(), other.0.split_last())
        else {
            return false;
        };
        (own.order, &own.run) == (last.order, &last.run) && own_way == way
    }

    fn further(before: Option<&Self>, behind: Option<&Self>, id: &ActionId) -> Option<Self> {
        let before = before.filter(|before| before.is_run_of(id))?;
        let (last, _) = before.0.split_last()?;
        let index = match behind
            .filter(|behind| behind.same_run(before))
            .and_then(|behind| behind.0.last())
        {
            Some(next) => middle(last.index, next.index)?,
            None => last.index.checked_add(ROOM)?,
        };
        Some(before.with_last(Step { index, ..last.clone() }))
    }

    fn back(_: Option<&Self>, behind: Option<&Self>, id: &ActionId) -> Option<Self> {
        let behind = behind.filter(|behind| behind.is_run_of(id))?;
        let (last, _) = behind.0.split_last()?;
        Some(behind.with_last(Step { index: last.index.checked_sub(ROOM)?, ..last.clone() }))
    }

    fn beside(before: Option<&Self>, behind: Option<&Self>, id: &ActionId) -> Option<Self> {
        let run = |order| Step { order, run: id.clone(), index: 0 };
        match (before, behind) {
            (None, None) => Some(Self(Arc::new([run(0)]))),
            (None, Some(behind)) => {
                Some(Self(Arc::new([run(behind.0.first()?.order.checked_sub(ROOM)?)])))
            }
            (Some(before), behind) => {
                let (last, way) = before.0.split_last()?;
                let neighbour = behind.and_then(|behind| {
                    let (next, rest) = (behind.0.get(way.len())?, &behind.0[..way.len()]);
                    (rest == way).then_some(next)
                });
                let order = match neighbour {
                    Some(next) => middle(last.order, next.order)?,
                    None => last.order.checked_add(ROOM)?,
                };
                Some(before.with_last(run(order)))
            }
        }
    }

    fn below(before: Option<&Self>, behind: Option<&Self>, id: &ActionId) -> Option<Self> {
        let before = before?;
        let first =
            behind.and_then(|behind| behind.0.strip_prefix(&*before.0)).and_then(<[Step]>::first);
        let order = first.map_or(Some(0), |first| first.order.checked_sub(ROOM))?;
        let new = Step { order, run: id.clone(), index: 0 };
        Some(Self(before.0.iter().cloned().chain([new]).collect()))
    }

    fn is_run_of(&self, id: &ActionId) -> bool {
        self.0.last().is_some_and(|last| last.run.node() == id.node())
    }

    fn with_last(&self, step: Step) -> Self {
        let way = &self.0[..self.0.len() - 1];
        Self(way.iter().cloned().chain([step]).collect())
    }

    fn is_within_limits(&self) -> bool {
        self.0.iter().all(|step| step.order.abs() <= LIMIT && step.index.abs() <= LIMIT)
    }
}

/// A number between two others, if there is one.
fn middle(low: i64, high: i64) -> Option<i64> {
    let room = high.checked_sub(low).filter(|room| *room > 1)?;
    Some(low + (room / 2).min(ROOM))
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

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|step| (step.order, &step.run, step.index)))
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let steps = Vec::<(i64, ActionId, i64)>::deserialize(deserializer)?;
        let position =
            Self(steps.into_iter().map(|(order, run, index)| Step { order, run, index }).collect());
        if position.0.is_empty() || position.0.len() > MAX_STEPS || !position.is_within_limits() {
            let steps = position.0.len();
            return Err(D::Error::custom(format!(
                "expected a position of 1 to {MAX_STEPS} steps with numbers within ±2^53, got {steps} steps"
            )));
        }
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: usize, node: usize) -> ActionId {
        format!("{number} {} 0", ["a", "b", "c"][node]).parse().unwrap()
    }

    proptest! {
        #[test]
        fn there_is_always_a_place_between(inserts in proptest::collection::vec((any::<prop::sample::Index>(), 0..3_usize), 1..120)) {
            let mut places: Vec<Position> = Vec::new();
            for (number, (at, node)) in inserts.into_iter().enumerate() {
                let at = at.index(places.len() + 1);
                let before = at.checked_sub(1).map(|before| &places[before]);
                let new = Position::between(before, places.get(at), &id(number, node)).expect("a place");
                places.insert(at, new);
                prop_assert!(places.is_sorted_by(|a, b| a < b));
            }
        }

        #[test]
        fn runs_at_one_place_do_not_mix(
            words in proptest::collection::vec((2..6_usize, any::<bool>()), 2..4), inner: bool
        ) {
            // Somebody has written two items; now several people write at the same place, forwards or backwards, without seeing each other.
            let first = Position::between(None, None, &id(0, 2)).unwrap();
            let second = Position::between(Some(&first), None, &id(1, 2)).unwrap();
            let end = inner.then_some(&second);
            let mut all: Vec<(Position, usize)> = Vec::new();
            for (node, (length, backwards)) in words.iter().enumerate() {
                let mut own: Vec<Position> = Vec::new();
                for number in 0..*length {
                    let id = ActionId::new(crate::WallTime::from_millis(10 + i64::try_from(number).unwrap()), format!("n{node}").parse().unwrap(), 0);
                    if *backwards {
                        own.insert(0, Position::between(Some(&first), own.first().or(end), &id).unwrap());
                    } else {
                        own.push(Position::between(own.last().or(Some(&first)), end, &id).unwrap());
                    }
                }
                all.extend(own.into_iter().map(|place| (place, node)));
            }
            all.sort();
            let mut runs: Vec<usize> = all.iter().map(|(_, node)| *node).collect();
            runs.dedup();
            prop_assert_eq!(runs.len(), words.len(), "each writer's items stay together");
        }
    }

    #[test]
    fn writing_in_turns_does_not_make_them_long() {
        let mut places: Vec<Position> = Vec::new();
        for number in 0..10_000 {
            let (before, behind) =
                if number % 3 == 0 { (None, places.first()) } else { (places.last(), None) };
            let new = Position::between(before, behind, &id(number, number % 2)).unwrap();
            assert_eq!(new.0.len(), 1);
            if number % 3 == 0 { places.insert(0, new) } else { places.push(new) }
        }
    }

    #[test]
    fn a_place_that_gets_too_narrow_is_refused() {
        let mut low = Position::between(None, None, &id(0, 0)).unwrap();
        let mut high = Position::between(Some(&low), None, &id(1, 1)).unwrap();
        // Three by turns, so that nobody finds a run of their own beside the gap, which gets narrower from both sides.
        let mut made = 0;
        while let Some(new) = Position::between(Some(&low), Some(&high), &id(made, made % 3)) {
            if made % 2 == 0 {
                low = new
            } else {
                high = new
            }
            made += 1;
            assert!(low < high && made < 100_000, "there is an end");
        }
        assert!(made > MAX_STEPS * 5, "{made} inserts between two neighbours");
        assert!(low.0.len() <= MAX_STEPS);
    }
}
