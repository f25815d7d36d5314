//! The folders of the server use themselves and the folders above them in the reading order.

#[path = "../../../tests/support/layers.rs"]
mod layers;

use layers::{assert_order, assert_size, sources};

/// The reading order.
const ORDER: [&str; 19] = [
    "access_rule",
    "claims",
    "error",
    "blocking",
    "lifecycle",
    "networks",
    "random_id",
    "connection_info",
    "telemetry",
    "hub",
    "handlers",
    "connection",
    "backend",
    "http",
    "server",
    "rights",
    "sync_map",
    "documents",
    "testing",
];

#[test]
fn imports_follow_the_reading_order() {
    assert_order(&sources(env!("CARGO_MANIFEST_DIR")), &ORDER);
}

#[test]
fn files_have_one_subject() {
    assert_size(&sources(env!("CARGO_MANIFEST_DIR")), 600);
}
