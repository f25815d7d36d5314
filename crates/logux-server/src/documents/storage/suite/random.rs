//! Random calls, whose results are compared with those of a storage in memory.

use std::collections::VecDeque;

use logux::{
    server::{ArchiveQuery, CatalogQuery, DocumentStats},
    store::Direction,
};

use super::kit::{Kit, wall};
use crate::documents::storage::DocumentStorage;

/// The number of calls for a seed.
const CALLS: u64 = 250;
/// The number of calls that a failure shows.
const SHOWN: usize = 30;

const IDS: [&str; 3] = ["a", "b", "é"];
const NAMES: [&str; 3] = ["x", "y", "X"];

/// A generator of random numbers with a seed: SplitMix64.
struct Random(u64);

impl Random {
    const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn time(&mut self) -> i64 {
        self.below(12).cast_signed()
    }

    const fn bound(&mut self) -> Option<u64> {
        match self.below(45) {
            0..5 => None,
            bound => Some(bound - 5),
        }
    }
}

/// One call of a storage.
#[derive(Clone, Debug)]
enum Call {
    Create(&'static str, i64),
    Delete(&'static str, i64),
    Touch(Vec<DocumentStats>),
    Archive(&'static str, Vec<u64>),
    Forget(&'static str, u64),
    AddVersion(&'static str, &'static str, u64, i64),
    RemoveVersion(&'static str, &'static str),
    Purge(&'static str),
}

fn random_call(random: &mut Random) -> Call {
    let id = IDS[random.below(3) as usize];
    let name = NAMES[random.below(3) as usize];
    match random.below(20) {
        0..5 => Call::Create(id, random.time()),
        5..8 => Call::Delete(id, random.time()),
        8..10 => {
            let touched = IDS.iter().filter(|_| random.below(2) == 0).copied().collect::<Vec<_>>();
            let stats = touched.into_iter().map(|id| DocumentStats {
                id: id.into(),
                changed_at: wall(random.time()),
                bytes: random.below(1_000),
                actions: random.below(100),
            });
            Call::Touch(stats.collect())
        }
        10..14 => {
            let first = random.below(30);
            Call::Archive(id, (first..first + random.below(8)).collect())
        }
        14 => Call::Forget(id, random.below(35)),
        15..18 => Call::AddVersion(id, name, random.below(30), random.time()),
        18 => Call::RemoveVersion(id, name),
        _ => Call::Purge(id),
    }
}

/// Performs a call. Returns the result for comparison, without the names that are the kit's own.
async fn perform<D: DocumentStorage>(kit: &Kit<D>, call: &Call) -> String {
    let storage = &kit.storage;
    let result = match call {
        Call::Create(id, time) => {
            let created = storage.create(&kit.key(id), &kit.creation(*time)).await;
            format!("{:?}", created.expect("created"))
        }
        Call::Delete(id, time) => {
            let deleted = storage.delete(&kit.key(id), &kit.deletion(*time)).await;
            format!("{:?}", deleted.expect("deleted"))
        }
        Call::Touch(stats) => {
            storage.touch(&kit.kind, stats).await.expect("touched");
            String::new()
        }
        Call::Archive(id, numbers) => {
            let entries: Vec<_> = numbers.iter().map(|added| kit.archived(id, *added)).collect();
            let archived = storage.archive(&kit.key(id), &entries).await;
            format!("{:?}", archived.expect("archived"))
        }
        Call::Forget(id, before) => {
            while storage.forget_archived(&kit.key(id), *before).await.expect("forgotten") {}
            String::new()
        }
        Call::AddVersion(id, name, position, time) => {
            let version = kit.version(name, *position, *time);
            let added = storage.add_version(&kit.key(id), &version).await;
            format!("{:?}", added.expect("added"))
        }
        Call::RemoveVersion(id, name) => {
            let removed = storage.remove_version(&kit.key(id), name).await;
            format!("{:?}", removed.expect("removed"))
        }
        Call::Purge(id) => {
            let mut has_more = storage.purge(&kit.key(id)).await.expect("purged");
            while has_more {
                has_more = storage.remove_purged().await.expect("removed");
            }
            String::new()
        }
    };
    normalized(kit, &result)
}

fn normalized<D>(kit: &Kit<D>, result: &str) -> String {
    result.replace(&kit.kind, "notes").replace(&*kit.user, "ada")
}

/// Reads all of a storage, and some parts of it.
async fn look<D: DocumentStorage>(kit: &Kit<D>, mut random: Random) -> String {
    let storage = &kit.storage;
    let mut seen = Vec::new();
    for deleted in [false, true] {
        for creator in [None, Some(kit.user.clone())] {
            let limit = 1 + random.below(3) as usize;
            let ids = kit.list(CatalogQuery { creator, deleted, ..CatalogQuery::new(limit) }).await;
            seen.push(format!("deleted {deleted}: {ids:?}"));
        }
    }
    let before = wall(random.time());
    let old = storage.deleted_before(&kit.kind, before, 2).await.expect("a list");
    let old: Vec<_> = old.iter().map(|entry| &*entry.id).collect();
    seen.push(format!("deleted before {before}: {old:?}"));
    for kind in [None, Some(&*kit.kind)] {
        seen.push(format!("{:?}", storage.usage(&kit.user, kind).await.expect("a usage")));
    }
    for id in IDS {
        let key = kit.key(id);
        let direction = [Direction::OldestFirst, Direction::NewestFirst][random.below(2) as usize];
        let (after, before) = (random.bound(), random.bound());
        let limit = 1 + random.below(8) as usize;
        let query = ArchiveQuery { after, before, direction, limit };
        let (added, at) = (random.below(40), wall(random.below(70).cast_signed()));
        seen.extend([
            format!("{id}: {:?}", kit.find(id).await),
            format!("{:?}", storage.versions(&key).await.expect("versions")),
            format!("{:?}", storage.archived(&key, ArchiveQuery::new(100)).await.expect("a page")),
            format!("{query:?}: {:?}", storage.archived(&key, query).await.expect("a page")),
            format!("at {added}: {:?}", storage.snapshot_at(&key, added).await.expect("found")),
            format!("at {at}: {:?}", storage.position_at(&key, at).await.expect("found")),
        ]);
    }
    normalized(kit, &seen.join("\n"))
}

/// Performs random calls on a storage and on the model.
pub(super) async fn run<D: DocumentStorage, M: DocumentStorage>(
    kit: &Kit<D>,
    model: &Kit<M>,
    seed: u64,
) {
    let mut random = Random(seed);
    let mut calls = VecDeque::new();
    for number in 0..CALLS {
        let call = random_call(&mut random);
        calls.push_back(format!("{call:?}"));
        if calls.len() > SHOWN {
            calls.pop_front();
        }
        let shown = || calls.iter().cloned().collect::<Vec<_>>().join("\n");
        let (own, expected) = (perform(kit, &call).await, perform(model, &call).await);
        assert_eq!(own, expected, "seed {seed}, call {number}, the last calls:\n{}", shown());
        if number % 3 == 2 {
            let look_seed = random.below(u64::MAX);
            let own = look(kit, Random(look_seed)).await;
            let expected = look(model, Random(look_seed)).await;
            let differs = own.lines().zip(expected.lines()).find(|(own, expected)| own != expected);
            assert_eq!(differs, None, "seed {seed}, call {number}, the last calls:\n{}", shown());
            assert_eq!(own, expected);
        }
    }
}
