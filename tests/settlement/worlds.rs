//! Devices edit, undo, restart and are away, while the hub settles at random moments.

use logux::{
    ActionId, Store,
    crdt::{Crdt, Document, DocumentOp, List, Path},
    store::{Entry, Query},
};
use proptest::prelude::*;
use serde_json::json;

use super::{Replica, at, newcomer};

#[derive(Clone, Debug)]
enum Step {
    Edit(usize, u8),
    Undo(usize),
    Redo(usize),
    UndoAny(usize, prop::sample::Index),
    Meet(Vec<usize>),
    Restart(usize),
    Fold,
    Newcomer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize, any::<u8>()).prop_map(|(who, what)| Step::Edit(who, what)),
        2 => (0..4_usize).prop_map(Step::Undo),
        1 => (0..4_usize).prop_map(Step::Redo),
        1 => (0..4_usize, any::<prop::sample::Index>()).prop_map(|(who, which)| Step::UndoAny(who, which)),
        3 => prop::sample::subsequence(vec![1_usize, 2, 3], 1..=3).prop_map(Step::Meet),
        1 => (0..4_usize).prop_map(Step::Restart),
        1 => Just(Step::Fold),
        1 => Just(Step::Newcomer),
    ]
}

fn edit_document(document: &Document, id: &ActionId, what: u8) -> DocumentOp {
    let path = |text: &str| text.parse::<Path>().unwrap();
    let list = path("/list");
    let len = document.list("/list").map_or(0, List::len);
    let at = usize::from(what / 8);
    let item = |field: &str| {
        let item = document.list("/list").and_then(|list| list.id_at(at % len.max(1)));
        item.map(|item| list.join(&item.to_string()).unwrap().join(field).unwrap())
    };
    let made = match what % 8 {
        0 | 1 => document.list_op(&list, id, |list| list.insert_op(at % (len + 1), json!({}), id)),
        2 if len > 0 => document.list_op(&list, id, |list| list.remove_op(at % len, id)),
        3 if len > 0 => {
            document.list_op(&list, id, |list| list.move_op(at % len, (at / 2) % len, id))
        }
        4 if len > 0 => {
            Ok(DocumentOp::Set { path: item("title").unwrap(), value: json!(what).into() })
        }
        5 if len > 0 => Ok(DocumentOp::Increment { path: item("votes").unwrap(), by: 1 }),
        6 => Ok(DocumentOp::Delete { path: path(["/list", "/title", ""][at % 3]) }),
        7 => Ok(DocumentOp::Add { path: path("/tags"), element: ["a", "b"][at % 2].into() }),
        _ => Ok(DocumentOp::Set { path: path("/title"), value: json!(what).into() }),
    };
    made.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("LOGUX_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(500),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Devices edit, undo, restart and are away, while the hub settles at random moments. In the
    /// end all agree, also whoever comes then.
    #[test]
    fn all_replicas_agree(steps in prop::collection::vec(step(), 1..60)) {
        let mut replicas: Vec<Replica<Document>> =
            ["hub", "ada", "grace", "linus"].map(Replica::new).into();
        // What the hub has sent on, by device.
        let mut queues: Vec<Vec<Entry>> = vec![Vec::new(); 4];
        let exchange = |replicas: &mut Vec<Replica<Document>>, queues: &mut Vec<Vec<Entry>>, who: &[usize]| {
            for &device in who {
                for entry in replicas[device].news() {
                    replicas[0].receive(&entry);
                    for (other, queue) in queues.iter_mut().enumerate() {
                        if other != device && other != 0 {
                            queue.push(entry.clone());
                        }
                    }
                }
            }
            replicas[0].sent = replicas[0].log.last_added().unwrap();
            for &device in who {
                for entry in core::mem::take(&mut queues[device]) {
                    replicas[device].receive(&entry);
                }
                replicas[device].news();
            }
        };
        for (ms, step) in (1_u64..).zip(&steps) {
            let ms = ms * 1_000;
            let mut of_hub = Vec::new();
            match step {
                Step::Edit(who, what) => {
                    replicas[*who].edit(ms, |document, id| edit_document(document, id, *what));
                }
                Step::Undo(who) => drop(replicas[*who].undo(ms)),
                Step::Redo(who) => {
                    let Replica { log, undo, .. } = &mut replicas[*who];
                    undo.redo(at(ms).wall, log).unwrap();
                }
                Step::UndoAny(who, which) => {
                    let log = &mut replicas[*who].log;
                    let known = log.store().page(&Query::added(), usize::MAX).unwrap().entries;
                    if !known.is_empty() {
                        let id = which.get(&known).meta.id.clone();
                        log.undo(at(ms).wall, &id, "undo").unwrap();
                    }
                }
                Step::Meet(who) => exchange(&mut replicas, &mut queues, who),
                Step::Restart(who) => replicas[*who].restart(),
                Step::Fold => replicas[0].fold(ms),
                Step::Newcomer => {
                    let late = newcomer(&replicas[0]);
                    prop_assert_eq!(late.log.state(), replicas[0].log.state(), "a newcomer");
                }
            }
            if matches!(step, Step::Edit(0, _) | Step::Undo(0) | Step::Redo(0) | Step::UndoAny(0, _) | Step::Fold) {
                of_hub.extend(replicas[0].news());
                queues[1..].iter_mut().for_each(|queue| queue.extend(of_hub.iter().cloned()));
            }
            replicas.iter().for_each(|replica| replica.log.timeline().assert_invariants());
        }
        exchange(&mut replicas, &mut queues, &[1, 2, 3]);
        exchange(&mut replicas, &mut queues, &[1, 2, 3]);
        let expected = replicas[0].log.state().clone();
        for replica in &replicas {
            prop_assert_eq!(replica.log.state(), &expected, "{}", replica.log.node_id());
        }
        let late = newcomer(&replicas[0]);
        prop_assert_eq!(late.log.state(), &expected, "a newcomer");
        for replica in &mut replicas {
            replica.restart();
            prop_assert_eq!(replica.log.state(), &expected, "{} after a restart", replica.log.node_id());
        }
        replicas[0].fold(1_000_000);
        prop_assert_eq!(replicas[0].size(), 1, "the snapshot is all that is kept");
        prop_assert_eq!(replicas[0].json(), expected.to_json(), "settling changes nothing visible");
    }
}
