//! When a client connects, and what it shows about it.

use logux::{
    Action, Json, MemoryStore, NodeId,
    client::{
        Backoff, Client, Config, DeadlineKind, DeviceEvent, Input, Output, Status, StopReason,
    },
    sync::{self, Disconnect, State},
};

use crate::device::{Device, processed, refusal, set};

type Desk = Device<()>;

fn desk() -> Desk {
    Device::observed("10:phone:1", MemoryStore::new(), ())
}

fn client() -> Client<MemoryStore> {
    let node = sync::Config::client(NodeId::new("10:phone:1").unwrap());
    Client::new(Config { node: node.into(), token: None }, MemoryStore::new()).unwrap()
}

/// What a client tells its driver about the connection.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Connect,
    Disconnect,
    Stopped(StopReason),
    Status(Status),
}

trait Connection {
    fn told(&mut self) -> Vec<Told>;
    fn resume(&mut self) -> Vec<Told>;
    fn pause(&mut self) -> Vec<Told>;
    fn pass(&mut self, input: Input<'_>) -> Vec<Told>;
    fn wake_at(&mut self, kind: DeadlineKind) -> Vec<Told>;
}

impl Connection for Desk {
    fn told(&mut self) -> Vec<Told> {
        let outputs = std::iter::from_fn(|| self.client.poll_output());
        let told = outputs.filter_map(|output| match output {
            Output::Connect => Some(Told::Connect),
            Output::Disconnect(Disconnect::Paused) => Some(Told::Disconnect),
            Output::Stopped(reason) => Some(Told::Stopped(reason)),
            Output::Status(status) => Some(Told::Status(status)),
            _ => None,
        });
        told.collect()
    }

    fn resume(&mut self) -> Vec<Told> {
        let now = self.now_after(0);
        self.client.resume(now);
        self.commit(now);
        self.told()
    }

    fn pause(&mut self) -> Vec<Told> {
        let now = self.now_after(0);
        self.client.pause(now);
        self.commit(now);
        self.told()
    }

    /// Passes an input without a pause since the last one.
    fn pass(&mut self, input: Input<'_>) -> Vec<Told> {
        let now = self.now_after(0);
        self.client.handle(now, input).unwrap();
        self.commit(now);
        self.told()
    }

