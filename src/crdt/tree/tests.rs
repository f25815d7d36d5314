//! The tree against a model that applies all operations in their order, with a sequence for each
//! parent.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};
use serde_json::json;

use super::*;
use crate::{
    action::{ActionId, NodeId},
    crdt::{
        element::ElementRef,
        map::write_at,
        path::Path,
        sequence::{Insertion, Sequence, Standing},
    },
    time::WallTime,
};

type Name = Option<ElementId>;

#[derive(Clone, Debug)]
struct Applied {
    op: TreeOp,
    stamp: Stamp,
    is_undone: bool,
}

fn apply(tree: &mut Tree, applied: &Applied) {
    if applied.is_undone {
        tree.apply_undone(&applied.op, &applied.stamp);
    } else {
        tree.apply(&applied.op, &applied.stamp);
    }
}

/// A place, with all names in full.
struct ModelPlace {
    name: ElementId,
    node: ElementId,
    parent: Name,
    after: Name,
    before: Name,
    value: Option<Value>,
    applied: Applied,
}

fn place_of(applied: &Applied) -> Option<ModelPlace> {
    let author = applied.stamp.id().node();
    let (item, place, value) = match &applied.op {
        TreeOp::Create { place, value } => (None, place, Some(value.to_value())),
        TreeOp::Move { item, place } => (Some(item.id(author)), place, None),
        _ => return None,
    };
    let name = ElementId::new(author.clone(), place.first);
    if item.as_ref() == Some(&name) {
        return None;
    }
    let id = |element: &Option<ElementRef>| element.as_ref().map(|element| element.id(author));
    Some(ModelPlace {
        node: item.unwrap_or_else(|| name.clone()),
        name,
        parent: id(&place.parent),
        after: id(&place.after),
        before: id(&place.before),
        value,
        applied: applied.clone(),
    })
}

/// Returns the depth, name and value of each visible node.
fn model(all: &[Applied]) -> Vec<(usize, ElementId, Value)> {
    let mut places: BTreeMap<ElementId, ModelPlace> = BTreeMap::new();
    for place in all.iter().filter_map(place_of) {
        let rank = |place: &ModelPlace| {
            let Applied { stamp, is_undone, .. } = &place.applied;
            (*is_undone, crate::crdt::OpId::from(stamp))
        };
        match places.get(&place.name) {
            Some(own) if rank(own) <= rank(&place) => {}
            _ => drop(places.insert(place.name.clone(), place)),
        }
    }
    let mut sequences: BTreeMap<Name, Sequence> = BTreeMap::new();
    for place in places.values() {
        let insertion = Insertion {
            first: place.name.counter(),
            len: 1,
            text: "",
            after: place.after.as_ref().map(|id| (id.node(), id.counter())),
            before: place.before.as_ref().map(|id| (id.node(), id.counter())),
            standing: if place.applied.is_undone { Standing::Undone } else { Standing::Visible },
        };
        sequences.entry(place.parent.clone()).or_default().insert(&insertion, &place.applied.stamp);
    }
    for place in places.values().filter(|place| !place.applied.is_undone) {
        let sequence = sequences.entry(place.parent.clone()).or_default();
        if let Some(element) = sequence.element(&place.name) {
            sequence.set_visible(element, true);
        }
    }
    let is_positioned = |place: &ModelPlace| {
        let sequence = &sequences[&place.parent];
        sequence.element(&place.name).is_some_and(|element| sequence.contains(element))
    };
    let mut in_order: Vec<&ModelPlace> =
        places.values().filter(|place| !place.applied.is_undone).collect();
    in_order.sort_by(|a, b| a.applied.stamp.cmp(&b.applied.stamp));
    let mut current: BTreeMap<&ElementId, &ModelPlace> = BTreeMap::new();
    let mut values: BTreeMap<&ElementId, Value> = BTreeMap::new();
    for place in in_order {
        if let Some(value) = &place.value {
            values.insert(&place.node, value.clone());
        }
        let mut above = place.parent.as_ref();
        while let Some(node) = above.filter(|above| **above != place.node) {
            above = current.get(node).and_then(|place| place.parent.as_ref());
        }
        if above.is_none() && is_positioned(place) {
            current.insert(&place.node, place);
        }
    }
    let mut writes: Vec<&Applied> = all.iter().filter(|applied| !applied.is_undone).collect();
    writes.sort_by(|a, b| a.stamp.cmp(&b.stamp));
    let mut removed = BTreeSet::new();
    let mut latest = BTreeMap::new();
    for Applied { op, stamp, .. } in writes {
        let author = stamp.id().node();
        let (item, path, value) = match op {
            TreeOp::Set { item, path, value } => (item, path, Some(value.to_value())),
            TreeOp::Delete { item, path } => (item, path, None),
            TreeOp::Remove { item } => {
                removed.insert(item.id(author));
                continue;
            }
            _ => continue,
        };
        latest.insert((item.id(author), path.clone()), (stamp, value));
    }
    for ((node, path), (stamp, value)) in &latest {
        let is_hidden = latest.iter().any(|((own, above), (later, _))| {
            let rest = path.as_str().strip_prefix(above.as_str());
            own == node && rest.is_some_and(|rest| rest.starts_with('/')) && later > stamp
        });
        if let Some(own) = values.get_mut(node).filter(|_| !is_hidden) {
            write_at(own, path.as_str(), value.clone());
        }
    }
    let mut result = Vec::new();
    let mut next: Vec<(usize, Name)> = vec![(0, None)];
    while let Some((depth, parent)) = next.pop() {
        if let Some(parent) = &parent {
            result.push((depth - 1, parent.clone(), values[parent].clone()));
        }
        let Some(sequence) = sequences.get(&parent) else { continue };
        let mut children = Vec::new();
        for element in sequence.iter() {
            let place = &places[&sequence.id(element)];
            let is_current = current.get(&place.node).is_some_and(|own| own.name == place.name);
            if is_current && values.contains_key(&place.node) && !removed.contains(&place.node) {
                children.push((depth + 1, Some(place.node.clone())));
            }
        }
        next.extend(children.into_iter().rev());
    }
    result
}

