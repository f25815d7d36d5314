//! The properties of the fuzz targets hold for their corpus, without the fuzzer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path};

use logux::testing::fuzz;

/// Calls `body` with the files of one target, of which there must be at least `min`.
fn run(target: &str, min: usize, body: fn(&str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for file in
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let data = fs::read(file.unwrap().path()).unwrap();
        if let Some(text) = fuzz::text(&data) {
            body(text);
            count += 1;
        }
    }
    assert!(count >= min, "only {count} files in {}", folder.display());
}

#[test]
fn decode() {
    run("decode", 20, fuzz::decoder);
}

#[test]
fn json() {
    run("json", 8, fuzz::json);
}

#[test]
fn action() {
    run("action", 8, fuzz::action);
}

#[test]
fn backend() {
    run("backend", 30, fuzz::backend);
}

#[test]
fn encryption() {
    run("encryption", 8, fuzz::encryption);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 3_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn history(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..900)) {
        fuzz::history(&data);
    }

    #[test]
    fn plaintexts(text in "[ -~]{0,300}|.{0,300}") {
        fuzz::encryption(&text);
    }
}

/// The corpus of one target is useful for the others.
#[test]
fn all_properties_hold_for_all_files() {
    for target in ["decode", "json", "action", "backend", "encryption"] {
        for body in [fuzz::decoder, fuzz::json, fuzz::action, fuzz::encryption] {
            run(target, 1, body);
        }
    }
}
