//! Named versions.

use logux::server::{AddVersionOutcome, MAX_VERSIONS};

use super::kit::Kit;
use crate::documents::storage::DocumentStorage;

pub(super) async fn a_position_is_named_once<D: DocumentStorage>(kit: &Kit<D>) {
    let key = kit.key("1");
    let add = async |version: &_| kit.storage.add_version(&key, version).await.expect("added");
    let first = kit.version("Draft", 7, 1);
    assert_eq!(add(&first).await, AddVersionOutcome::Missing);
    kit.create("1", 1).await;
    assert_eq!(kit.storage.versions(&key).await.expect("versions"), []);
    assert_eq!(add(&first).await, AddVersionOutcome::Added);
    assert_eq!(add(&kit.version("Draft", 9, 2)).await, AddVersionOutcome::NameTaken);
    assert_eq!(add(&kit.version("Draft", 8, 1)).await, AddVersionOutcome::Added, "again");
    assert_eq!(kit.storage.versions(&key).await.expect("versions"), [first]);
    let remove = async |name| kit.storage.remove_version(&key, name).await.expect("removed");
    assert_eq!(
        [remove("draft").await, remove("Draft").await, remove("Draft").await],
        [false, true, false]
    );
    assert_eq!(add(&kit.version("Draft", 9, 2)).await, AddVersionOutcome::Added);
}

pub(super) async fn versions_are_listed_by_position<D: DocumentStorage>(kit: &Kit<D>) {
    let key = kit.key("1");
    kit.create("1", 1).await;
    kit.create("2", 1).await;
    let mut expected = Vec::new();
    for (name, position) in [("é", 5), ("a", 9), ("B", 5), ("b", 5), ("", 1)] {
        let mut version = kit.version(name, position, 1);
        if name == "a" {
            version.by = None;
        }
        assert_eq!(
            kit.storage.add_version(&key, &version).await.expect("added"),
            AddVersionOutcome::Added
        );
        expected.push(version);
    }
    expected.sort_by(|a, b| (a.position, &a.name).cmp(&(b.position, &b.name)));
    assert_eq!(kit.storage.versions(&key).await.expect("versions"), expected);
    assert_eq!(kit.storage.versions(&kit.key("2")).await.expect("versions"), []);
}

pub(super) async fn the_number_of_versions_is_limited<D: DocumentStorage>(kit: &Kit<D>) {
    let key = kit.key("1");
    kit.create("1", 1).await;
    for number in 0..MAX_VERSIONS as u64 {
        let version = kit.version(&number.to_string(), number, 1);
        let outcome = kit.storage.add_version(&key, &version).await.expect("added");
        assert_eq!(outcome, AddVersionOutcome::Added, "version {number}");
    }
    let add = async |name| {
        let version = kit.version(name, 1, 1);
        kit.storage.add_version(&key, &version).await.expect("a result")
    };
    assert_eq!(add("more").await, AddVersionOutcome::TooMany);
    assert_eq!(add("7").await, AddVersionOutcome::Added, "again");
    assert!(kit.storage.remove_version(&key, "7").await.expect("removed"));
    assert_eq!(add("more").await, AddVersionOutcome::Added);
    assert_eq!(kit.storage.versions(&key).await.expect("versions").len(), MAX_VERSIONS);
}