fn view(tree: &Tree) -> Vec<(usize, ElementId, Value)> {
    tree.walk().map(|node| (node.depth(), node.id().unwrap(), node.value())).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Create(Index, Index),
    Move(Index, Index, Index),
    Set(Index, &'static str, u8),
    Delete(Index),
    Remove(Index),
    /// An operation with any names.
    Any(Names, u8),
    Receive,
}

/// Any names: those of an item, a parent, and neighbours, and a counter.
type Names = ([Option<(usize, u32)>; 4], u32);

fn steps() -> impl Strategy<Value = Vec<(usize, Step, i64, bool)>> {
    let name = || prop::option::weighted(0.7, (0..3_usize, 0..8_u32));
    let names = ([name(), name(), name(), name()], 0..8_u32);
    let step = prop_oneof![
        5 => any::<(Index, Index)>().prop_map(|(parent, at)| Step::Create(parent, at)),
        5 => any::<(Index, Index, Index)>().prop_map(|(node, parent, at)| Step::Move(node, parent, at)),
        1 => (any::<Index>(), prop::sample::select(vec!["", "/a", "/a/b"]), any::<u8>())
            .prop_map(|(node, path, value)| Step::Set(node, path, value)),
        1 => any::<Index>().prop_map(Step::Delete),
        1 => any::<Index>().prop_map(Step::Remove),
        2 => (names, 0..3_u8).prop_map(|(names, kind)| Step::Any(names, kind)),
        3 => Just(Step::Receive),
    ];
    prop::collection::vec((0..3_usize, step, 0..4_i64, prop::bool::weighted(0.15)), 0..40)
}

struct User {
    node: NodeId,
    tree: Tree,
    known: usize,
}

const NODES: [&str; 3] = ["20:b:x", "10:a:x", "30:c:x"];

fn node(index: usize) -> NodeId {
    NodeId::new(NODES[index]).unwrap()
}

fn make(user: &User, step: &Step) -> Option<TreeOp> {
    let author = &user.node;
    let tree = &user.tree;
    let ids: Vec<ElementId> = tree.walk().filter_map(|node| node.id()).collect();
    let pick = |index: &Index| (!ids.is_empty()).then(|| index.get(&ids).clone());
    // The top level, or a node.
    let parent = |index: &Index| {
        let index = index.index(ids.len() + 1);
        index.checked_sub(1).map(|index| ids[index].clone())
    };
    let op = match step {
        Step::Create(above, at) => {
            let above = parent(above);
            let at = at.index(tree.child_count(above.as_ref()) + 1);
            tree.create_op(above.as_ref(), at, json!({"a": tree.next_counter(author)}), author)
        }
        Step::Move(node, above, at) => {
            let (node, above) = (pick(node)?, parent(above));
            let is_there = tree.parent(&node) == above;
            let len = tree.child_count(above.as_ref()) - usize::from(is_there);
            tree.move_op(&node, above.as_ref(), at.index(len + 1), author)
        }
        Step::Set(node, path, value) => {
            tree.set_op(&pick(node)?, path.parse().unwrap(), json!(value), author)
        }
        Step::Delete(node) => tree.delete_op(&pick(node)?, "/a".parse().unwrap(), author),
        Step::Remove(node) => tree.remove_op(&pick(node)?, author),
        Step::Any((names, first), kind) => {
            let name = |(author, counter)| ElementRef::Of(ElementId::new(node(author), counter));
            let [item, parent, after, before] = names.map(|own| own.map(name));
            let place = TreePlace { first: *first, parent, after, before };
            let item = item.unwrap_or(ElementRef::Own(0));
            Ok(match kind {
                0 => TreeOp::Create { place, value: json!("any").into() },
                1 => TreeOp::Move { item, place },
                _ => TreeOp::Set { item, path: Path::root(), value: json!("any").into() },
            })
        }
        Step::Receive => return None,
    };
    op.ok()
}

/// Performs steps by three users. Returns the operations in the order of their creation.
fn perform(steps: Vec<(usize, Step, i64, bool)>) -> Vec<Applied> {
    let is_regular = !steps.iter().any(|(_, step, ..)| matches!(step, Step::Any(..)));
    let user = |index| User { node: node(index), tree: Tree::default(), known: 0 };
    let mut users = [0, 1, 2].map(user);
    let mut all: Vec<Applied> = Vec::new();
    for (ms, (index, step, ahead, is_undone)) in (0..).zip(steps) {
        let user = &mut users[index];
        if matches!(step, Step::Receive) {
            all[user.known..].iter().for_each(|applied| apply(&mut user.tree, applied));
            user.known = all.len();
        }
        let Some(op) = make(user, &step) else { continue };
        let id = ActionId::new(WallTime::from_millis(ms), user.node.clone(), 0);
        let stamp = Stamp::new(WallTime::from_millis(ms + ahead), id);
        let applied = Applied { op, stamp, is_undone };
        if Tree::check(&applied.op).is_ok() {
            let before = view(&user.tree);
            apply(&mut user.tree, &applied);
            if is_undone && is_regular {
                assert_eq!(view(&user.tree), before, "an undone operation is not visible");
            }
            all.push(applied);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn every_order_of_arrival_gives_the_tree_of_the_model(
        (all, arrivals) in steps().prop_map(perform).prop_flat_map(|all| {
            let arrivals = Just((0..all.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(all), arrivals)
        }),
    ) {
        let mut in_order = Tree::default();
        all.iter().for_each(|applied| apply(&mut in_order, applied));
        in_order.assert_invariants();
        prop_assert_eq!(view(&in_order), model(&all));
        let mut shuffled = Tree::default();
        for index in arrivals {
            let before = shuffled.clone();
            apply(&mut shuffled, &all[index]);
            shuffled.assert_invariants();
            let mut changed = BTreeSet::new();
            before.diff(&shuffled, &mut |node| {
                changed.insert(node);
            });
            for id in view(&before).into_iter().chain(view(&shuffled)).map(|(_, id, _)| id) {
                let look = |tree: &Tree| {
                    let own = tree.visible(&id)?;
                    Some((tree.parent(&id), tree.table.status(own).shown, tree.value(&id)))
                };
                let is_same = look(&before) == look(&shuffled)
                    || before.contains(&id) != shuffled.contains(&id);
                prop_assert!(changed.contains(&id) || is_same, "{:?} is not in {:?}", id, changed);
            }
        }
        prop_assert_eq!(view(&shuffled), view(&in_order));
        prop_assert_eq!(&shuffled, &in_order);
        all.iter().for_each(|applied| apply(&mut shuffled, applied));
        prop_assert_eq!(&shuffled, &in_order, "repetitions change nothing");
        let loaded = Tree::load(&shuffled.save()).unwrap();
        loaded.assert_invariants();
        prop_assert_eq!(view(&loaded), view(&in_order));
        prop_assert_eq!(&loaded, &in_order);
    }
}
