//! The folders of the engine use themselves and the folders above them in the reading order, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path};

/// The reading order.
const ORDER: [&str; 11] = [
    "now", "action", "store", "log", "replay", "crdt", "wire", "sync", "client", "server",
    "backend",
];

/// What a pure engine does not use.
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

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .strip_prefix(env!("CARGO_MANIFEST_DIR"))
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn engine() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.retain(|(name, _)| !name.starts_with("src/testing/") && name != "src/lib.rs");
    assert!(found.len() > 20, "the sources are found");
    found
}

#[test]
fn arrows_point_up_the_reading_order() {
    let place = |folder: &str| ORDER.iter().position(|other| *other == folder);
    for (name, text) in engine() {
        let own = name.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
        let own =
            place(own).unwrap_or_else(|| panic!("{name} is in no folder of the reading order"));
        let code: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        // `use crate::{…}` may stretch over lines, so every word of it is looked at.
        let starts = code.match_indices("use crate::{").map(|(at, _)| &code[at..]);
        let grouped = starts.flat_map(|rest| {
            let end = rest.find("};").unwrap_or(rest.len());
            rest["use crate::{".len()..end]
                .split([',', '{', '\n', ' '])
                .map(|word| word.split("::").next().unwrap_or(""))
        });
        let single = code.match_indices("crate::").map(|(at, word)| {
            let rest = &code[at + word.len()..];
            &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
        });
        for used in
            grouped.chain(single).filter_map(|word| place(word.trim()).map(|place| (place, word)))
        {
            assert!(
                used.0 <= own,
                "{name} uses `{}`, which comes later in the reading order",
                used.1
            );
        }
    }
}

#[test]
fn the_engine_is_pure() {
    for (name, text) in engine() {
        for word in IMPURE {
            assert!(!text.contains(word), "{name} uses `{word}`");
        }
    }
}

#[test]
fn files_have_one_subject() {
    for (name, text) in engine() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{name} has {lines} lines: which second subject moved in?");
    }
}
