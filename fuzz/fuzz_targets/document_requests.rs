//! The paths and queries of the HTTP interface of a server's documents.
#![no_main]

// These files are private to the server, and use nothing else of it.
#[path = "../../crates/logux-server/src/documents/query.rs"]
mod query;
#[path = "../../crates/logux-server/src/documents/query_fuzz.rs"]
mod query_fuzz;

libfuzzer_sys::fuzz_target!(|target: &str| query_fuzz::document_request(target));
