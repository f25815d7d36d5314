//! Operations that no well-behaved client makes: large ones, unknown elements, names that are used
//! twice, cycles, depth, damaged snapshots. Each is refused or ignored by a documented rule, gives
//! the same state on all replicas, and costs no quadratic time and no deep recursion.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/heap.rs"]
mod heap;
#[path = "../support/linear.rs"]
mod linear;
mod lists_and_trees;
mod saved;
mod texts;

use linear::assert_not_quadratic;
use logux::{
    ActionId, Entry, Meta, NodeId, Stamp, WallTime,
    crdt::{Crdt, Shared},
    replay::Timeline,
};
use serde_json::Value;

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;

/// The stack of a test's thread, in bytes. A recursion of a few thousand levels exceeds it.
const STACK: usize = 512 << 10;

/// Runs a test in a thread with a small stack.
fn with_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn stamp(ms: usize, author: &str) -> Stamp {
    let time = WallTime::from_millis(i64::try_from(ms).unwrap());
    Stamp::new(time, ActionId::new(time, node(author), 0))
}

/// An operation with its stamp.
type Edit<C> = (<C as Crdt>::Op, Stamp);

fn edit<C: Crdt>(ms: usize, author: &str, json: Value) -> Edit<C> {
    let op = serde_json::from_value(json).unwrap();
    C::check(&op).unwrap();
    (op, stamp(ms, author))
}

fn apply<C: Crdt>(edits: &[Edit<C>]) -> C {
    let mut state = C::default();
    for (op, stamp) in edits {
        state.apply(op, stamp);
    }
    state
}

/// Applies operations in both directions, and returns the state that both give.
fn agreed<C: Crdt>(edits: &[Edit<C>]) -> C {
    let forwards = apply::<C>(edits);
    let mut backwards = C::default();
    for (op, stamp) in edits.iter().rev().chain(edits.iter().take(100)) {
        backwards.apply(op, stamp);
    }
    assert!(forwards == backwards, "two orders give different states");
    assert!(C::load(&forwards.save()).unwrap() == forwards, "saving and loading changes the state");
    forwards
}

/// Asserts that the operations of a size are applied, saved and loaded without quadratic work, also
/// through a timeline, and that two orders give one state.
fn assert_cheap<C: Crdt>(name: &str, size: usize, edits: impl Fn(usize) -> Vec<Edit<C>>) {
    agreed::<C>(&edits(size));
    assert_not_quadratic(name, size, &edits, |edits| {
        let state = apply::<C>(&edits);
        assert!(C::load(&state.save()).unwrap() == state);
        state.to_json();
    });
    let prepare = |size| entries::<C>(&edits(size));
    assert_not_quadratic(&format!("{name}, by a timeline"), size, prepare, |entries| {
        let mut timeline = Timeline::new(Shared::<C>::new("it", "1"));
        entries.iter().for_each(|entry| timeline.add(entry));
        assert!(!timeline.is_incomplete());
    });
}

/// Returns the actions of operations, one for each.
fn entries<C: Crdt>(edits: &[Edit<C>]) -> Vec<Entry> {
    let shared = Shared::<C>::new("it", "1");
    let entry = |(op, stamp): &Edit<C>| {
        let action = shared.action(core::slice::from_ref(op)).unwrap();
        Entry::new(action, Meta::new(stamp.id().clone()))
    };
    edits.iter().map(entry).collect()
}
