//! People edit documents while connections are cut, rights change, and documents are deleted, taken
//! back, restored and purged: at the end all see the same, nothing accepted is lost, nothing
//! refused remains, and nobody is stuck.
//!
//! `LOGUX_CASES` is the number of seeds.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use logux::{
    Json,
    action::{DocumentOperation, Moment},
    client::DocumentStatus,
    crdt::{Crdt, Document, DocumentOp, Path, Shared},
    server::SettlementRule,
};
use logux_client::{DocumentHandle, PendingAction, SyncError, testing::TestClient};
use logux_server::{Builder, Documents, MemoryDocuments, Server, testing::TestServer};
use serde_json::json;

const USERS: [&str; 4] = ["ada", "bob", "carol", "dave"];
const IDS: [&str; 3] = ["1", "2", "3"];
/// The document of which former states are restored.
const RESTORED: usize = 0;
/// The document that may be purged.
const PURGED: usize = 2;
const STEPS: usize = 150;

type Note = DocumentHandle<Shared<Document>>;

/// A generator of random numbers: SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("a small number")
    }
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

/// Ada manages; the others have the roles that she gives them.
fn notes() -> Builder {
    Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|request| async move {
            use DocumentOperation::{Edit, Read};
            let user = request.user_id().unwrap_or_default().to_owned();
            if user == "ada" {
                return Ok(true);
            }
            let role = request.state().await?.get(&path(&format!("/members/{user}")));
            let role = role.as_ref().and_then(|role| role.as_str()).unwrap_or("editor");
            Ok(match request.operation() {
                Read => role != "none",
                Edit => role == "editor",
                _ => false,
            })
        })
        .managed_at([path("/members")])
        .undoable()
        .settlement(SettlementRule { open_actions: 5, ..SettlementRule::default() })
    })
}

/// An item that a user has added, and what became of it.
struct Added {
    who: usize,
    document: usize,
    value: u64,
    pending: PendingAction,
}

struct Person {
    client: TestClient,
    notes: Vec<Note>,
    is_connected: bool,
}

struct World {
    random: Random,
    people: Vec<Person>,
    documents: Documents,
    added: Vec<Added>,
    is_purged: bool,
    /// Who has undone something in which document.
    undone: HashSet<(usize, usize)>,
    last_value: u64,
    /// Who has no connection for a long time.
    away: Option<usize>,
}

impl World {
    async fn start(server: &TestServer, seed: u64) -> Self {
        let mut people = Vec::new();
        for user in USERS {
            let client = server.connect(user).await.expect("connected");
            people.push(Person { client, notes: Vec::new(), is_connected: true });
        }
        let documents = server.handle().documents("notes").expect("notes");
        let (added, is_purged) = (Vec::new(), false);
        let random = Random(seed);
        let mut world = Self {
            random,
            people,
            documents,
            added,
            is_purged,
            undone: HashSet::new(),
            last_value: 0,
            away: None,
        };
        for id in IDS {
            let note = world.people[0].client.client().document::<Document>("notes", id).await;
            note.expect("open").create(&[]).await.expect("created");
        }
        world.open_all().await;
        world
    }

