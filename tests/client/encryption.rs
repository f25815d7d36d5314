//! Encrypted actions: their order, their confirmation, and what cannot be decrypted. The cipher of
//! these tests is a toy, because the machine leaves the cryptography to its driver.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use logux::{
    Action, ActionId, Entry, MemoryStore, Meta, NodeId, Now,
    client::{
        CipherError, CipherToken, Client, Config, DecryptRequest, EncryptRequest, EncryptedAction,
        EncryptionConfig, EncryptionError, Input, Output, PADDING_BYTES, UndoOutcome,
    },
    log::{Observer, ObserverRequest},
    store::Criteria,
    sync,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The time when the connections of tests are opened, in milliseconds.
const BASE: i64 = 1_700_000_000_000;

/// Keeps the actions of the type `keep` in the log, until an action has the field `forget`.
#[derive(Default)]
struct Keeping {
    has_to_forget: bool,
}

impl Observer for Keeping {
    fn preadd(&mut self, action: &Action, meta: &mut Meta) {
        if action.kind() == "keep" {
            meta.reasons.push("app".into());
        }
        self.has_to_forget |= action.field("forget").is_some();
    }

    fn next_request(&mut self) -> Option<ObserverRequest> {
        std::mem::take(&mut self.has_to_forget)
            .then(|| ObserverRequest::RemoveReason("app".into(), Criteria::default()))
    }
}

/// A device whose driver responds when the test says so.
struct Phone {
    client: Client<MemoryStore, Keeping>,
    ms: u64,
    /// The last `added` number of the server.
    added: u64,
    encrypt: VecDeque<EncryptRequest>,
    decrypt: VecDeque<DecryptRequest>,
    /// The actions that were sent, with their ids and the `added` number of their message.
    sent: Vec<(Value, String, u64)>,
    /// The messages that confirm received actions.
    synced: Vec<u64>,
    received: Vec<Entry>,
    failed: Vec<(ActionId, EncryptionError)>,
}

fn config() -> EncryptionConfig {
    let plain_types = BTreeSet::from(["plain".into()]);
    EncryptionConfig { plain_types, ..EncryptionConfig::default() }
}

impl Phone {
    fn new() -> Self {
        Self::start("10:phone:1", MemoryStore::new(), Some(config()))
    }

    fn start(node: &str, store: MemoryStore, encryption: Option<EncryptionConfig>) -> Self {
        let node = sync::Config::client(NodeId::new(node).unwrap());
        let config = Config { node: node.into(), token: None };
        let mut client = Client::with_observer(config, store, Keeping::default()).unwrap();
        if let Some(encryption) = encryption {
            client = client.with_encryption(encryption).unwrap();
        }
        let mut phone = Self {
            client,
            ms: 0,
            added: 0,
            encrypt: VecDeque::new(),
            decrypt: VecDeque::new(),
            sent: Vec::new(),
            synced: Vec::new(),
            received: Vec::new(),
            failed: Vec::new(),
        };
        phone.outputs();
        phone
    }

    fn restart(self, encryption: Option<EncryptionConfig>) -> Self {
        let (ms, added) = (self.ms, self.added);
        let phone = Self::start("10:phone:2", self.client.into_store(), encryption);
        Self { ms, added, ..phone }
    }

    fn now(&mut self) -> Now {
        self.ms += 1_000;
        Now::from_millis(BASE + i64::try_from(self.ms).unwrap(), self.ms)
    }

    fn handle(&mut self, input: Input<'_>) {
        let now = self.now();
        self.client.handle(now, input).unwrap();
        self.outputs();
    }

