//! A server is killed while it settles documents that people edit: nothing that it has accepted is
//! lost, nobody is stuck, and all see the same.
//!
//! `LOGUX_KILLS` is the number of kills.
#![cfg(unix)]

mod process;

use std::{path::Path, time::Duration};

use logux::{
    client::Backoff,
    crdt::{Crdt, Document, DocumentOp, Shared},
};
use logux_client::{Client, DocumentHandle, PendingAction};
use logux_net::WebSocketConnector;
use process::{RunningProgram, folder, logux};
use serde_json::json;
use tokio::time::{sleep, timeout};

const TIMEOUT: Duration = Duration::from_secs(60);
const USERS: [&str; 3] = ["ada", "bob", "carol"];

type Note = DocumentHandle<Shared<Document>>;

fn serve(folder: &Path, port: u16) -> RunningProgram {
    let mut command = logux(folder);
    command.args(["serve", "--dev", "--logger", "json", "--port", &port.to_string()]);
    let server = RunningProgram::start(command);
    server.line("Serving");
    server
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A person who edits a note.
struct Person {
    note: Note,
    /// The number of edits so far.
    edits: usize,
    pending: Vec<(String, PendingAction)>,
}

impl Person {
    async fn open(user: &str, port: u16) -> Self {
        let url = format!("ws://127.0.0.1:{port}");
        let connector = WebSocketConnector::new(&url).expect("a URL");
        let [min_delay, max_delay] = [20, 100].map(Duration::from_millis);
        let backoff = Backoff { min_delay, max_delay, attempts: None };
        let client = Client::builder(user).expect("a user").backoff(backoff).start(connector);
        let note = client.document::<Document>("notes", "1").await.expect("open");
        Self { note, edits: 0, pending: Vec::new() }
    }

    /// Sets a field of its own, and types into the text that all share.
    fn edit(&mut self, user: &str) {
        let field = format!("{user}{}", self.edits);
        self.edits += 1;
        let path = format!("/fields/{field}").parse().expect("a path");
        let set = DocumentOp::Set { path, value: json!(true).into() };
        self.pending.push((field, self.note.operate(&[set])));
        let path = "/text".parse().expect("a path");
        let typed = self.note.operate_with(|state, id| {
            state.text_ops(&path, id, |text| text.set_ops(&format!("{text}x"), id))
        });
        drop(typed.expect("valid operations"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_it_settles_loses_nothing() {
    let kills: u64 =
        std::env::var("LOGUX_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20);
    let (folder, port) = (folder(), free_port());
    let settings = "[documents.notes]\nopen_actions = 10\n";
    std::fs::write(folder.path().join("logux.toml"), settings).expect("written");
    let mut server = Some(serve(folder.path(), port));
    let mut people = Vec::new();
    for user in USERS {
        people.push(Person::open(user, port).await);
    }
    for kill in 0..kills {
        // Long enough for some snapshots, each at another moment of the work.
        for _ in 0..30 + kill % 7 {
            for (person, user) in people.iter_mut().zip(USERS) {
                person.edit(user);
            }
            sleep(Duration::from_millis(2)).await;
        }
        let connected = people[0].note.operate(&[]);
        drop(timeout(TIMEOUT, connected).await.expect("in time"));
        for (person, user) in people.iter_mut().zip(USERS) {
            person.edit(user);
        }
        sleep(Duration::from_millis(kill * 7 % 23)).await;
        // The signal is KILL.
        drop(server.take());
        server = Some(serve(folder.path(), port));
    }
    let mut fields = Vec::new();
    for person in &mut people {
        for (field, pending) in person.pending.drain(..) {
            let outcome = timeout(TIMEOUT, pending).await.expect("nobody is stuck");
            outcome.expect("nothing is refused");
            fields.push(field);
        }
    }
    let newcomer = Person::open("dave", port).await;
    timeout(TIMEOUT, newcomer.note.loaded()).await.expect("in time").expect("loaded");
    let state = newcomer.note.state().to_json();
    for field in &fields {
        assert_eq!(state["fields"][field], true, "{field} was accepted");
    }
    assert_eq!(state["fields"].as_object().map(|shown| shown.len()), Some(fields.len()));
    for (person, user) in people.iter_mut().zip(USERS) {
        let same = person.note.until(|note| note.to_json() == state);
        let reached = timeout(TIMEOUT, same).await;
        assert!(reached.is_ok(), "{user} sees {}", person.note.state().to_json());
        assert_eq!(person.note.client().unconfirmed(), 0, "{user}");
    }
}
