//! [`MemoryStore`] passes the checks of all stores.

use logux::{
    MemoryStore,
    testing::{store_model, store_suite},
};

#[test]
fn passes_the_suite() {
    store_suite::run(MemoryStore::new);
}

#[test]
fn behaves_like_the_model() {
    store_model::assert_like_model(MemoryStore::new, MemoryStore::assert_invariants, 500);
}
