//! What a client says about its open documents, and what it keeps of refused edits.

use logux::{
    Action, ActionId, MemoryStore,
    action::{AccessList, DocumentOperation},
    client::{DocumentEvent, DocumentStatus, MAX_REFUSED_EDITS, Output, Subscription, UndoOutcome},
    replay::TimelineSet,
};
use serde_json::{Value, json};

use crate::device::{self, Desk, Device, notes, processed, refusal, set};

const NOTE: &str = "notes/1";

fn desk(node: &str, store: MemoryStore) -> Desk {
    let mut desk = device::desk(node, store);
    desk.client.track_document(notes().key()).unwrap();
    desk
}

fn create() -> Action {
    notes().create_action(&[]).unwrap()
}

fn delete() -> Action {
    notes().key().delete_action().unwrap()
}

fn access(operations: &[&str]) -> Value {
    json!({"type": "notes/access", "id": "1", "operations": operations})
}

fn subscribe() -> Value {
    json!({"type": "logux/subscribe", "channel": NOTE})
}

trait Documents: Sized {
    /// Connects, and returns the id of the subscription.
    fn connected() -> (Self, ActionId);
    /// Connects and is subscribed.
    fn subscribed() -> Self;
    fn subscribe(&mut self) -> ActionId;
    fn status(&self) -> DocumentStatus;
    fn refusal(&self) -> Option<&'static str>;
    fn restart(self) -> Self;
    /// Returns the id of the latest own action in the log.
    fn last_own(&self) -> ActionId;
    /// Receives an action of the server, and returns the changes that the client tells, and the
    /// actions that it sends.
    fn told(&mut self, action: &Value) -> (Vec<DocumentEvent>, Vec<Value>);
    /// Returns the ids, the actions and the reasons of the refused edits.
    fn refused(&self) -> Vec<(ActionId, Action, String)>;
}

impl Documents for Desk {
    fn connected() -> (Self, ActionId) {
        let mut desk = desk("10:phone:1", MemoryStore::new());
        let id = desk.subscribe();
        desk.connect();
        (desk, id)
    }

    fn subscribed() -> Self {
        let (mut desk, id) = Self::connected();
        desk.receive(1, "server:x", &processed(&id));
        desk
    }

    fn subscribe(&mut self) -> ActionId {
        let now = self.now();
        let id = self.client.subscribe_kept(now, &Subscription::to(NOTE)).unwrap().unwrap();
        self.commit(now);
        id
    }

    fn status(&self) -> DocumentStatus {
        self.client.document_status(NOTE).unwrap()
    }

    fn refusal(&self) -> Option<&'static str> {
        self.client.edit_refusal(NOTE)
    }

    fn restart(self) -> Self {
        let counters = self.counters();
        let mut new = desk("10:phone:2", self.client.into_store());
        new.set_counters(counters);
        new
    }

    fn last_own(&self) -> ActionId {
        let own = self.ids().into_iter().filter(|id| id.node().client_id() == "10:phone");
        own.max().unwrap()
    }

    fn told(&mut self, action: &Value) -> (Vec<DocumentEvent>, Vec<Value>) {
        let (mut events, mut sent) = (Vec::new(), Vec::new());
        let number = i64::try_from(self.counters().1).unwrap();
        for output in self.outputs(7_000 + number, "server:x", action) {
            match output {
                Output::Document(channel, event) => {
                    assert_eq!(&*channel, NOTE);
                    events.push(event);
                }
                Output::Send(frame) => {
                    let frame: Vec<Value> = serde_json::from_str(&frame).unwrap();
                    if frame[0] == "sync" {
                        sent.extend(frame.into_iter().skip(2).step_by(2));
                    }
                }
                _ => {}
            }
        }
        (events, sent)
    }

    fn refused(&self) -> Vec<(ActionId, Action, String)> {
        let edits = self.client.refused_edits(NOTE).unwrap();
        edits.into_iter().map(|edit| (edit.id, edit.action, edit.reason)).collect()
    }
}

