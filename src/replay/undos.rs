//! The graph of undos.

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

use crate::action::ActionId;

/// Undos and their targets, including targets that have not arrived.
///
/// An action is undone if it has an undo that is not undone itself. Times make no difference: the
/// clocks of two nodes may be wrong, and an undo may be older than its action. Each undo has one
/// target, so undos form chains. Forged undos may form a cycle; every node ignores the undos on a
/// cycle.
#[derive(Clone, Debug, Default)]
pub(super) struct Undos {
    targets: HashMap<ActionId, ActionId>,
    by_target: HashMap<ActionId, SmallVec<[ActionId; 1]>>,
    undone: HashSet<ActionId>,
    on_cycle: HashSet<ActionId>,
}

impl Undos {
    /// Returns `true` if an action, or another undo, is undone.
    pub(super) fn is_undone(&self, id: &ActionId) -> bool {
        !self.undone.is_empty() && self.undone.contains(id)
    }

    pub(super) fn target(&self, undo: &ActionId) -> Option<&ActionId> {
        self.targets.get(undo)
    }

    /// Returns the end of a chain of undos: the first id in it that is not a known undo. `None` if
    /// `undo` is not a known undo, or if the chain has a cycle.
    pub(super) fn final_target(&self, undo: &ActionId) -> Option<&ActionId> {
        let mut final_target = self.targets.get(undo)?;
        let mut remaining = self.targets.len();
        while let Some(next) = self.targets.get(final_target) {
            final_target = next;
            remaining = remaining.checked_sub(1)?;
        }
        Some(final_target)
    }

    pub(super) fn by_target(&self, id: &ActionId) -> &[ActionId] {
        self.by_target.get(id).map_or(&[], |undos| undos)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ActionId, &ActionId)> {
        self.targets.iter()
    }

    /// Adds an undo. Calls `toggled` with each id that becomes undone or is not undone any more.
    /// O(length of the chain).
    pub(super) fn add(
        &mut self,
        undo: &ActionId,
        target: ActionId,
        toggled: &mut dyn FnMut(&ActionId),
    ) {
        if self.targets.contains_key(undo) {
            return;
        }
        self.by_target.entry(target.clone()).or_default().push(undo.clone());
        self.targets.insert(undo.clone(), target);
        match self.cycle(undo) {
            Some(cycle) => {
                self.on_cycle.extend(cycle.iter().cloned());
                for id in &cycle {
                    self.update(id, toggled);
                }
            }
            None => self.update_chain(undo, toggled),
        }
    }

    /// Removes an undo, with its effect.
    pub(super) fn remove(&mut self, undo: &ActionId, toggled: &mut dyn FnMut(&ActionId)) {
        let cycle = self.cycle(undo);
        let Some(target) = self.targets.remove(undo) else { return };
        if let Some(undos) = self.by_target.get_mut(&target) {
            undos.retain(|other| other != undo);
            if undos.is_empty() {
                self.by_target.remove(&target);
            }
        }
        for id in cycle.iter().flatten() {
            self.on_cycle.remove(id);
        }
        self.update(&target, toggled);
        self.update_chain(&target, toggled);
        // After a cycle is broken, an id on it may have changed although its predecessor did not.
        for id in cycle.iter().flatten() {
            self.update(id, toggled);
            self.update_chain(id, toggled);
        }
    }

    /// Returns the cycle that contains an undo.
    fn cycle(&self, undo: &ActionId) -> Option<Vec<ActionId>> {
        let mut cycle = vec![undo.clone()];
        let mut visited = HashSet::new();
        let mut at = self.targets.get(undo)?;
        while at != undo {
            if !visited.insert(at) {
                return None;
            }
            cycle.push(at.clone());
            at = self.targets.get(at)?;
        }
        Some(cycle)
    }

    /// Updates the targets along the chain until one does not change.
    fn update_chain(&mut self, from: &ActionId, toggled: &mut dyn FnMut(&ActionId)) {
        let mut next = self.targets.get(from).cloned();
        while let Some(id) = next {
            if !self.update(&id, toggled) || self.on_cycle.contains(&id) {
                return;
            }
            next = self.targets.get(&id).cloned();
        }
    }

    /// Computes again whether one id is undone. Returns `true` if this has changed.
    fn update(&mut self, id: &ActionId, toggled: &mut dyn FnMut(&ActionId)) -> bool {
        let counts = |undo: &ActionId| !self.on_cycle.contains(undo) && !self.undone.contains(undo);
        let undone = self.by_target(id).iter().any(counts);
        let changed = if undone { self.undone.insert(id.clone()) } else { self.undone.remove(id) };
        if changed {
            toggled(id);
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

    /// A naive implementation of the rule.
    fn undone(edges: &[(u8, u8)], id: u8) -> bool {
        let is_on_cycle = |start: u8| {
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
        edges
            .iter()
            .any(|&(undo, target)| target == id && !is_on_cycle(undo) && !undone(edges, undo))
    }

    proptest! {
        #[test]
        fn undone_ids_match_the_naive_rule_in_any_order(
            edges in proptest::collection::vec((0..8_u8, 0..10_u8), 0..10),
            removed in proptest::collection::vec(0..8_u8, 0..4),
        ) {
            let mut undos = Undos::default();
            let mut toggled = HashSet::new();
            let mut toggle = |id: &ActionId| { if !toggled.remove(id) { toggled.insert(id.clone()); } };
            let mut present: Vec<(u8, u8)> = Vec::new();
            for (undo, target) in edges {
                if present.iter().all(|(other, _)| *other != undo) {
                    present.push((undo, target));
                }
                undos.add(&id(undo), id(target), &mut toggle);
            }
            for undo in removed {
                present.retain(|(other, _)| *other != undo);
                undos.remove(&id(undo), &mut toggle);
            }
            for number in 0..10 {
                let expected = undone(&present, number);
                let is_undone = undos.is_undone(&id(number));
                prop_assert_eq!(is_undone, expected, "{} in {:?}", number, present);
                prop_assert_eq!(toggled.contains(&id(number)), expected, "toggled {}", number);
            }
        }
    }
}
