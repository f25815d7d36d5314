//! Each folder of the engine uses only itself and the folders before it in the reading order.

#[path = "support/layers.rs"]
mod layers;

use layers::{Source, assert_order, assert_size, sources};

/// The reading order.
const ORDER: [&str; 14] = [
    "excerpt", "time", "json", "action", "store", "record", "log", "replay", "crdt", "wire",
    "sync", "client", "server", "backend",
];

/// Words for I/O, clocks and threads, which a pure engine does not use.
const IMPURE: [&str; 8] = [
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "Instant::now",
    "SystemTime::now",
    "tokio",
    "async fn",
];

fn engine() -> Vec<Source> {
    let mut found = sources(env!("CARGO_MANIFEST_DIR"));
    found.retain(|source| source.folder() != "testing");
    found
}

#[test]
fn imports_follow_the_reading_order() {
    assert_order(&engine(), &ORDER);
}

#[test]
fn the_engine_is_pure() {
    for Source { name, text } in engine() {
        for word in IMPURE {
            assert!(!text.contains(word), "{name} uses `{word}`");
        }
    }
}

#[test]
fn files_have_one_subject() {
    assert_size(&engine(), 600);
}
