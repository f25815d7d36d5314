//! The memory of the saved states of a timeline: resident memory after a million writes into a map
//! of a thousand fields, with different numbers of saved states. Linux only.

use logux::{
    ActionId, NodeId, Stamp, WallTime,
    crdt::{Map, MapOp, Shared},
    replay::{Timeline, TimelineConfig},
};
use serde_json::json;

/// Returns the resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

fn main() {
    let node = NodeId::new("10:client:tab").expect("a node id");
    let value: logux::Json = json!("Buy milk").into();
    let paths: Vec<_> = (0..1_000).map(|n| format!("/field{n}").parse().expect("a path")).collect();
    // The first run includes the memory that the allocator keeps.
    for (name, save_every, save_gap) in [
        ("warm-up", 10_000, 10_000),
        ("a state every 10,000", 10_000, 10_000),
        ("as by default", 16, 4_096),
        ("a state every 100", 100, 100),
    ] {
        let before = resident();
        let config = TimelineConfig { save_every, save_gap, ..TimelineConfig::default() };
        let mut timeline = Timeline::with_config(Shared::<Map>::new("notes", "1"), config);
        for n in 0..1_000_000_i64 {
            let time = WallTime::from_millis(n);
            let path = &paths[usize::try_from(n).expect("an index") * 7_919 % paths.len()];
            let op = MapOp::Set { path: Clone::clone(path), value: value.clone() };
            timeline.add_read(Stamp::new(time, ActionId::new(time, node.clone(), 0)), [op].into());
        }
        println!("{name}: {} KiB, {:?}", resident() - before, timeline.stats());
        // Not freed, so that the next run does not reuse this memory.
        std::mem::forget(timeline);
    }
}