#[test]
fn the_status_is_what_the_server_has_answered() {
    for (reason, status, refusal_of_edits) in [
        ("notFound", DocumentStatus::Missing, Some("notFound")),
        ("deleted", DocumentStatus::Deleted, Some("deleted")),
        ("denied", DocumentStatus::Forbidden, Some("denied")),
        ("revoked", DocumentStatus::Forbidden, Some("denied")),
        ("error", DocumentStatus::Closed("error".into()), None),
    ] {
        let (mut desk, id) = Desk::connected();
        assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Loading, None));
        let told = desk.told(&refusal(&id, reason));
        assert_eq!(told, (vec![DocumentEvent::Status], vec![]), "{reason}");
        assert_eq!((desk.status(), desk.refusal()), (status.clone(), refusal_of_edits), "{reason}");
        // Without a connection, the server may have changed its mind.
        desk.disconnect();
        assert_eq!((desk.status(), desk.refusal()), (status, None), "{reason}");
    }
    let (mut desk, id) = Desk::connected();
    assert_eq!(desk.told(&processed(&id)), (vec![DocumentEvent::Status], vec![]));
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Ready, None));
    desk.disconnect();
    assert_eq!(desk.status(), DocumentStatus::Ready);
}

#[test]
fn rights_act_at_once() {
    use DocumentOperation::{Comment, Delete, Edit, Read};
    let (mut desk, id) = Desk::connected();
    assert_eq!(desk.told(&access(&["read", "edit", "fly"])).0, [DocumentEvent::Status]);
    assert_eq!(desk.status(), DocumentStatus::Loading);
    desk.told(&processed(&id));
    let allowed =
        |operations: &[DocumentOperation]| Some(operations.iter().copied().collect::<AccessList>());
    assert_eq!(desk.client.document_access(NOTE), allowed(&[Read, Edit]));
    assert!(desk.status() == DocumentStatus::Ready);
    assert!(!desk.status().allows(Delete, desk.client.document_access(NOTE)));

    assert_eq!(desk.told(&access(&["read"])).0, [DocumentEvent::Status]);
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::ReadOnly, Some("denied")));
    assert_eq!(desk.told(&access(&["read"])).0, [], "nothing has changed");
    // Only the server knows which edits are comments.
    desk.told(&access(&["read", "comment"]));
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::ReadOnly, None));
    assert!(desk.status().allows(Comment, desk.client.document_access(NOTE)));
    desk.told(&access(&[]));
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Forbidden, Some("denied")));
    // Another document, and another sender.
    desk.told(&json!({"type": "notes/access", "id": "2", "operations": ["read", "edit"]}));
    desk.receive(1, "20:phone:1", &access(&["read", "edit"]));
    assert_eq!(desk.status(), DocumentStatus::Forbidden);
}

/// What was said in an earlier connection is shown until the server has answered again.
#[test]
fn rights_are_of_a_connection() {
    let mut desk = Desk::subscribed();
    desk.told(&access(&["read"]));
    desk.connect();
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::ReadOnly, None));
    // This server tells no rights.
    let again = desk.last_own();
    desk.told(&processed(&again));
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Ready, None));
}

#[test]
fn a_created_document_is_requested_again_once() {
    let (mut desk, id) = Desk::connected();
    desk.told(&refusal(&id, "notFound"));
    let created = desk.sync(create());
    // It will be requested again.
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Loading, None));
    let told = desk.told(&processed(&created));
    assert_eq!(told, (vec![], vec![subscribe()]));
    // A server that does not know it nevertheless is not asked forever.
    let again = desk.last_own();
    assert_eq!(desk.told(&refusal(&again, "notFound")), (vec![DocumentEvent::Status], vec![]));
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Missing, Some("notFound")));
    // Another creation asks again.
    let created = desk.sync(create());
    assert_eq!(desk.told(&processed(&created)).1, [subscribe()]);
    let again = desk.last_own();
    assert_eq!(desk.told(&processed(&again)).0, [DocumentEvent::Status]);
    assert_eq!(desk.status(), DocumentStatus::Ready);
}

/// The answers arrive in another order, or the document was created without a connection.
#[test]
fn a_document_may_be_created_before_the_answer_to_the_subscription() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    let asked = desk.subscribe();
    let created = desk.sync(create());
    assert_eq!(desk.status(), DocumentStatus::Loading);
    desk.connect();
    assert_eq!(desk.told(&refusal(&asked, "notFound")), (vec![], vec![]));
    assert_eq!(desk.told(&processed(&created)), (vec![], vec![subscribe()]));

    let (mut desk, asked) = Desk::connected();
    let created = desk.sync(create());
    assert_eq!(desk.told(&processed(&created)), (vec![], vec![]));
    assert_eq!(desk.told(&refusal(&asked, "notFound")), (vec![], vec![subscribe()]));
    assert_eq!(desk.status(), DocumentStatus::Loading);
}

