//! Which received actions are answers to own actions, and what the application learns from them.

use core::time::Duration;

use logux::{
    Action, ActionId, MemoryStore, Meta,
    action::Stamp,
    replay::{Malformed, Obsolete, Reducer, TimelineConfig},
};
use serde_json::json;

use crate::device::{Answer, Device, Replica, id_at, json_of, processed, refusal, set};

/// The reasons of an action in the log.
fn reasons(device: &Device, id: &ActionId) -> Vec<String> {
    device.log().into_iter().find(|(own, _)| own == id).map(|(_, reasons)| reasons).unwrap()
}

/// A moderator, another device of the user and another tab of the device undo an action that the
/// server has not answered, or has processed.
#[test]
fn an_undo_by_another_client_is_not_an_answer() {
    for node in ["20:tablet:1", "10:tablet:1", "10:phone:2", "10"] {
        let mut device = Device::new();
        device.connect();
        let id = device.sync(set("a", "1"));
        let undo = json!({"type": "logux/undo", "id": id.to_string(), "reason": "moderated"});
        assert_eq!(device.receive(2_000, node, &undo), [], "{node}");
        assert_eq!(device.json(), json!({}), "the undo has an effect");
        assert!(reasons(&device, &id).contains(&"syncing".to_owned()), "{node}");
        // The server has not confirmed the action, so it is sent again.
        assert_eq!(device.connect(), [json_of(&set("a", "1"))]);
        let answers = device.receive(2_001, "server:x", &processed(&id));
        assert_eq!(answers, [Answer::Processed(id.clone())], "{node}");
        assert_eq!(device.json(), json!({}));
        assert!(!reasons(&device, &id).contains(&"syncing".to_owned()));
        assert_eq!(device.receive(2_002, node, &undo), [], "{node}");
    }
}

/// As an answer of the server, a client's `logux/processed` would be forged.
#[test]
fn only_servers_confirm_actions() {
    let mut device = Device::new();
    device.connect();
    let id = device.sync(set("a", "1"));
    assert_eq!(device.receive(2_000, "20:tablet:1", &processed(&id)), []);
    assert_eq!(device.receive(2_001, "server:x", &processed(&id)), [Answer::Processed(id)]);
}

/// An edit of a device that was away for too long is handed back with its content, whether the
/// answer has it, or only its type, or nothing, and whether the document was settled before.
#[test]
fn an_edit_that_is_too_old_is_handed_back() {
    let edit = set("a", "a draft");
    for undone in [Some(json_of(&edit)), Some(json!({"type": "notes/edit"})), None] {
        for is_settled in [false, true] {
            let (mut device, mut server) = (Device::new(), Replica::new("server:x"));
            let draft = device.sync(edit.clone());
            device.connect();
            if is_settled {
                let snapshot = server.fold(10_000_000, Duration::from_secs(1));
                device.receive(10_000_000, "server:x", &snapshot);
                assert_eq!(device.json(), json!({}), "the edit has no effect any more");
            }
            let mut answer = refusal(&draft, "tooOld");
            if let Some(undone) = &undone {
                answer["action"] = undone.clone();
            }
            let answers = device.receive(10_000_001, "server:x", &answer);
            let [Answer::Undone(id, undo)] = &*answers else { panic!("{answers:?}") };
            assert_eq!((id, &*undo.reason), (&draft, "tooOld"));
            assert_eq!(undo.action.as_ref(), Some(&edit));
            assert_eq!(device.json(), server.json());

            // The application offers it again, as a new action.
            device.advance(20_000_000);
            let again = device.sync(undo.action.clone().unwrap());
            assert_eq!(device.json(), json!({"a": "a draft"}));
            assert_eq!(device.connect(), [json_of(&edit)]);
            assert_ne!(again, draft);
        }
    }
}

/// Keeps the last letter, and forgets the letters before one that cannot be undone any more.
#[derive(Clone, Debug)]
struct LastLetter;

impl Reducer for LastLetter {
    type State = String;
    type Action = String;

    fn initial(&self) -> String {
        String::new()
    }

    fn read(&self, action: &Action) -> Result<Option<String>, Malformed> {
        Ok(action.str_field("letter").map(Into::into))
    }

    fn apply(&self, state: &mut String, action: &String, _: &Stamp) {
        state.clone_from(action);
    }

    fn preadd(&self, _: &String, meta: &mut Meta) {
        meta.reasons.push("letters".into());
    }

    fn obsolete(
        &self,
        _: &String,
        _: &String,
        stamp: &Stamp,
        _: &dyn Fn(&Stamp) -> bool,
        report: &mut dyn FnMut(Obsolete),
    ) {
        report(Obsolete::Before("letters".into(), stamp.clone()));
    }
}

/// The value before an own action stays in the log until the server has answered, also if others
/// undo and redo the action meanwhile.
#[test]
fn an_undo_by_another_client_does_not_settle_an_action() {
    let config =
        || TimelineConfig { history: Some(2), clean_every: 1, ..TimelineConfig::default() };
    let start = |node, store| Device::start(node, store, config(), LastLetter);
    let mut device = start("10:phone:1", MemoryStore::new());
    device.connect();
    device.receive(10, "server:x", &json!({"type": "letter", "letter": "a"}));
    let id = device.sync(Action::new(r#"{"type":"letter","letter":"b"}"#).unwrap());
    let undo = |id: &ActionId| json!({"type": "logux/undo", "id": id.to_string()});
    device.receive(10_000, "20:tablet:1", &undo(&id));
    device.receive(10_001, "20:tablet:1", &undo(&id_at(10_000, "20:tablet:1")));
    assert_eq!(device.client.log().state(), "b");
    device.receive(10_002, "server:x", &refusal(&id, "denied"));
    assert_eq!(device.client.log().state(), "a");
    let device = start("10:phone:2", device.client.into_store());
    assert_eq!(device.client.log().state(), "a", "after a restart");
}
