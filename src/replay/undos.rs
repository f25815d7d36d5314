//! Who took back what.

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

use crate::action::ActionId;

/// Undos and what they take back, also what has not come yet.
///
/// An action is undone when an undo of it is not undone itself. Times make no difference: the clocks of two nodes can be wrong, and an undo be
/// older than its action. Each undo names one action, so undos form chains; forged ones may form a circle, and those on a circle
/// have no effect, on every node alike.
#[derive(Clone, Debug, Default)]
pub(super) struct Undos {
    targets: HashMap<ActionId, ActionId>,
    by_target: HashMap<ActionId, SmallVec<[ActionId; 1]>>,
    undone: HashSet<ActionId>,
    circular: HashSet<ActionId>,
}

impl Undos {
    /// Whether an action, or another undo, is taken back.
    pub(super) fn is_undone(&self, id: &ActionId) -> bool {
        !self.undone.is_empty() && self.undone.contains(id)
    }

    pub(super) fn target(&self, undo: &ActionId) -> Option<&ActionId> {
        self.targets.get(undo)
    }

    /// What a chain of undos is about in the end: the first in it that is no known undo. `None` for no undo, or a circle.
    pub(super) fn aim(&self, undo: &ActionId) -> Option<&ActionId> {
        let mut aim = self.targets.get(undo)?;
        let mut left = self.targets.len();
        while let Some(next) = self.targets.get(aim) {
            aim = next;
            left = left.checked_sub(1)?;
        }
        Some(aim)
    }

    pub(super) fn by_target(&self, id: &ActionId) -> &[ActionId] {
        self.by_target.get(id).map_or(&[], |undos| undos)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ActionId, &ActionId)> {
        self.targets.iter()
    }

    /// Adds an undo. Calls `flipped` with each action that is undone now and was not, or the other way around. O(length of the chain).
    pub(super) fn add(
        &mut self,
        undo: &ActionId,
        target: ActionId,
        flipped: &mut dyn FnMut(&ActionId),
    ) {
        if self.targets.contains_key(undo) {
            return;
        }
        self.by_target.entry(target.clone()).or_default().push(undo.clone());
        self.targets.insert(undo.clone(), target);
        match self.circle(undo) {
            Some(circle) => {
                self.circular.extend(circle.iter().cloned());
                for id in &circle {
                    self.settle(id, flipped);
                }
            }
            None => self.follow(undo, flipped),
        }
    }

    /// Forgets an undo, with what it did.
    pub(super) fn remove(&mut self, undo: &ActionId, flipped: &mut dyn FnMut(&ActionId)) {
        let circle = self.circle(undo);
        let Some(target) = self.targets.remove(undo) else { return };
        if let Some(undos) = self.by_target.get_mut(&target) {
            undos.retain(|other| other != undo);
            if undos.is_empty() {
                self.by_target.remove(&target);
            }
        }
        for id in circle.iter().flatten() {
            self.circular.remove(id);
        }
        self.settle(&target, flipped);
        self.follow(&target, flipped);
        // Behind a circle that is open now, each link may have changed though the one before it has not.
        for id in circle.iter().flatten() {
            self.settle(id, flipped);
            self.follow(id, flipped);
        }
    }

    /// The circle that begins and ends at an undo.
    fn circle(&self, undo: &ActionId) -> Option<Vec<ActionId>> {
        let mut circle = vec![undo.clone()];
        let mut seen = HashSet::new();
        let mut at = self.targets.get(undo)?;
        while at != undo {
            if !seen.insert(at) {
                return None;
            }
            circle.push(at.clone());
            at = self.targets.get(at)?;
        }
        Some(circle)
    }

    /// Walks down the chain as long as something changes.
    fn follow(&mut self, from: &ActionId, flipped: &mut dyn FnMut(&ActionId)) {
        let mut next = self.targets.get(from).cloned();
        while let Some(id) = next {
            if !self.settle(&id, flipped) || self.circular.contains(&id) {
                return;
            }
            next = self.targets.get(&id).cloned();
        }
    }

    /// Decides anew whether one action is undone.
    fn settle(&mut self, id: &ActionId, flipped: &mut dyn FnMut(&ActionId)) -> bool {
        let counts = |undo: &ActionId| !self.circular.contains(undo) && !self.undone.contains(undo);
        let undone = self.by_target(id).iter().any(counts);
        let changed = if undone { self.undone.insert(id.clone()) } else { self.undone.remove(id) };
        if changed {
            flipped(id);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> ActionId {
        format!("{number} a 0").parse().unwrap()
    }

    /// The rule said naively.
    fn undone(edges: &[(u8, u8)], id: u8) -> bool {
        let on_circle = |start: u8| {
            let mut at = start;
            for _ in 0..=edges.len() {
                let Some((_, target)) = edges.iter().find(|(undo, _)| *undo == at) else {
                    return false;
                };
                at = *target;
                if at == start {
                    return true;
                }
            }
            false
        };
        edges.iter().any(|&(undo, target)| target == id && !on_circle(undo) && !undone(edges, undo))
    }

    proptest! {
        #[test]
        fn any_order_gives_what_the_rule_says(
            edges in proptest::collection::vec((0..8_u8, 0..10_u8), 0..10),
            removed in proptest::collection::vec(0..8_u8, 0..4),
        ) {
            let mut undos = Undos::default();
            let mut told = HashSet::new();
            let mut flip = |id: &ActionId| { if !told.remove(id) { told.insert(id.clone()); } };
            let mut there: Vec<(u8, u8)> = Vec::new();
            for (undo, target) in edges {
                if there.iter().all(|(other, _)| *other != undo) {
                    there.push((undo, target));
                }
                undos.add(&id(undo), id(target), &mut flip);
            }
            for undo in removed {
                there.retain(|(other, _)| *other != undo);
                undos.remove(&id(undo), &mut flip);
            }
            for number in 0..10 {
                prop_assert_eq!(undos.is_undone(&id(number)), undone(&there, number), "{} in {:?}", number, there);
                prop_assert_eq!(told.contains(&id(number)), undone(&there, number), "told of {}", number);
            }
        }
    }
}