    /// Opens the documents of all, so that the server is asked again about each.
    async fn open_all(&mut self) {
        for person in &mut self.people {
            person.notes.clear();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        for person in &mut self.people {
            for id in IDS {
                let note = person.client.client().document::<Document>("notes", id).await;
                person.notes.push(note.expect("open"));
            }
        }
    }

    async fn step(&mut self) {
        let who = Some(self.random.below(USERS.len())).filter(|who| self.away != Some(*who));
        let who = who.unwrap_or_default();
        let document = self.random.below(IDS.len());
        let note = self.people[who].notes[document].clone();
        match self.random.below(24) {
            0..=9 => self.add_item(who, document, &note),
            10..=12 => {
                let length = note
                    .state()
                    .text("/text")
                    .map_or(0, |text| text.len(logux::crdt::Unit::Scalars));
                let at = self.random.below(length + 1);
                let typed = note.operate_with(|state, id| {
                    state.text_ops(&path("/text"), id, |text| {
                        text.insert_op(at, "ab", logux::crdt::Unit::Scalars, id).map(|op| vec![op])
                    })
                });
                drop(typed.expect("valid operations"));
            }
            13..=14 => {
                let value = json!(self.random.next() % 1_000).into();
                drop(note.operate(&[DocumentOp::Set { path: path("/title"), value }]));
            }
            15 => {
                self.undone.insert((who, document));
                drop(note.undo().await);
            }
            16..=18 => {
                let person = &mut self.people[who];
                person.is_connected = !person.is_connected;
                if person.is_connected {
                    person.client.reconnect().await.expect("connected");
                } else {
                    person.client.disconnect().await;
                }
            }
            19..=20 => {
                let roles = ["editor", "reader", "none"];
                let role = json!(roles[self.random.below(roles.len())]).into();
                let user = USERS[1 + self.random.below(USERS.len() - 1)];
                let path = path(&format!("/members/{user}"));
                drop(
                    self.people[0].notes[document]
                        .operate(&[DocumentOp::Set { path, value: role }]),
                );
            }
            21 => drop(self.people[0].notes[document].delete()),
            22 => drop(self.people[0].notes[document].create(&[])),
            _ if document == PURGED && self.random.below(3) == 0 => {
                self.is_purged |= self.documents.purge(IDS[document]).await.expect("purged");
            }
            _ if document == RESTORED => {
                let history = self.documents.history(IDS[document], None, 5).await.expect("a page");
                if let Some(entry) = history.entries.last() {
                    let moment = Moment::Position(entry.position);
                    // The document may be deleted now.
                    drop(self.documents.restore(IDS[document], &moment).await);
                }
            }
            _ => {}
        }
        let pause = Duration::from_millis(self.random.next() % 400);
        tokio::time::sleep(pause).await;
    }

    /// Adds an item of its own.
    fn add_item(&mut self, who: usize, document: usize, note: &Note) {
        self.last_value += 1;
        let value = self.last_value;
        let path = path(&format!("/items/{value}"));
        let op = DocumentOp::Set { path, value: Json::from(json!(true)) };
        let pending = note.operate(&[op]);
        self.added.push(Added { who, document, value, pending });
    }

    /// Lets time pass while nobody has a connection, and somebody for longer than the others, who
    /// edits before and after.
    async fn pass_without(&mut self, who: usize, time: Duration) {
        self.away = Some(who);
        self.people[who].client.disconnect().await;
        self.people[who].is_connected = false;
        self.add_items(who);
        for _ in 0..STEPS / 3 {
            self.step().await;
        }
        self.connect_all().await;
        // A document that stays deleted is purged.
        for note in self.people[0].notes.clone() {
            drop(note.create(&[]).await);
        }
        for person in &mut self.people {
            person.client.disconnect().await;
            person.is_connected = false;
        }
        tokio::time::sleep(time).await;
        self.connect_all().await;
        for _ in 0..STEPS / 3 {
            self.step().await;
        }
        self.add_items(who);
    }

    fn add_items(&mut self, who: usize) {
        for (document, note) in self.people[who].notes.clone().iter().enumerate() {
            self.add_item(who, document, note);
        }
    }

    /// Connects everybody who is not away.
    async fn connect_all(&mut self) {
        for (index, person) in self.people.iter_mut().enumerate() {
            if !person.is_connected && self.away != Some(index) {
                person.client.reconnect().await.expect("connected");
                person.is_connected = true;
            }
        }
    }

    /// Connects everybody, and compares what they see.
    async fn end(mut self, seed: usize) -> Outcome {
        self.away = None;
        self.connect_all().await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        // A deleted document shows nothing: it is taken back.
        for document in 0..IDS.len() {
            drop(self.people[0].notes[document].create(&[]).await);
        }
        self.open_all().await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let mut shown = HashMap::new();
        for (document, id) in IDS.iter().enumerate() {
            let state = self.documents.json(id).await.expect("readable");
            if document == PURGED && self.is_purged {
                assert_eq!(state, None, "seed {seed}");
                continue;
            }
            let state = state.expect("a document");
            for (person, user) in self.people.iter().zip(USERS) {
                assert_eq!(person.client.client().unconfirmed(), 0, "seed {seed}: {user} is stuck");
                let note = &person.notes[document];
                if matches!(note.status(), DocumentStatus::Ready | DocumentStatus::ReadOnly) {
                    assert_eq!(note.state().to_json(), state, "seed {seed}: {user}, document {id}");
                } else {
                    assert_eq!(note.status(), DocumentStatus::Forbidden, "seed {seed}: {user}");
                }
            }
            shown.insert(document, state);
        }
        let mut result = Outcome { added: self.added.len(), kept: 0, too_old: 0 };
        for Added { who, document, value, pending } in self.added {
            let id = pending.id().clone();
            let outcome = tokio::time::timeout(Duration::from_secs(1), pending).await;
            let outcome = outcome.unwrap_or_else(|_| panic!("seed {seed}: {id} has no outcome"));
            let is_there =
                shown.get(&document).is_some_and(|shown| shown["items"][value.to_string()] == true);
            match outcome {
                Ok(()) if document == RESTORED || document == PURGED && self.is_purged => {}
                Ok(()) if self.undone.contains(&(who, document)) => {}
                Ok(()) => {
                    result.kept += 1;
                    assert!(is_there, "seed {seed}: {id} was accepted");
                }
                Err(SyncError::Undone(undo)) => {
                    result.too_old += usize::from(undo.reason == "tooOld");
                    assert!(!is_there, "seed {seed}: {id} was refused: {}", undo.reason);
                }
                Err(error) => assert!(!is_there, "seed {seed}: {id}: {error}"),
            }
        }
        result
    }
}

/// What has become of the items of a world.
struct Outcome {
    added: usize,
    /// The accepted items that had to be there.
    kept: usize,
    /// The items that were refused because of their age.
    too_old: usize,
}

/// Returns the number of worlds.
fn cases(otherwise: usize) -> usize {
    let cases = std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok());
    cases.unwrap_or(otherwise)
}