    /// Wakes the client at its next deadline, which has to be of this kind.
    fn wake_at(&mut self, kind: DeadlineKind) -> Vec<Told> {
        let deadline = self.client.next_deadline().unwrap();
        assert_eq!(deadline.kind, kind);
        let ms = deadline.at.as_millis().saturating_sub(self.counters().0);
        let now = self.now_after(ms);
        self.client.handle(now, Input::Wake).unwrap();
        self.commit(now);
        self.told()
    }
}

const CONNECTED: &str = r#"["connected",5,"server:x",[1700000000000,1700000000000]]"#;

#[test]
fn a_client_connects_until_it_is_paused() {
    let mut desk = desk();
    assert_eq!(desk.client.next_deadline(), None, "nothing happens before it is told to");
    assert_eq!(desk.resume(), [Told::Connect]);
    assert_eq!(desk.wake_at(DeadlineKind::Status), [Told::Status(Status::Connecting)]);
    assert_eq!(desk.pass(Input::ConnectFailed), [Told::Status(Status::Disconnected)]);
    assert_eq!(desk.wake_at(DeadlineKind::Connect), [Told::Connect]);
    assert_eq!(desk.pass(Input::Opened), []);
    assert_eq!(desk.pass(Input::Frame(CONNECTED)), []);
    assert_eq!(desk.client.state(), State::Synchronized);
    assert_eq!(desk.wake_at(DeadlineKind::Status), [Told::Status(Status::Synchronized)]);

    assert_eq!(desk.pause(), [Told::Disconnect]);
    assert_eq!(desk.pass(Input::Closed), [Told::Status(Status::Disconnected)]);
    assert_eq!(desk.client.next_deadline(), None, "nothing happens while it is paused");
    assert_eq!(desk.pass(Input::Device(DeviceEvent::Online)), []);
    assert_eq!(desk.resume(), [Told::Connect]);

    // What is resumed before the connection or the attempt has ended does not wait either.
    for is_open in [false, true] {
        if is_open {
            desk.pass(Input::Opened);
        }
        assert_eq!((desk.pause(), desk.resume()), (vec![Told::Disconnect], vec![]));
        assert_eq!(desk.pass(Input::Closed), [Told::Connect]);
    }
}

#[test]
fn a_device_that_is_online_again_or_seen_does_not_wait() {
    let mut desk = desk();
    desk.resume();
    desk.pass(Input::ConnectFailed);
    assert_eq!(desk.pass(Input::Device(DeviceEvent::Online)), [Told::Connect]);
    desk.pass(Input::Opened);
    desk.pass(Input::Frame(CONNECTED));
    assert_eq!(desk.pass(Input::Device(DeviceEvent::Asleep)), [Told::Disconnect]);
    desk.pass(Input::Closed);
    assert_eq!(desk.client.next_deadline(), None);
    assert_eq!(desk.pass(Input::Device(DeviceEvent::Visible)), [Told::Connect]);
}

#[test]
fn headers_are_sent_when_they_change_and_at_each_connection() {
    let mut desk = desk();
    let headers = |desk: &mut Desk| {
        let sent = std::iter::from_fn(|| desk.client.poll_output());
        let sent = sent.filter_map(|output| match output {
            Output::Send(frame) if frame.starts_with(r#"["headers""#) => Some(frame),
            _ => None,
        });
        sent.collect::<Vec<_>>()
    };
    desk.connect();
    let now = desk.now();
    desk.client.set_headers(now, Json::new(r#"{"locale":"fr"}"#).unwrap()).unwrap();
    desk.commit(now);
    let expected = [r#"["headers",{"locale":"fr"}]"#];
    assert_eq!(headers(&mut desk), expected);
    desk.handle(Input::Closed);
    desk.handle(Input::Opened);
    assert_eq!(headers(&mut desk), expected);
}

#[test]
fn a_refused_client_stops_until_it_is_resumed() {
    let mut desk = desk();
    desk.resume();
    desk.pass(Input::Opened);
    let refused = desk.pass(Input::Frame(r#"["error","wrong-credentials"]"#));
    assert_eq!(refused, [Told::Status(Status::WrongCredentials)]);
    let stopped = StopReason::Refused("wrong-credentials".into());
    assert_eq!(desk.pass(Input::Closed), [Told::Stopped(stopped)]);
    assert_eq!(desk.client.next_deadline(), None);
    // What the user does now is kept.
    desk.sync(set("title", "a"));
    assert_eq!((desk.told(), desk.client.unconfirmed()), (vec![Told::Status(Status::Wait)], 1));
    assert_eq!(desk.resume(), [Told::Connect]);
}

#[test]
fn a_token_that_has_expired_is_asked_for_again() {
    let mut desk = desk();
    desk.client = client().with_token_renewal();
    desk.resume();
    let refuse = |desk: &mut Desk| {
        desk.pass(Input::Opened);
        desk.pass(Input::Frame(r#"["error","wrong-credentials"]"#));
        desk.pass(Input::Closed)
    };
    assert_eq!(refuse(&mut desk), [Told::Connect]);
    assert!(matches!(refuse(&mut desk)[..], [Told::Stopped(_)]));
    assert_eq!(desk.resume(), [Told::Connect]);
    assert_eq!(refuse(&mut desk), [Told::Connect]);
    desk.pass(Input::Opened);
    desk.pass(Input::Frame(CONNECTED));
    desk.pass(Input::Closed);
    desk.wake_at(DeadlineKind::Connect);
    assert_eq!(refuse(&mut desk), [Told::Connect], "the server had accepted the one before");
}

#[test]
fn attempts_are_limited() {
    let mut desk = desk();
    desk.client = client().with_backoff(Backoff { attempts: Some(2), ..Backoff::default() });
    desk.resume();
    assert_eq!(desk.pass(Input::ConnectFailed), []);
    assert_eq!(desk.wake_at(DeadlineKind::Connect), [Told::Connect]);
    let stopped = Told::Stopped(StopReason::AttemptsExhausted(2));
    assert_eq!(desk.pass(Input::ConnectFailed), [stopped]);
}

#[test]
fn the_status_follows_the_actions() {
    let mut desk = desk();
    let id = desk.sync(set("title", "a"));
    assert_eq!(desk.told(), [Told::Status(Status::Wait)]);
    desk.resume();
    desk.pass(Input::Opened);
    let sending = [Told::Status(Status::SendingAfterWait)];
    assert_eq!(desk.pass(Input::Frame(CONNECTED)), sending);
    assert_eq!(desk.pass(Input::Frame(r#"["synced",1]"#)), []);
    desk.receive(1, "server:x", &processed(&id));
    assert_eq!(desk.client.status(), Status::SynchronizedAfterWait);
    assert_eq!(desk.wake_at(DeadlineKind::Status), [Told::Status(Status::Synchronized)]);

    let refused = desk.sync(set("title", "b"));
    desk.receive(2, "server:x", &refusal(&refused, "denied"));
    assert_eq!(desk.client.status(), Status::Denied);
    // Another user undoes an action that was processed.
    desk.receive(3, "11:b:c", &refusal(&id, "mistake"));
    assert_eq!(desk.client.status(), Status::Error);
    desk.pass(Input::Frame("[]"));
    assert_eq!(desk.client.status(), Status::SyncError);
}

#[test]
fn unsent_actions_of_an_earlier_start_wait_for_a_connection() {
    let mut first = desk();
    first.sync(set("title", "a"));
    let second: Desk = Device::observed("10:phone:2", first.client.into_store(), ());
    assert_eq!((second.client.status(), second.client.unconfirmed()), (Status::Wait, 1));
}

/// The device subscribes again as long as a document is open, so nothing is lost with a
/// subscription that the server does not have.
#[test]
fn subscriptions_are_not_counted_as_unconfirmed() {
    let subscribe = || Action::new(r#"{"type":"logux/subscribe","channel":"notes/1"}"#).unwrap();
    let mut desk = desk();
    let dropped = desk.sync(subscribe());
    desk.undo(&dropped);
    desk.sync(subscribe());
    assert_eq!((desk.client.status(), desk.client.unconfirmed()), (Status::Disconnected, 0));
    let mut desk: Desk = Device::observed("10:phone:2", desk.client.into_store(), ());
    assert_eq!((desk.client.status(), desk.client.unconfirmed()), (Status::Disconnected, 0));
    let edit = desk.sync(set("title", "a"));
    let subscribed = desk.sync(subscribe());
    assert_eq!(desk.client.unconfirmed(), 1);
    desk.resume();
    desk.pass(Input::Opened);
    desk.pass(Input::Frame(CONNECTED));
    desk.receive(1, "server:x", &processed(&subscribed));
    assert_eq!(desk.client.unconfirmed(), 1);
    desk.pass(Input::Frame(r#"["synced",3]"#));
    assert_eq!(desk.client.unconfirmed(), 0);
    desk.receive(2, "server:x", &processed(&edit));
    assert_eq!(desk.client.unconfirmed(), 0);
}
