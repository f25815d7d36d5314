//! The sequence against a model that is a tree of single elements.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::action::ActionId;

/// The tree of FugueMax, without runs: for each element its parent, side and right origin.
#[derive(Clone, Default)]
struct Model {
    elements: BTreeMap<ElementId, Node>,
    removed: BTreeSet<ElementId>,
}

#[derive(Clone)]
struct Node {
    parent: Option<ElementId>,
    is_left: bool,
    right: Option<ElementId>,
    scalar: char,
    is_undone: bool,
}

impl Model {
    /// Returns all elements in order, by a walk through the tree. Right siblings are in the order
    /// of their right origins, which were there before them.
    fn order(&self) -> Vec<ElementId> {
        let mut order = self.walk(&[]);
        loop {
            let next = self.walk(&order);
            if next == order {
                return order;
            }
            order = next;
        }
    }

    /// Walks through the tree. The order of right origins is that of an earlier walk.
    fn walk(&self, before: &[ElementId]) -> Vec<ElementId> {
        let rank = |id: &Option<ElementId>| {
            let position = |id| before.iter().position(|own| own == id).unwrap_or(usize::MAX - 1);
            id.as_ref().map_or(usize::MAX, position)
        };
        let mut children: BTreeMap<(Option<&ElementId>, bool), Vec<&ElementId>> = BTreeMap::new();
        for (id, node) in &self.elements {
            children.entry((node.parent.as_ref(), node.is_left)).or_default().push(id);
        }
        for ((_, is_left), children) in &mut children {
            if !is_left {
                children
                    .sort_by_key(|id| (core::cmp::Reverse(rank(&self.elements[*id].right)), *id));
            }
        }
        let below = |id, is_left| {
            let children = children.get(&(id, is_left)).into_iter().flatten();
            children.rev().map(|id| (Some(*id), false))
        };
        let mut order = Vec::new();
        let mut stack: Vec<(Option<&ElementId>, bool)> = vec![(None, false)];
        while let Some((id, is_done)) = stack.pop() {
            if let Some(id) = id.filter(|_| is_done) {
                order.push(id.clone());
                continue;
            }
            stack.extend(below(id, false));
            if id.is_some() {
                stack.push((id, true));
                stack.extend(below(id, true));
            }
        }
        order
    }

    fn visible(&self) -> Vec<ElementId> {
        let is_visible =
            |id: &ElementId| !self.elements[id].is_undone && !self.removed.contains(id);
        self.order().into_iter().filter(is_visible).collect()
    }

    fn text(&self) -> String {
        self.visible().iter().map(|id| self.elements[id].scalar).collect()
    }

    fn is_descendant(&self, id: &ElementId, above: &ElementId) -> bool {
        let parent = |id: &ElementId| self.elements[id].parent.clone();
        core::iter::successors(parent(id), parent).any(|id| id == *above)
    }

    fn insert(&mut self, op: &Op) {
        let Op::Insert { author, first, text, after, before, is_undone } = op else { return };
        let is_below = match (after, before) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(after), Some(before)) => self.is_descendant(before, after),
        };
        let mut parent = if is_below { before.clone() } else { after.clone() };
        let mut is_left = is_below;
        for (index, scalar) in (0..).zip(text.chars()) {
            let id = ElementId::new(author.clone(), first + index);
            // A left child has no right origin of its own, but gives it to those after it.
            let right = if is_left { None } else { before.clone() };
            let node = Node { parent, is_left, right, scalar, is_undone: *is_undone };
            self.elements.insert(id.clone(), node);
            parent = Some(id);
            is_left = false;
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert {
        author: NodeId,
        first: u32,
        text: String,
        after: Option<ElementId>,
        before: Option<ElementId>,
        is_undone: bool,
    },
    Remove {
        first: ElementId,
        len: u32,
    },
}

fn apply(sequence: &mut Sequence, op: &Op, stamp: &Stamp) {
    match op {
        Op::Insert { first, text, after, before, is_undone, .. } => {
            let insertion = Insertion {
                first: *first,
                len: text.chars().count() as u32,
                text,
                after: after.as_ref().map(|id| (id.node(), id.counter())),
                before: before.as_ref().map(|id| (id.node(), id.counter())),
                standing: if *is_undone { Standing::Undone } else { Standing::Visible },
            };
            sequence.insert(&insertion, stamp);
        }
        Op::Remove { first, len } => {
            sequence.remove((first.node(), first.counter()), *len, &mut |_, _| {});
        }
    }
}

