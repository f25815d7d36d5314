//! Typing in a text on a real server, by clients that keep their data in a file.

use std::{net::TcpListener, path::Path, time::Duration};

use logux::{
    crdt::{Shared, Text, Unit},
    server::{LogQuery, Retention},
};
use logux_client::{BurstLimits, Client, DocumentHandle};
use logux_net::WebSocketConnector;
use logux_server::{MemoryDocuments, RunningServer, Server};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);

type Note = DocumentHandle<Shared<Text>>;

/// Returns a port that nothing listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

async fn server(port: u16) -> RunningServer {
    Server::builder()
        .auth(|_| async { Ok(true) })
        .documents::<Text>("texts", MemoryDocuments::new(), |kind| {
            kind.access(|_| async { Ok(true) }).created_by_edits().undoable()
        })
        .listen(([127, 0, 0, 1], port).into())
        .await
        .expect("a server")
}

/// Starts a client whose bursts do not end by themselves.
async fn open(user: &str, file: &Path, port: u16) -> Note {
    let connector = WebSocketConnector::new(&format!("ws://127.0.0.1:{port}")).expect("a URL");
    let hour = Duration::from_secs(3_600);
    let builder = Client::builder(user).expect("a user").file(file).expect("a file");
    let limits = BurstLimits { pause: hour, age: hour, ..BurstLimits::default() };
    let client = builder.bursts(limits).undo_grouping(hour, 100).start(connector);
    client.document("texts", "1").await.expect("open")
}

/// Types a word at the end, and waits until it is kept.
async fn type_word(note: &Note, word: &str) {
    for key in word.chars() {
        let end = note.state().len(Unit::Utf16);
        let typed = note.replace_text(end..end, key.encode_utf8(&mut [0; 4]), Unit::Utf16);
        typed.expect("within the text").kept().await.expect("a running client");
    }
}

async fn until(note: &mut Note, wanted: &str) {
    let shown = note.until(|text| text.to_string() == wanted);
    timeout(TIMEOUT, shown).await.expect("in time").expect("a state");
}

async fn kept(server: &RunningServer) -> Vec<String> {
    let query = LogQuery::kept_for(&Retention::forever("texts/1"));
    let page = server.handle().log_page(query).await.expect("a page");
    page.entries.iter().map(|entry| entry.action.as_json().to_owned()).collect()
}

/// A client that ends in the middle of a burst loses nothing, and sends it once.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_survives_a_restart_and_arrives_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, port) = (folder.path().join("ada.db"), free_port());
    // There is no server yet.
    let ada = open("ada", &file, port).await;
    type_word(&ada, "Tea").await;
    assert_eq!(ada.client().unconfirmed(), 1);
    ada.client().clone().close().await;
    let mut ada = open("ada", &file, port).await;
    assert_eq!(ada.state().to_string(), "Tea");
    type_word(&ada, " time").await;
    let server = server(port).await;
    let mut eve = open("eve", &folder.path().join("eve.db"), port).await;
    until(&mut eve, "Tea time").await;
    assert_eq!(kept(&server).await.len(), 2, "a connection ends a burst");

    // With a connection, the letters are sent at the end of the step.
    type_word(&ada, "!?").await;
    type_word(&eve, ".").await;
    eve.close_step().await.expect("a running client");
    ada.until(|text| text.to_string().contains('.')).await.expect("a state");
    assert_eq!(kept(&server).await.len(), 3);
    type_word(&ada, "!").await;
    ada.close_step().await.expect("a running client");
    let all = |text: &Text| text.len(Unit::Utf16) == "Tea time!?.!".len();
    let shown = timeout(TIMEOUT, eve.until(all)).await.expect("in time").expect("a state");
    assert_eq!(shown.to_string(), ada.state().to_string());
    let kept = kept(&server).await;
    assert_eq!(kept.len(), 4, "{kept:?}");

    // The step has all since the restart; what somebody else has typed stays.
    ada.undo().await.expect("a running client").expect("a step");
    until(&mut eve, "Tea.").await;
}