#[test]
fn a_refused_creation_leaves_the_document_missing() {
    let (mut desk, asked) = Desk::connected();
    desk.told(&refusal(&asked, "notFound"));
    let created = desk.sync(create());
    let (events, sent) = desk.told(&refusal(&created, "denied"));
    assert_eq!(events, [DocumentEvent::Refused, DocumentEvent::Status]);
    assert_eq!((sent, desk.status()), (vec![], DocumentStatus::Missing));
    // One that was not sent is dropped.
    desk.disconnect();
    let created = desk.sync(create());
    assert_eq!(desk.status(), DocumentStatus::Loading);
    assert!(matches!(desk.undo(&created), UndoOutcome::Dropped(_)));
    assert_eq!(desk.status(), DocumentStatus::Missing);
}

#[test]
fn a_deletion_has_its_effect_at_once() {
    let mut desk = Desk::subscribed();
    let deleted = desk.sync(delete());
    // Until the answer, an edit may have an effect.
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Deleted, None));
    desk.told(&refusal(&deleted, "denied"));
    assert_eq!(desk.status(), DocumentStatus::Ready);
    assert_eq!(desk.refused(), [], "the status says it");

    let deleted = desk.sync(delete());
    desk.told(&processed(&deleted));
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Deleted, Some("deleted")));
    // The user takes it back.
    let created = desk.sync(create());
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Ready, None));
    assert!(desk.told(&processed(&created)).1.is_empty(), "it is still subscribed");
    assert_eq!(desk.status(), DocumentStatus::Ready);
}

#[test]
fn a_deletion_without_an_answer_survives_a_restart() {
    let mut desk = desk("10:phone:1", MemoryStore::new());
    desk.sync(set("title", "Tea"));
    let deleted = desk.sync(delete());
    let mut desk = desk.restart();
    assert_eq!(desk.status(), DocumentStatus::Deleted);
    desk.connect();
    let asked = desk.subscribe();
    desk.told(&processed(&asked));
    assert_eq!(desk.status(), DocumentStatus::Deleted);
    desk.told(&refusal(&deleted, "denied"));
    assert_eq!(desk.status(), DocumentStatus::Ready);
}

#[test]
fn others_delete_a_document_and_take_it_back() {
    let mut desk = Desk::subscribed();
    let delete = json!({"type": "notes/delete", "id": "1"});
    let create = json!({"type": "notes/create", "id": "1", "ops": []});
    desk.receive(2_000, "20:phone:1", &delete);
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Deleted, Some("deleted")));
    // A creation before the deletion says nothing.
    desk.receive(1_000, "20:phone:1", &create);
    assert_eq!(desk.status(), DocumentStatus::Deleted);
    desk.receive(3_000, "20:phone:1", &create);
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Ready, None));

    // The server ends the subscription of a deleted document, or not.
    desk.receive(4_000, "20:phone:1", &delete);
    desk.connect();
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Deleted, None));
    let again = desk.last_own();
    desk.told(&processed(&again));
    assert_eq!(desk.status(), DocumentStatus::Ready, "it was taken back meanwhile");
}