#[tokio::test(start_paused = true)]
async fn everybody_sees_the_same_at_the_end() {
    let cases = cases(20);
    let mut kept = 0;
    for seed in 0..cases {
        let server = TestServer::start(notes()).expect("a server");
        let mut world = World::start(&server, seed as u64).await;
        for _ in 0..STEPS {
            world.step().await;
        }
        kept += world.end(seed).await.kept;
    }
    assert!(kept > 2 * cases, "{kept} items were accepted in {cases} worlds");
}

/// Returns what has become of the items of worlds in which somebody was away for a time.
async fn away_for(time: Duration) -> Outcome {
    let mut all = Outcome { added: 0, kept: 0, too_old: 0 };
    for seed in 0..cases(3) {
        let server = TestServer::start(notes()).expect("a server");
        let mut world = World::start(&server, seed as u64).await;
        for _ in 0..STEPS / 3 {
            world.step().await;
        }
        world.pass_without(3, time).await;
        let Outcome { added, kept, too_old } = world.end(seed).await;
        (all.added, all.kept, all.too_old) =
            (all.added + added, all.kept + kept, all.too_old + too_old);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_away_for_a_month_loses_nothing_by_that() {
    let Outcome { added, kept, too_old } = away_for(Duration::from_hours(30 * 24)).await;
    assert!(kept > 0 && too_old == 0, "{too_old} of {added} items were too old, {kept} kept");
}

#[tokio::test(start_paused = true)]
async fn what_a_device_did_before_the_horizon_is_refused() {
    let Outcome { added, kept, too_old } = away_for(Duration::from_hours(100 * 24)).await;
    assert!(kept > 0 && too_old > 0, "{too_old} of {added} items were too old, {kept} kept");
}