    fn outputs(&mut self) {
        let now = Now::from_millis(BASE + i64::try_from(self.ms).unwrap(), self.ms);
        while self.client.needs_commit() {
            self.client.commit(now).unwrap();
        }
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Encrypt(request) => self.encrypt.push_back(request),
                Output::Decrypt(request) => self.decrypt.push_back(request),
                Output::EncryptionFailed(id, error) => self.failed.push((id, error)),
                Output::Added(entry) => self.received.push(entry),
                Output::Send(frame) => self.frame(&frame),
                _ => {}
            }
        }
    }

    fn frame(&mut self, frame: &str) {
        let frame: Vec<Value> = serde_json::from_str(frame).unwrap();
        match frame[0].as_str().unwrap() {
            "sync" => {
                for pair in frame[2..].chunks(2) {
                    let (id, added) = (pair[1]["id"].to_string(), frame[1].as_u64().unwrap());
                    self.sent.push((pair[0].clone(), id, added));
                }
            }
            "synced" => self.synced.push(frame[1].as_u64().unwrap()),
            _ => {}
        }
    }

    fn connect(&mut self) {
        self.handle(Input::Closed);
        self.handle(Input::Opened);
        self.handle(Input::Frame(&format!(r#"["connected",5,"server:x",[{BASE},{BASE}]]"#)));
    }

    fn sync(&mut self, action: &Value) -> ActionId {
        let now = self.now();
        let id = self.client.sync(now, Action::try_from(action).unwrap()).unwrap();
        self.outputs();
        id
    }

    /// Receives actions of the user's laptop, in one message.
    fn receive(&mut self, actions: &[&Action]) -> Vec<ActionId> {
        self.receive_from("10:laptop:1", actions)
    }

    fn receive_from(&mut self, node: &str, actions: &[&Action]) -> Vec<ActionId> {
        let mut ids = Vec::new();
        let mut pairs = String::new();
        for action in actions {
            self.added += 1;
            let id = json!([self.added, node, 0]);
            let meta = json!({"id": id, "time": self.added});
            pairs.push_str(&format!(",{},{meta}", action.as_json()));
            let id = format!("{} {node} 0", BASE + i64::try_from(self.added).unwrap());
            ids.push(id.parse().unwrap());
        }
        self.handle(Input::Frame(&format!(r#"["sync",{}{pairs}]"#, self.added)));
        ids
    }

    /// Receives `logux/processed` for an own action.
    fn processed(&mut self, id: &ActionId) {
        let answer = json!({"type": "logux/processed", "id": id.to_string()});
        self.receive_from("server:x", &[&Action::try_from(answer).unwrap()]);
    }

    /// Responds to a request, and to it alone.
    fn encrypted(&mut self, request: &EncryptRequest) {
        self.handle(Input::Encrypted(request.token, Ok(&encrypt(request, KEY))));
    }

    fn decrypted(&mut self, request: &DecryptRequest) {
        match decrypt(&request.encrypted, KEY) {
            Ok(text) => self.handle(Input::Decrypted(request.token, Ok(&text))),
            Err(error) => self.handle(Input::Decrypted(request.token, Err(error))),
        }
    }

    /// Responds to all requests.
    fn respond(&mut self) {
        while let Some(request) = self.encrypt.pop_front() {
            self.encrypted(&request);
        }
        while let Some(request) = self.decrypt.pop_front() {
            self.decrypted(&request);
        }
    }

    /// Returns the actions that were sent since the last call, decrypted.
    fn take_sent(&mut self) -> Vec<Value> {
        let sent = std::mem::take(&mut self.sent);
        sent.into_iter().map(|(action, ..)| plain(&action)).collect()
    }

    fn take_received(&mut self) -> Vec<Value> {
        let received = std::mem::take(&mut self.received);
        received.iter().map(|entry| serde_json::from_str(entry.action.as_json()).unwrap()).collect()
    }
}

const KEY: u8 = 7;

fn seal(text: &[u8], key: u8) -> EncryptedAction {
    let data = text.iter().map(|byte| byte ^ key).chain([key]).collect();
    EncryptedAction { iv: [key; 12], data, is_compressed: false }
}

fn encrypt(request: &EncryptRequest, key: u8) -> EncryptedAction {
    seal(&request.plaintext(&[9; PADDING_BYTES]), key)
}

fn decrypt(encrypted: &EncryptedAction, key: u8) -> Result<Vec<u8>, CipherError> {
    match encrypted.data.split_last() {
        Some((tag, data)) if *tag == key => Ok(data.iter().map(|byte| byte ^ key).collect()),
        _ => Err(CipherError::Authentication),
    }
}

/// Returns an action as the laptop sends it.
fn from_laptop(action: &Value, key: u8) -> Action {
    seal(action.to_string().as_bytes(), key).to_action()
}

/// Returns an action that was sent, decrypted if it is encrypted.
fn plain(action: &Value) -> Value {
    if action["type"] != "0" {
        return action.clone();
    }
    let encrypted = EncryptedAction::from_action(&Action::try_from(action).unwrap()).unwrap();
    serde_json::from_slice(&decrypt(&encrypted, KEY).unwrap()).unwrap()
}

fn note(n: usize) -> Value {
    json!({"type": "keep", "n": n})
}

#[test]
fn own_actions_leave_the_device_encrypted() {
    let mut phone = Phone::new();
    phone.connect();
    let id = phone.sync(&note(1));
    phone.sync(&json!({"type": "plain"}));
    phone.sync(&json!({"type": "logux/subscribe", "channel": "a"}));
    let now = phone.now();
    let undo = phone.client.undo(now, &id, "mistake").unwrap();
    phone.outputs();
    assert!(matches!(undo, UndoOutcome::Added(_)));
    assert_eq!(phone.sent, [], "nothing overtakes the first action");
    phone.respond();
    let types: Vec<_> = phone.sent.iter().map(|(action, ..)| action["type"].clone()).collect();
    // The undo contains the undone action.
    assert_eq!(types, ["0", "plain", "logux/subscribe", "0"]);
    let sent = phone.take_sent();
    assert_eq!((&sent[0], &sent[3]["action"]), (&note(1), &note(1)));
    // The log of the device has the action itself.
    let kept = phone.client.log().by_id(&id).unwrap().unwrap();
    assert_eq!(kept.action.as_json(), note(1).to_string());
}

#[test]
fn actions_are_sent_in_their_order_and_once() {
    let mut phone = Phone::new();
    phone.connect();
    let ids: Vec<_> = (1..=4).map(|n| phone.sync(&note(n))).collect();
    let requests: Vec<_> = phone.encrypt.drain(..).collect();
    for request in requests[1..3].iter().rev() {
        phone.encrypted(request);
    }
    assert_eq!(phone.take_sent(), [] as [Value; 0]);
    phone.encrypted(&requests[0]);
    phone.encrypted(&requests[0]);
    let covered = phone.sent.last().unwrap().2;
    assert_eq!(phone.take_sent(), [note(1), note(2), note(3)]);
    // The server confirms what it has. The fourth action was not sent.
    phone.handle(Input::Frame(&format!(r#"["synced",{covered}]"#)));
    phone.handle(Input::Closed);
    phone.encrypted(&requests[3]);
    phone.connect();
    phone.respond();
    let sent_ids: Vec<_> = phone.sent.iter().map(|(_, id, _)| id.clone()).collect();
    assert_eq!(phone.take_sent(), [note(4)]);
    let ms = ids[3].time().as_millis() - BASE;
    assert_eq!(sent_ids, [json!(ms).to_string()], "the same id");
}

#[test]
fn what_was_done_offline_is_requested_in_bounded_numbers() {
    let mut phone = Phone::new();
    (0..500).for_each(|n| drop(phone.sync(&note(n))));
    assert_eq!(phone.encrypt.len(), 0, "nothing is encrypted without a connection");
    phone.connect();
    assert_eq!(phone.encrypt.len(), 64);
    phone.respond();
    assert_eq!(phone.take_sent(), (0..500).map(note).collect::<Vec<_>>());
}

#[test]
fn received_actions_are_confirmed_when_they_are_decrypted() {
    let mut phone = Phone::new();
    phone.connect();
    let plain = Action::try_from(json!({"type": "plain"})).unwrap();
    let (first, second) = (from_laptop(&note(1), KEY), from_laptop(&note(2), KEY));
    let ids = phone.receive(&[&first, &plain, &second]);
    phone.receive(&[&plain]);
    assert_eq!((phone.received.len(), phone.synced.len()), (0, 0));
    let requests: Vec<_> = phone.decrypt.drain(..).collect();
    phone.decrypted(&requests[1]);
    assert_eq!((phone.received.len(), phone.synced.len()), (0, 0));
    // The connection is lost, and the response comes later.
    phone.connect();
    phone.decrypted(&requests[0]);
    assert_eq!(phone.received.len(), 0);
    phone.added = 0;
    assert_eq!(phone.receive(&[&first, &plain, &second]), ids);
    phone.respond();
    assert_eq!(phone.take_received(), [note(1), json!({"type": "plain"}), note(2)]);
    assert_eq!(phone.synced, [3]);
    assert_eq!(phone.client.log().synced().unwrap().received, 3);
    // The confirmation was lost. What is known is not decrypted again.
    phone.added = 0;
    phone.receive(&[&first]);
    assert_eq!((phone.decrypt.len(), phone.received.len()), (0, 0));
}

#[test]
fn what_cannot_be_decrypted_is_reported_and_stops_nothing() {
    let small = EncryptionConfig { max_action_bytes: 100, ..config() };
    let mut phone = Phone::start("10:phone:1", MemoryStore::new(), Some(small));
    phone.connect();
    let action = |json: Value| Action::try_from(json).unwrap();
    let iv = "AAAAAAAAAAAAAAAA";
    let ids = phone.receive(&[
        &action(json!({"type": "0"})),
        &action(json!({"type": "0", "iv": iv, "d": "*", "z": true})),
        &action(json!({"type": "0", "iv": "AAAA", "d": "AAAA", "z": true})),
        &action(json!({"type": "0", "iv": iv, "d": "AAAA", "z": "yes"})),
        &from_laptop(&note(1), KEY + 1),
        &from_laptop(&json!("not an action"), KEY),
        &from_laptop(&json!({"type": "keep", "text": "a".repeat(100)}), KEY),
        &from_laptop(&note(2), KEY),
    ]);
    phone.respond();
    assert_eq!(phone.take_received(), [note(2)]);
    assert_eq!(phone.synced, [8]);
    let errors: BTreeMap<_, _> = phone.failed.into_iter().collect();
    assert_eq!(ids[..7], errors.keys().cloned().collect::<Vec<_>>());
    let errors: Vec<_> = errors.into_values().collect();
    assert_eq!(
        errors[..5],
        [
            EncryptionError::Malformed("iv"),
            EncryptionError::Malformed("d"),
            EncryptionError::Malformed("iv"),
            EncryptionError::Malformed("z"),
            EncryptionError::Decrypt(CipherError::Authentication),
        ]
    );
    assert!(matches!(errors[5], EncryptionError::NotAnAction(_)));
    assert_eq!(errors[6], EncryptionError::Decrypt(CipherError::TooLarge(100)));
}

/// A user mistypes the secret, and corrects it later.
#[test]
fn a_later_start_decrypts_what_an_earlier_one_could_not() {
    let mut phone = Phone::new();
    phone.connect();
    let ids = phone.receive(&[&from_laptop(&note(1), KEY + 1), &from_laptop(&note(2), KEY)]);
    phone.respond();
    assert_eq!(phone.take_received(), [note(2)]);

    let mut phone = phone.restart(Some(config()));
    let request = phone.decrypt.pop_front().unwrap();
    assert_eq!(phone.decrypt.len(), 0);
    // The connection opens before the response.
    phone.connect();
    phone.decrypt.clear();
    phone.receive(&[&from_laptop(&note(3), KEY)]);
    let text = decrypt(&request.encrypted, KEY + 1).unwrap();
    phone.handle(Input::Decrypted(request.token, Ok(&text)));
    assert_eq!(phone.received.len(), 0, "the request of the closed connection");
    for request in std::mem::take(&mut phone.decrypt) {
        let key = if request.id == ids[0] { KEY + 1 } else { KEY };
        let text = decrypt(&request.encrypted, key).unwrap();
        phone.handle(Input::Decrypted(request.token, Ok(&text)));
    }
    assert_eq!(phone.take_received(), [note(1), note(3)]);
    let kept = phone.client.log().by_id(&ids[0]).unwrap().unwrap();
    assert_eq!(kept.meta.reasons[..], ["app".into()]);
    assert_eq!(phone.restart(Some(config())).decrypt.len(), 0);
}

#[test]
fn what_cannot_be_decrypted_is_kept_in_bounded_numbers() {
    let mut phone = Phone::new();
    phone.connect();
    for _ in 0..11 {
        let wrong = from_laptop(&note(1), KEY + 1);
        phone.receive(&[&wrong; 100]);
        phone.respond();
    }
    assert_eq!((phone.failed.len(), phone.synced.last()), (1_100, Some(&1_100)));
    let mut phone = phone.restart(Some(config()));
    phone.respond();
    assert_eq!(phone.failed.len(), 1_000, "each start reports what is still not decrypted");
}

#[test]
fn an_action_that_was_not_encrypted_is_sent_at_the_next_connection() {
    let mut phone = Phone::new();
    phone.connect();
    let id = phone.sync(&note(1));
    phone.sync(&note(2));
    let request = phone.encrypt.pop_front().unwrap();
    phone.handle(Input::Encrypted(request.token, Err(CipherError::Unavailable)));
    phone.respond();
    let error = EncryptionError::Encrypt(CipherError::Unavailable);
    assert_eq!(phone.failed, [(id, error)]);
    assert_eq!(phone.take_sent(), [] as [Value; 0]);
    phone.connect();
    phone.respond();
    assert_eq!(phone.take_sent(), [note(1), note(2)]);
}

#[test]
fn a_start_without_the_secret_does_not_send_what_was_to_be_encrypted() {
    let mut phone = Phone::new();
    let id = phone.sync(&note(1));
    let mut phone = phone.restart(None);
    phone.connect();
    phone.sync(&json!({"type": "plain"}));
    assert_eq!(phone.take_sent(), [] as [Value; 0]);
    assert_eq!(phone.failed, [(id, EncryptionError::NotConfigured)]);
    let mut phone = phone.restart(Some(config()));
    phone.connect();
    phone.respond();
    assert_eq!(phone.take_sent(), [note(1), json!({"type": "plain"})]);
}

#[test]
fn the_server_forgets_what_the_log_forgets() {
    let mut phone = Phone::new();
    // It is never sent, so there is nothing to clean.
    let dropped = phone.sync(&json!({"type": "say"}));
    let now = phone.now();
    let outcome = phone.client.undo(now, &dropped, "mistake").unwrap();
    assert!(matches!(outcome, UndoOutcome::Dropped(_)));
    phone.connect();
    assert_eq!(phone.take_sent(), [] as [Value; 0]);
    let said = phone.sync(&json!({"type": "say"}));
    let kept = phone.sync(&note(1));
    let plain = phone.sync(&json!({"type": "plain"}));
    phone.respond();
    phone.take_sent();
    [&kept, &plain].into_iter().for_each(|id| phone.processed(id));
    assert_eq!(phone.take_sent(), [] as [Value; 0]);
    phone.processed(&said);
    let clean = |id: &ActionId| json!({"type": "0/clean", "id": id.to_string()});
    assert_eq!(phone.take_sent(), [clean(&said)]);
    // An action of an earlier start is forgotten, too.
    let mut phone = phone.restart(Some(config()));
    phone.connect();
    phone.take_sent();
    phone.sync(&json!({"type": "plain", "forget": true}));
    assert_eq!(phone.take_sent()[1..], [clean(&kept)]);
    assert!(phone.client.log().by_id(&kept).unwrap().is_none());
}

#[test]
fn documents_of_the_server_are_not_encrypted() {
    let mut phone = Phone::new();
    phone.connect();
    let edit = json!({"type": "notes/edit", "id": "7", "ops": []});
    phone.sync(&edit);
    phone.respond();
    assert_eq!(phone.take_sent(), std::slice::from_ref(&edit), "a document among devices");
    let subscribe = phone.sync(&json!({"type": "logux/subscribe", "channel": "notes/7"}));
    for is_confirmed in [false, true] {
        if is_confirmed {
            phone.processed(&subscribe);
        }
        phone.take_sent();
        let undo = json!({"type": "logux/undo", "id": "1 20:a:b 0", "action": edit});
        let change = json!({"type": "notes/change", "id": "7", "fields": {}});
        for action in [&edit, &undo, &change] {
            let id = phone.sync(action);
            let (failed, error) = phone.failed.pop().unwrap();
            assert_eq!(failed, id);
            assert!(matches!(&error, EncryptionError::ServerDocument(key) if &**key.id() == "7"));
            assert!(error.to_string().contains("notes/7"), "{error}");
            assert!(phone.client.log().by_id(&id).unwrap().is_none());
        }
        phone.sync(&json!({"type": "notes/edit", "id": "8", "ops": []}));
        phone.respond();
        phone.sync(&json!({"type": "notes/say", "id": "7"}));
        phone.respond();
        assert_eq!((phone.take_sent().len(), phone.failed.len()), (2, 0));
    }
    // A filter of records.
    phone.sync(&json!({"type": "logux/subscribe", "channel": "notes", "filter": {}}));
    let id = phone.sync(&json!({"type": "notes/create", "id": "8", "fields": {}}));
    assert_eq!(phone.failed.pop().map(|(id, _)| id), Some(id));
}

/// A step of a conversation.
#[derive(Clone, Copy, Debug)]
enum Step {
    Sync { is_plain: bool },
    Respond(usize),
    Fail(usize),
    Reconnect,
    Disconnect,
    Confirm,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(|is_plain| Step::Sync { is_plain }),
        6 => any::<usize>().prop_map(Step::Respond),
        1 => any::<usize>().prop_map(Step::Fail),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Disconnect),
        2 => Just(Step::Confirm),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the driver answers, in whatever order, and however often the connection is lost:
    /// the server receives each action, in their order, under the id that `sync` has returned.
    #[test]
    fn the_server_receives_each_action_in_order(steps in prop::collection::vec(step(), 0..60)) {
        let mut phone = Phone::new();
        let mut pending: Vec<(CipherToken, EncryptedAction)> = Vec::new();
        let mut server: Vec<usize> = Vec::new();
        let mut number = 0;
        let mut confirmed = 0;
        for step in steps.into_iter().chain([Step::Reconnect]) {
            match step {
                Step::Sync { is_plain } => {
                    let kind = if is_plain { "plain" } else { "keep" };
                    phone.sync(&json!({"type": kind, "n": number}));
                    number += 1;
                }
                Step::Respond(n) if !pending.is_empty() => {
                    let (token, encrypted) = pending.swap_remove(n % pending.len());
                    phone.handle(Input::Encrypted(token, Ok(&encrypted)));
                }
                Step::Fail(n) if !pending.is_empty() => {
                    let (token, _) = pending.swap_remove(n % pending.len());
                    phone.handle(Input::Encrypted(token, Err(CipherError::Unavailable)));
                }
                Step::Reconnect => phone.connect(),
                Step::Disconnect => phone.handle(Input::Closed),
                Step::Confirm => phone.handle(Input::Frame(&format!(r#"["synced",{confirmed}]"#))),
                Step::Crash => {
                    phone = phone.restart(Some(config()));
                    pending.clear();
                }
                Step::Respond(_) | Step::Fail(_) => {}
            }
            let requests = phone.encrypt.drain(..);
            pending.extend(requests.map(|request| (request.token, encrypt(&request, KEY))));
            receive_at_server(&mut phone, &mut server, &mut confirmed);
        }
        for (token, encrypted) in pending {
            phone.handle(Input::Encrypted(token, Ok(&encrypted)));
        }
        phone.respond();
        receive_at_server(&mut phone, &mut server, &mut confirmed);
        prop_assert_eq!(server, (0..number).collect::<Vec<_>>());
    }
}

/// Lets the server receive what was sent. It ignores what it has.
fn receive_at_server(phone: &mut Phone, server: &mut Vec<usize>, confirmed: &mut u64) {
    *confirmed = phone.sent.last().map_or(*confirmed, |(.., added)| *added);
    for action in phone.take_sent() {
        let n = usize::try_from(action["n"].as_u64().unwrap()).unwrap();
        if !server.contains(&n) {
            server.push(n);
        }
    }
}
