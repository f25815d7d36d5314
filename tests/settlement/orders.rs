//! Every order of arrival of a few actions, an undo, a redo and a snapshot.

use logux::{
    Action, ActionId,
    crdt::{Crdt, Map, Shared},
    replay::Timeline,
    store::Entry,
};

use super::{set, shared};

/// Returns all orders of some entries in which those of each node keep their order.
fn orders(queues: &[Vec<Entry>]) -> Vec<Vec<Entry>> {
    if queues.iter().all(Vec::is_empty) {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..queues.len() {
        let mut rest = queues.to_vec();
        if rest[at].is_empty() {
            continue;
        }
        let first = rest[at].remove(0);
        for mut order in orders(&rest) {
            order.insert(0, first.clone());
            all.push(order);
        }
    }
    all
}

fn permutations(entries: &[Entry]) -> Vec<Vec<Entry>> {
    orders(&entries.iter().map(|entry| vec![entry.clone()]).collect::<Vec<_>>())
}

/// Two authors with three actions, an undo and a redo, and a snapshot at any moment, in every order
/// of arrival at the hub and at a replica.
#[test]
fn every_order_of_arrival_gives_one_state() {
    let entry = |id: &str, action: Action| {
        Entry::new(action, logux::Meta::new(id.parse::<ActionId>().unwrap()))
    };
    let write = |id: &str, path: &str| {
        entry(id, shared::<Map>().action(&[set(path, id.to_owned())]).unwrap())
    };
    let undo = |id: &str, target: &str| {
        let text = format!(r#"{{"type":"logux/undo","id":"{target}","reason":"undo"}}"#);
        entry(id, Action::new(text).unwrap())
    };
    let ada = "ada:device:tab";
    let grace = "grace:device:tab";
    let first = format!("10 {ada} 0");
    let queues = [
        vec![write(&first, "/a"), write(&format!("30 {ada} 0"), "/b")],
        vec![
            write(&format!("20 {grace} 0"), "/c"),
            undo(&format!("25 {grace} 0"), &first),
            undo(&format!("26 {grace} 0"), &format!("25 {grace} 0")),
        ],
    ];
    let state_of = |entries: &[Entry]| {
        let mut timeline = Timeline::new(shared::<Map>());
        entries.iter().for_each(|entry| timeline.add(entry));
        timeline.assert_invariants();
        timeline.state().clone()
    };
    let mut checked = 0;
    let mut outcomes = std::collections::BTreeSet::new();
    for arrived in orders(&queues) {
        for moment in 0..=arrived.len() {
            let mut hub = Timeline::new(shared::<Map>());
            arrived[..moment].iter().for_each(|entry| hub.add(entry));
            let settlement = Shared::settlement(&hub, None);
            let snapshot = shared::<Map>().snapshot_action(&settlement).unwrap();
            let snapshot = entry("40 server:x 0", snapshot);
            hub.add(&snapshot);
            arrived[moment..].iter().for_each(|entry| hub.add(entry));
            let expected = hub.state().clone();
            outcomes.insert(expected.to_json().to_string());
            // A replica receives all in any order; a newcomer what the snapshot does not cover.
            let mut all = arrived.clone();
            all.push(snapshot);
            let is_open = |entry: &&Entry| !settlement.coverage.is_final(&entry.meta.id);
            let tail: Vec<Entry> = all.iter().filter(is_open).cloned().collect();
            for received in permutations(&all).into_iter().chain(permutations(&tail)) {
                assert_eq!(state_of(&received), expected, "{received:#?}");
                checked += 1;
            }
        }
    }
    println!("{checked} orders, outcomes {outcomes:?}");
    assert!(checked > 40_000);
    // The undo is settled before the redo comes, the action before its undo, or neither.
    assert!(outcomes.len() >= 2, "{outcomes:?}");
}
