//! The properties of the fuzz targets hold for their corpus, without the fuzzer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path};

use logux::testing::fuzz;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// Calls `body` with the files of one target that are text, of which there must be at least `min`.
fn run(target: &str, min: usize, body: fn(&str)) {
    run_bytes(target, min, |data| fuzz::text(data).map(body).is_some());
}

/// Calls `body` with the files of one target. It must return `true` for at least `min`.
fn run_bytes(target: &str, min: usize, body: impl Fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for file in
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let data = fs::read(file.unwrap().path()).unwrap();
        count += usize::from(body(&data));
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

#[test]
fn saved_state() {
    run_bytes("saved_state", 14, |data| {
        fuzz::saved_state(data);
        true
    });
}

#[test]
fn server_frames() {
    run("server_frames", 6, fuzz::server_frames);
}

/// A frame of a server that is often well-formed, and seldom right.
fn server_frame() -> impl Strategy<Value = String> {
    let number = || prop_oneof![0_i64..6, any::<i64>()];
    let id = || {
        let node = prop_oneof![Just("10:phone:1"), Just("10:phone:2"), Just("server:x")];
        (number(), node, 0..3)
    };
    let text_id = id().prop_map(|(time, node, n)| format!("{time} {node} {n}"));
    let at = text_id.clone().prop_map(|id| format!(r#"{{"path":"/a","at":["{id}",0]}}"#));
    let action = prop_oneof![
        Just(r#"{"type":"note"}"#.to_owned()),
        text_id.clone().prop_map(|id| format!(r#"{{"type":"logux/processed","id":"{id}"}}"#)),
        text_id.prop_map(|id| format!(r#"{{"type":"logux/undo","id":"{id}","reason":"r"}}"#)),
        at.prop_map(|op| format!(r#"{{"type":"notes/edit","id":"1","ops":[{op}]}}"#)),
        number().prop_map(|n| format!(
            r#"{{"type":"notes/edit","id":"1","ops":[{{"op":"set","path":["a"],"value":{n}}}]}}"#
        )),
        number()
            .prop_map(|n| format!(r#"{{"type":"notes/snapshot","id":"1","state":{{}},"n":{n}}}"#)),
    ];
    let meta = (id(), number())
        .prop_map(|((t, node, n), time)| format!(r#"{{"id":[{t},"{node}",{n}],"time":{time}}}"#));
    prop_oneof![
        4 => (number(), action, meta).prop_map(|(n, action, meta)| format!(r#"["sync",{n},{action},{meta}]"#)),
        2 => number().prop_map(|n| format!(r#"["synced",{n}]"#)),
        1 => number().prop_map(|n| format!(r#"["ping",{n}]"#)),
        1 => (number(), number()).prop_map(|(a, b)| format!(r#"["connected",5,"server:x",[{a},{b}]]"#)),
        1 => Just(r#"["headers",{"a":1}]"#.to_owned()),
        1 => "[ -~]{0,20}",
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 3_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn history(data in proptest::collection::vec(any::<u8>(), 0..900)) {
        fuzz::history(&data);
    }

    #[test]
    fn tree(data in proptest::collection::vec(any::<u8>(), 0..520)) {
        fuzz::tree(&data);
    }

    #[test]
    fn frames_of_a_server(frames in proptest::collection::vec(server_frame(), 0..12)) {
        fuzz::server_frames(&frames.join("\n"));
    }

    #[test]
    fn plaintexts(text in "[ -~]{0,300}|.{0,300}") {
        fuzz::encryption(&text);
    }
}

/// The corpus of one target is useful for the others.
#[test]
fn all_properties_hold_for_all_files() {
    for target in ["decode", "json", "action", "backend", "encryption", "server_frames"] {
        let bodies =
            [fuzz::decoder, fuzz::json, fuzz::action, fuzz::encryption, fuzz::server_frames];
        for body in bodies {
            run(target, 1, body);
        }
    }
}