fn text(sequence: &Sequence) -> String {
    let mut text = String::new();
    sequence.for_text(0..sequence.text_len(Unit::Bytes), |part| text.push_str(part));
    text
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Index, &'static str, bool),
    Remove(Index, u32),
    Receive,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let texts = proptest::sample::select(vec!["a", "b", "cde", "é", "🦀x", "\n", "fghij"]);
    let step = prop_oneof![
        6 => (any::<Index>(), texts, prop::bool::weighted(0.1))
            .prop_map(|(index, text, undone)| Step::Insert(index, text, undone)),
        2 => (any::<Index>(), 1..4_u32).prop_map(|(index, len)| Step::Remove(index, len)),
        1 => Just(Step::Receive),
    ];
    prop::collection::vec((0..3_usize, step), 0..40)
}

struct User {
    node: NodeId,
    sequence: Sequence,
    known: BTreeSet<usize>,
}

/// Performs steps by three users. Returns the operations in the order of their creation.
fn perform(steps: Vec<(usize, Step)>) -> Vec<(Op, Stamp)> {
    let mut users: Vec<User> = ["20:b:x", "10:a:x", "30:c:x"]
        .map(|node| User {
            node: NodeId::new(node).unwrap(),
            sequence: Sequence::default(),
            known: BTreeSet::new(),
        })
        .into();
    let mut ops: Vec<(Op, Stamp)> = Vec::new();
    for (ms, (index, step)) in (0..).zip(steps) {
        let user = &mut users[index];
        let op = match step {
            Step::Receive => {
                for (index, (op, stamp)) in ops.iter().enumerate() {
                    if user.known.insert(index) {
                        apply(&mut user.sequence, op, stamp);
                    }
                }
                continue;
            }
            Step::Insert(index, text, is_undone) => {
                let at = index.index(user.sequence.len() as usize + 1) as u32;
                let (after, before) = user.sequence.origins(at);
                Op::Insert {
                    author: user.node.clone(),
                    first: user.sequence.next_counter(&user.node),
                    text: text.to_owned(),
                    after: after.map(|after| user.sequence.id(after)),
                    before: before.map(|before| user.sequence.id(before)),
                    is_undone,
                }
            }
            Step::Remove(index, len) => {
                let total = user.sequence.len();
                if total == 0 {
                    continue;
                }
                let at = index.index(total as usize) as u32;
                let ranges = user.sequence.visible_ranges(at..(at + len).min(total));
                let (first, len) = ranges[0];
                Op::Remove { first: user.sequence.id(first), len }
            }
        };
        let time = WallTime::from_millis(ms);
        let stamp = Stamp::new(time, ActionId::new(time, user.node.clone(), 0));
        apply(&mut user.sequence, &op, &stamp);
        user.known.insert(ops.len());
        user.sequence.assert_invariants();
        ops.push((op, stamp));
    }
    ops
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
    #[test]
    fn every_order_of_arrival_gives_the_order_of_the_model(
        (ops, arrivals) in steps().prop_map(perform).prop_flat_map(|ops| {
            let arrivals = Just((0..ops.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(ops), arrivals)
        }),
    ) {
        let mut model = Model::default();
        let mut in_order = Sequence::default();
        for (op, stamp) in &ops {
            model.insert(op);
            if let Op::Remove { first, len } = op {
                let ids = (0..*len).map(|n| ElementId::new(first.node().clone(), first.counter() + n));
                model.removed.extend(ids);
            }
            apply(&mut in_order, op, stamp);
        }
        in_order.assert_invariants();
        let ids: Vec<ElementId> = in_order.iter().map(|element| in_order.id(element)).collect();
        prop_assert_eq!(&ids, &model.visible());
        prop_assert_eq!(text(&in_order), model.text());
        let mut shuffled = Sequence::default();
        for index in arrivals {
            apply(&mut shuffled, &ops[index].0, &ops[index].1);
            shuffled.assert_invariants();
        }
        prop_assert_eq!(shuffled.content(), in_order.content());
        for (op, stamp) in &ops {
            apply(&mut shuffled, op, stamp);
        }
        prop_assert_eq!(shuffled.content(), in_order.content(), "repetitions change nothing");
    }

    #[test]
    fn indexes_are_those_of_a_string(
        parts in prop::collection::vec((any::<Index>(), "[aé🦀\n]{1,30}"), 1..30),
    ) {
        let node = NodeId::new("10:a:b").unwrap();
        let mut sequence = Sequence::default();
        let mut model: Vec<char> = Vec::new();
        for (ms, (index, part)) in (0..).zip(parts) {
            let at = index.index(model.len() + 1);
            let (after, before) = sequence.origins(at as u32);
            let op = Op::Insert {
                author: node.clone(),
                first: sequence.next_counter(&node),
                text: part.clone(),
                after: after.map(|after| sequence.id(after)),
                before: before.map(|before| sequence.id(before)),
                is_undone: false,
            };
            let time = WallTime::from_millis(ms);
            apply(&mut sequence, &op, &Stamp::new(time, ActionId::new(time, node.clone(), 0)));
            model.splice(at..at, part.chars());
        }
        sequence.assert_invariants();
        let string: String = model.iter().collect();
        prop_assert_eq!(text(&sequence), &*string);
        prop_assert_eq!(sequence.newlines(), string.matches('\n').count() as u32);
        let utf16 = |text: &str| text.encode_utf16().count() as u32;
        for (scalars, (bytes, scalar)) in string.char_indices().enumerate() {
            let (scalars, before) = (scalars as u32, &string[..bytes]);
            for (unit, index) in [(Unit::Scalars, scalars), (Unit::Bytes, bytes as u32), (Unit::Utf16, utf16(before))] {
                prop_assert_eq!(sequence.convert(index, unit, Unit::Scalars), scalars);
                prop_assert_eq!(sequence.convert(index, unit, Unit::Bytes), bytes as u32);
                prop_assert_eq!(sequence.convert(index, unit, Unit::Utf16), utf16(before));
                let lines = before.matches('\n').count() as u32;
                prop_assert_eq!(sequence.newlines_before(index, unit), lines);
                if scalar == '\n' {
                    let after = sequence.after_newlines(lines + 1, Unit::Bytes);
                    prop_assert_eq!(after, Some(bytes as u32 + 1));
                }
            }
            if scalar == '🦀' {
                let inside = sequence.convert(bytes as u32 + 1, Unit::Bytes, Unit::Scalars);
                prop_assert_eq!(inside, scalars, "inside of a character is before it");
                let inside = sequence.convert(utf16(before) + 1, Unit::Utf16, Unit::Scalars);
                prop_assert_eq!(inside, scalars);
            }
        }
    }
}

/// Several nodes with the same name claim the same elements, without a server that refuses it.
#[test]
fn the_lowest_operation_gets_a_name_that_is_used_twice() {
    let node = NodeId::new("10:a:b").unwrap();
    let other = NodeId::new("20:c:d").unwrap();
    let insert = |author: &NodeId, first, text: &str, after: Option<&str>, before: Option<&str>| {
        Op::Insert {
            author: author.clone(),
            first,
            text: text.to_owned(),
            after: after.map(|id| id.parse().unwrap()),
            before: before.map(|id| id.parse().unwrap()),
            is_undone: false,
        }
    };
    let ops = [
        (insert(&node, 0, "abcdef", None, None), "1 10:a:b 0"),
        (insert(&other, 0, "x", Some("@10:a:b 2"), Some("@10:a:b 3")), "2 20:c:d 0"),
        (insert(&node, 2, "CDEFGH", Some("@20:c:d 0"), None), "3 10:a:b 0"),
        (insert(&node, 5, "56", None, Some("@10:a:b 0")), "2 10:a:b 0"),
        (Op::Remove { first: "@10:a:b 4".parse().unwrap(), len: 2 }, "5 20:c:d 0"),
    ];
    let mut expected = None;
    for order in 0..120_usize {
        let mut rest: Vec<usize> = (0..ops.len()).collect();
        let mut number = order;
        let mut sequence = Sequence::default();
        for count in (1..=ops.len()).rev() {
            let (op, id) = &ops[rest.remove(number % count)];
            number /= count;
            let id: ActionId = id.parse().unwrap();
            apply(&mut sequence, op, &Stamp::new(id.time(), id));
            sequence.assert_invariants();
        }
        let content = (text(&sequence), sequence.content());
        assert_eq!(&content, expected.get_or_insert(content.clone()), "order {order}");
    }
}