#[test]
fn refused_edits_are_kept_until_the_application_takes_them() {
    let mut desk = Desk::subscribed();
    desk.disconnect();
    let (tea, milk) = (set("title", "Tea"), set("title", "Milk"));
    let ids = [desk.sync(tea.clone()), desk.sync(milk.clone())];
    // The answers arrive after a restart, and before the document is open.
    let counters = desk.counters();
    let mut desk = Device::observed("10:phone:2", desk.client.into_store(), TimelineSet::default());
    desk.set_counters(counters);
    desk.connect();
    let undo =
        json!({"type": "logux/undo", "id": ids[0].to_string(), "reason": "denied", "row": 7});
    assert_eq!(desk.told(&undo).0, [DocumentEvent::Refused]);
    desk.told(&refusal(&ids[1], "tooOld"));
    desk.told(&refusal(&ids[1], "tooOld"));
    let expected =
        [(ids[0].clone(), tea, "denied".into()), (ids[1].clone(), milk, "tooOld".into())];
    assert_eq!(desk.refused(), expected);

    let mut desk = desk.restart();
    assert_eq!(desk.refused(), expected);
    let edits = desk.client.refused_edits(NOTE).unwrap();
    assert_eq!(edits[0].extra, [("row".into(), logux::Json::from_value(&7).unwrap())]);
    assert_eq!(edits[0].made_at(), ids[0].time());
    desk.client.forget_refused(NOTE, Some(&ids[0])).unwrap();
    assert_eq!(desk.refused(), expected[1..]);
    desk.client.forget_refused(NOTE, None).unwrap();
    assert_eq!(desk.restart().refused(), []);
}

#[test]
fn the_oldest_refused_edits_are_dropped() {
    let mut desk = Desk::subscribed();
    let refuse = |desk: &mut Desk, value: &str| {
        let id = desk.sync(set("title", value));
        desk.told(&refusal(&id, "denied"));
        id
    };
    let ids: Vec<_> = (0..=MAX_REFUSED_EDITS).map(|_| refuse(&mut desk, "Tea")).collect();
    let kept = |desk: &Desk| desk.refused().into_iter().map(|(id, ..)| id).collect::<Vec<_>>();
    assert_eq!(kept(&desk), ids[1..]);
    // Also after a restart, and by size.
    let mut desk = desk.restart();
    desk.connect();
    let large = [600_000, 300_000, 600_000].map(|bytes| refuse(&mut desk, &"x".repeat(bytes)));
    assert_eq!(kept(&desk), large[1..]);
    let huge = refuse(&mut desk, &"x".repeat(2_000_000));
    assert_eq!(kept(&desk), [huge]);
}

/// The first part of its name is the name of another document.
#[test]
fn documents_with_similar_names_are_told_apart() {
    let mut desk = Desk::subscribed();
    let other = Action::new(r#"{"type":"notes/edit","id":"1 5","ops":[]}"#).unwrap();
    let id = desk.sync(other);
    desk.outputs(7_000, "server:x", &refusal(&id, "denied"));
    assert_eq!(desk.refused(), []);
    assert_eq!(desk.client.refused_edits("notes/1 5").unwrap().len(), 1);
    // An edit of records is none of a document.
    for json in [r#"{"type":"tasks/create","id":"1","fields":{}}"#, r#"{"type":"x"}"#] {
        let id = desk.sync(Action::new(json).unwrap());
        assert_eq!(desk.told(&refusal(&id, "denied")).0, []);
    }
}

#[test]
fn another_user_knows_nothing_of_the_documents() {
    let mut desk = Desk::subscribed();
    let refused = desk.sync(set("title", "Tea"));
    desk.told(&refusal(&refused, "denied"));
    desk.told(&access(&["read"]));
    desk.sync(delete());
    assert_eq!(desk.status(), DocumentStatus::Deleted);
    let (now, other) = (desk.now(), logux::NodeId::new("20:phone:1").unwrap());
    desk.client.change_user(now, &other, None).unwrap();
    desk.commit(now);
    let outputs = std::iter::from_fn(|| desk.client.poll_output());
    let changes = outputs.filter(|output| matches!(output, Output::Document(..)));
    assert_eq!(changes.count(), 1);
    assert_eq!((desk.status(), desk.refusal()), (DocumentStatus::Loading, None));
    assert_eq!((desk.refused(), desk.client.document_access(NOTE)), (vec![], None));
    let asked = desk.subscribe();
    desk.connect();
    desk.told(&processed(&asked));
    assert_eq!(desk.status(), DocumentStatus::Ready);
}

#[test]
fn a_document_that_is_not_tracked_has_no_status() {
    let mut desk = Desk::subscribed();
    desk.client.untrack_document(NOTE);
    desk.told(&access(&["read"]));
    desk.sync(delete());
    assert_eq!((desk.client.document_status(NOTE), desk.refusal()), (None, None));
    // One that is subscribed already has its status at once.
    desk.client.track_document(notes().key()).unwrap();
    assert_eq!(desk.status(), DocumentStatus::Ready);
}
