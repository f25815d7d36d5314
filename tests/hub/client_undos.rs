//! Undos by clients: `logux/undo` of a kept action, and of an earlier undo.

use std::{sync::Arc, time::Duration};

use logux::{
    Action, MemoryStore, Meta,
    server::{
        AddAction, Config, FateKey, FateKeys, HandlerResponse, Input, LogQuery, Output, Queues,
        Recipients, RequestId, Retention, RetentionPolicy, SessionId, UndoRefusal, UndoRequest,
        UndoTarget,
    },
    store::Store,
};

use crate::world::{NOW, World, config, entry, processed, undone};

const SAY: &str = r#"{"type":"say"}"#;
const AUTHOR: &str = "10:author:x";

fn config_with(retention: &Retention) -> Config {
    let retention = retention.clone();
    Config {
        retention: RetentionPolicy::by(move |action, _| {
            (action.kind() == "say").then(|| retention.clone())
        }),
        ..config()
    }
}

fn undo(id: &str) -> String {
    format!(r#"{{"type":"logux/undo","id":"{id}"}}"#)
}

/// Creates a world with the author of actions as the session 1.
fn world_with(config: Config) -> World {
    let mut world = World::with(config, MemoryStore::new());
    world.join(1, AUTHOR);
    world
}

fn world() -> World {
    world_with(config_with(&Retention::forever("talk")))
}

impl<S: Store> World<S> {
    /// Receives an action, which the application sends to these recipients and processes.
    fn act_to(&mut self, session: u64, id: &str, to: Recipients) {
        self.receive(session, vec![entry(id, SAY)]);
        self.respond([
            HandlerResponse::Resend(to),
            HandlerResponse::Approved(None),
            HandlerResponse::Processed,
        ]);
    }

    fn act(&mut self, session: u64, id: &str) {
        self.act_to(session, id, Recipients::channel("room"));
    }

    /// Receives an undo, and returns its target.
    fn ask(&mut self, session: u64, id: &str, action: &str) -> Result<UndoTarget, UndoRefusal> {
        self.receive(session, vec![entry(id, action)]);
        let request = self.requests.back().expect("a request");
        request.target.clone().expect("the request of an undo has a target")
    }

    /// Receives an undo, which the application accepts.
    fn undo(&mut self, session: u64, id: &str, target: &str) {
        self.ask(session, id, &undo(target)).expect("the target is kept");
        self.respond([HandlerResponse::AcceptUndo]);
    }

    /// Returns the ids of the kept actions, in the order of the log.
    fn kept(&self) -> Vec<String> {
        let mut kept = Vec::new();
        self.hub.recorded(|entry| kept.push(entry.meta.id.to_string())).unwrap();
        kept
    }

    /// Responds with a page of kept actions. Returns their ids, and whether there are more.
    fn replay_page(&mut self, request: RequestId) -> (Vec<String>, bool) {
        self.hub.handle(NOW, Input::Respond(request, HandlerResponse::Replay)).unwrap();
        self.hub.commit().unwrap();
        let (mut ids, mut has_more) = (Vec::new(), false);
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Replay { entries, .. } => {
                    ids.extend(entries.iter().map(|entry| entry.meta.id.to_string()));
                }
                Output::Replayed { has_more: more, .. } => has_more = more,
                _ => {}
            }
        }
        (ids, has_more)
    }

    /// Subscribes to `room` with a filter that accepts this type, and returns the request.
    fn start_replay(&mut self, session: u64, node: &str, accepts: &'static str) -> RequestId {
        let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
        self.join(session, node);
        self.receive(session, vec![entry(&format!("1 {node} 0"), subscribe)]);
        let request = self.requests.pop_front().expect("a request").id;
        let filter = move |action: &Action, _: &Meta| action.kind() == accepts;
        let approved = HandlerResponse::Approved(Some(Arc::new(filter)));
        self.handle(Input::Respond(request, approved));
        request
    }
}

#[test]
fn an_accepted_undo_is_sent_to_the_recipients_of_its_target_and_kept_with_it() {
    let mut world = world();
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    world.act(1, "1 10:author:x 0");
    world.delivered();

    let why = r#"{"type":"logux/undo","id":"1 10:author:x 0","reason":"typo","by":[1]}"#;
    let target = world.ask(1, "2 10:author:x 0", why).unwrap();
    assert_eq!(target.action.action.as_json(), SAY);
    assert!(!target.is_redo() && target.is_by(&AUTHOR.parse().unwrap()));
    assert!(world.delivered().is_empty(), "the application has not decided");
    world.respond([HandlerResponse::AcceptUndo]);
    let expected = [format!("2 <- {why}"), processed(1, "2 10:author:x 0")];
    assert_eq!(world.delivered(), expected, "the undo is sent as it was received");

    // The undo of the undo.
    world.undo(1, "3 10:author:x 0", "2 10:author:x 0");
    let redo = undo("2 10:author:x 0");
    assert_eq!(world.delivered(), [format!("2 <- {redo}"), processed(1, "3 10:author:x 0")]);
    let ids = ["1 10:author:x 0", "2 10:author:x 0", "3 10:author:x 0"];
    assert_eq!(world.kept(), ids);
    let recorded: Vec<_> =
        world.other.iter().filter(|output| output.contains("Recorded")).collect();
    assert_eq!(recorded.len(), 3, "states follow undos too: {recorded:?}");
    let newcomer = world.start_replay(3, "30:three:x", "say");
    let expected = (ids.map(str::to_owned).to_vec(), false);
    assert_eq!(world.replay_page(newcomer), expected, "a newcomer receives all in their order");
    let page = world.hub.page(&LogQuery::channel("room")).unwrap();
    assert_eq!(page.entries.len(), 3);
}

#[test]
fn an_undo_without_a_kept_target_is_refused() {
    let mut world = world();
    world.act(1, "1 10:author:x 0");
    world.receive(1, vec![entry("1 10:author:x 1", r#"{"type":"other"}"#)]);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    for (id, action, refusal) in [
        ("2 10:author:x 0", undo("7 10:author:x 7"), UndoRefusal::NotFound),
        ("2 10:author:x 1", undo("1 10:author:x 1"), UndoRefusal::NotFound),
        ("2 10:author:x 2", undo("2 10:author:x 2"), UndoRefusal::NotFound),
        ("2 10:author:x 3", undo("nonsense"), UndoRefusal::WrongFormat),
        ("2 10:author:x 4", r#"{"type":"logux/undo"}"#.to_owned(), UndoRefusal::WrongFormat),
        (
            "2 10:author:x 5",
            r#"{"type":"logux/undo","id":[1]}"#.to_owned(),
            UndoRefusal::WrongFormat,
        ),
    ] {
        assert_eq!(world.ask(1, id, &action), Err(refusal), "{action}");
        world.delivered();
        // The application may accept it by mistake.
        world.respond([HandlerResponse::AcceptUndo]);
        assert_eq!(world.delivered(), [undone(1, &action, id, refusal.reason())]);
    }
    assert_eq!(world.kept(), ["1 10:author:x 0"]);
}

#[test]
fn only_undos_can_be_accepted() {
    let mut world = world();
    world.receive(1, vec![entry("1 10:author:x 0", SAY)]);
    world.respond([HandlerResponse::AcceptUndo]);
    assert_eq!(world.delivered(), [undone(1, SAY, "1 10:author:x 0", "error")]);
}

#[test]
fn a_target_that_is_forgotten_while_the_application_decides_is_not_found() {
    let mut world = world();
    let id = "1 10:author:x 0";
    world.act(1, id);
    world.delivered();
    world.ask(1, "2 10:author:x 0", &undo(id)).unwrap();
    world.handle(Input::Forget(id.parse().unwrap()));
    world.respond([HandlerResponse::AcceptUndo]);
    assert_eq!(world.delivered(), [undone(1, &undo(id), "2 10:author:x 0", "notFound")]);
}

#[test]
fn the_author_of_what_is_undone_is_its_user() {
    let mut world = world();
    world.join(2, "10:other:x");
    world.join(3, "30:moderator:x");
    world.act(1, "1 10:author:x 0");
    let is_by = |target: &UndoTarget, node: &str| target.is_by(&node.parse().unwrap());

    let target = world.ask(3, "2 30:moderator:x 0", &undo("1 10:author:x 0")).unwrap();
    assert!(is_by(&target, "10:other:x") && !is_by(&target, "30:moderator:x"));
    world.respond([HandlerResponse::AcceptUndo]);

    let target = world.ask(2, "3 10:other:x 0", &undo("2 30:moderator:x 0")).unwrap();
    assert_eq!(target.action.meta.id.to_string(), "1 10:author:x 0");
    assert!(target.is_redo());
    assert!(!is_by(&target, "10:other:x"), "the author cannot undo the moderator's undo");
    assert!(is_by(&target, "30:moderator:phone:x"));
    world.respond([HandlerResponse::Denied]);
    assert_eq!(world.kept(), ["1 10:author:x 0", "2 30:moderator:x 0"]);

    let target = |author: &str| UndoTarget {
        action: Arc::new(entry(&format!("1 {author} 0"), SAY)),
        undo: None,
    };
    assert!(is_by(&target("10"), "10") && !is_by(&target("10"), "11"));
    assert!(!is_by(&target("10:a:x"), "10"), "a client without a user has no user");
    assert!(!is_by(&target("10"), "10:a:x"));
    assert!(!is_by(&target("server:x"), "server:x"));
}

#[test]
fn an_undo_that_is_received_again_takes_effect_once() {
    let mut world = world();
    world.act(1, "1 10:author:x 0");
    world.undo(1, "2 10:author:x 0", "1 10:author:x 0");
    world.delivered();
    let again = |world: &mut World| {
        world.receive(1, vec![entry("2 10:author:x 0", &undo("1 10:author:x 0"))]);
        assert!(world.requests.is_empty());
        assert_eq!(world.delivered(), [processed(1, "2 10:author:x 0")]);
        assert_eq!(world.kept(), ["1 10:author:x 0", "2 10:author:x 0"]);
    };
    again(&mut world);
    let mut world = World::with(config_with(&Retention::forever("talk")), world.hub.into_store());
    assert!(world.requests.is_empty(), "the undo is answered");
    world.join(1, AUTHOR);
    world.delivered();
    again(&mut world);
}

#[test]
fn an_undo_without_an_answer_is_decided_after_a_restart() {
    let mut world = world();
    world.act(1, "1 10:author:x 0");
    world.ask(1, "2 10:author:x 0", &undo("1 10:author:x 0")).unwrap();
    let mut world = World::with(config_with(&Retention::forever("talk")), world.hub.into_store());
    assert!(world.requests[0].target.as_ref().is_some_and(Result::is_ok));
    world.respond([HandlerResponse::AcceptUndo]);
    assert_eq!(world.kept(), ["1 10:author:x 0", "2 10:author:x 0"]);
}

/// The undo waits in the queue of its target, not in that of its own type.
#[test]
fn an_undo_waits_for_its_target() {
    let queues = Queues::by(|action| action.kind().into());
    let config = Config { queues, ..config_with(&Retention::forever("talk")) };
    let mut world = world_with(config.clone());
    let undos = vec![
        entry("2 10:author:x 0", &undo("1 10:author:x 0")),
        entry("3 10:author:x 0", &undo("2 10:author:x 0")),
    ];
    world.receive(1, vec![entry("1 10:author:x 0", SAY)]);
    world.receive(1, undos);
    assert_eq!(world.requests.len(), 1, "the action is in progress");
    // The queue is the same after a restart.
    let mut world = World::with(config, world.hub.into_store());
    assert_eq!(world.requests.len(), 1);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    for _ in 0..2 {
        assert!(world.requests[0].target.as_ref().is_some_and(Result::is_ok));
        world.respond([HandlerResponse::AcceptUndo]);
    }
    assert_eq!(world.kept(), ["1 10:author:x 0", "2 10:author:x 0", "3 10:author:x 0"]);
}

#[test]
fn the_undo_of_an_action_that_failed_has_no_target() {
    let fate_keys = FateKeys::by(|_| FateKey::none());
    let mut world = world_with(Config { fate_keys, ..config_with(&Retention::forever("talk")) });
    world.receive(1, vec![entry("1 10:author:x 0", SAY)]);
    world.receive(1, vec![entry("2 10:author:x 0", &undo("1 10:author:x 0"))]);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::error()]);
    assert_eq!(world.requests[0].target, Some(Err(UndoRefusal::NotFound)));
}

/// Others have received the action, so they may undo it while its handler runs.
#[test]
fn the_action_of_another_client_may_be_undone_while_it_is_in_progress() {
    let mut world = world();
    world.join(2, "20:two:x");
    world.join(3, "30:three:x");
    world.subscribe(3, "1 30:three:x 0", "room");
    world.receive(1, vec![entry("1 10:author:x 0", SAY)]);
    let action = world.requests.pop_front().unwrap();
    let refused = world.ask(2, "2 20:two:x 0", &undo("1 10:author:x 0"));
    assert_eq!(refused, Err(UndoRefusal::NotFound), "it was sent to no client");
    world.respond([HandlerResponse::Denied]);
    world.handle(Input::Respond(action.id, HandlerResponse::Resend(Recipients::channel("room"))));
    world.handle(Input::Respond(action.id, HandlerResponse::Approved(None)));
    world.delivered();
    world.undo(2, "2 20:two:x 1", "1 10:author:x 0");
    let undo_text = undo("1 10:author:x 0");
    assert_eq!(
        world.delivered(),
        [format!("1 <- {undo_text}"), format!("3 <- {undo_text}"), processed(2, "2 20:two:x 1")],
        "the author of the action receives the undo too"
    );
    // After a crash, the action is approved again, and stays before its undo.
    let mut world = World::with(config_with(&Retention::forever("talk")), world.hub.into_store());
    world.respond([
        HandlerResponse::Resend(Recipients::channel("room")),
        HandlerResponse::Approved(None),
        HandlerResponse::Processed,
    ]);
    assert_eq!(world.kept(), ["1 10:author:x 0", "2 20:two:x 1"]);
}

#[test]
fn recipients_that_were_away_receive_the_undo() {
    let mut world = world();
    world.join(2, "20:two:x");
    world.subscribe(2, "1 20:two:x 0", "room");
    world.join(3, "30:three:x");
    world.join(4, "40:four:x");
    world.join(5, "50:five:x");
    let to = Recipients {
        users: vec!["30".into()],
        clients: vec!["40:four".into()],
        exclude_clients: vec!["50:five".into()],
        ..Recipients::channel("room")
    };
    world.act_to(1, "1 10:author:x 0", to);
    let since = world.hub.stats().unwrap().added;
    for session in [1, 2, 3, 4] {
        world.handle(Input::Leave(SessionId(session)));
    }
    world.delivered();
    world.undo(5, "2 50:five:x 0", "1 10:author:x 0");
    assert_eq!(world.delivered(), [processed(5, "2 50:five:x 0")]);
    let undo_text = undo("1 10:author:x 0");
    for (session, node) in [(6, "30:three:x"), (7, "40:four:x"), (8, AUTHOR)] {
        world.join_since(session, node, since);
        assert_eq!(world.delivered(), [format!("{session} <- {undo_text}")], "{node}");
    }
    world.join_since(9, "20:two:x", since);
    assert!(world.delivered().is_empty(), "its channels are not known yet");
    world.receive(9, vec![entry("3 20:two:x 0", r#"{"type":"logux/subscribe","channel":"room"}"#)]);
    world.respond([HandlerResponse::Approved(None), HandlerResponse::Processed]);
    assert_eq!(world.delivered(), [format!("9 <- {undo_text}"), processed(9, "3 20:two:x 0")]);
    world.join_since(10, "50:five:x", since);
    assert_eq!(
        world.delivered(),
        [processed(10, "2 50:five:x 0")],
        "its own undo is not sent back"
    );
}

#[test]
fn who_receives_an_undo_does_not_receive_it_twice() {
    let mut world = world();
    let to = Recipients {
        users: vec!["10".into()],
        exclude_clients: vec!["10:author".into()],
        ..Recipients::default()
    };
    world.act_to(1, "1 10:author:x 0", to);
    world.delivered();
    let since = world.hub.stats().unwrap().added;
    world.undo(1, "2 10:author:x 0", "1 10:author:x 0");
    assert_eq!(world.delivered(), [processed(1, "2 10:author:x 0")]);
    world.join_since(2, AUTHOR, since);
    assert_eq!(world.delivered(), [processed(2, "2 10:author:x 0")], "its own undo");

    world.join(3, "30:moderator:x");
    world.undo(3, "3 30:moderator:x 0", "2 10:author:x 0");
    let expected =
        [format!("2 <- {}", undo("2 10:author:x 0")), processed(3, "3 30:moderator:x 0")];
    assert_eq!(world.delivered(), expected, "the author was excluded from its own action only");
}

/// The clock of the author of the undo is wrong, and the action was approved before.
#[test]
fn the_time_of_an_undo_for_returning_subscribers_is_when_it_was_accepted() {
    let mut world = world();
    world.act(1, "1 10:author:x 0");
    let now = NOW.wall.as_millis();
    world.hub.handle(logux::Now::from_millis(now + 10_000, 0), Input::Continue).unwrap();
    world.undo(1, "2 10:author:x 0", "1 10:author:x 0");
    world.join_since(2, "20:two:x", 1);
    world.delivered();
    let since = now + 5_000;
    let subscribe = format!(
        r#"{{"type":"logux/subscribe","channel":"room","since":{{"id":"{since} server:uuid 9","time":{since}}}}}"#
    );
    world.receive(2, vec![entry("1 20:two:x 0", &subscribe)]);
    let request = world.requests.pop_front().unwrap().id;
    world.handle(Input::Respond(request, HandlerResponse::Approved(None)));
    assert_eq!(world.delivered(), [format!("2 <- {}", undo("1 10:author:x 0"))]);
    assert_eq!(world.replay_page(request), (vec!["2 10:author:x 0".to_owned()], false));
}

/// A filter knows the fields of actions, which an undo does not have.
#[test]
fn the_filter_of_a_subscriber_decides_by_the_undone_action() {
    let mut world = world();
    let subscribe = r#"{"type":"logux/subscribe","channel":"room"}"#;
    for (session, node, accepts) in [(2, "20:two:x", "say"), (3, "30:three:x", "other")] {
        world.join(session, node);
        world.receive(session, vec![entry(&format!("1 {node} 0"), subscribe)]);
        let filter = move |action: &Action, _: &Meta| action.kind() == accepts;
        world.respond([
            HandlerResponse::Approved(Some(Arc::new(filter))),
            HandlerResponse::Processed,
        ]);
    }
    world.act(1, "1 10:author:x 0");
    world.delivered();
    world.undo(1, "2 10:author:x 0", "1 10:author:x 0");
    let undo_text = undo("1 10:author:x 0");
    assert_eq!(world.delivered(), [format!("2 <- {undo_text}"), processed(1, "2 10:author:x 0")]);
    for (session, node, accepts, count) in
        [(4, "40:four:x", "say", 2), (5, "50:five:x", "other", 0)]
    {
        let request = world.start_replay(session, node, accepts);
        let (ids, has_more) = world.replay_page(request);
        assert!(ids.len() == count && !has_more, "{accepts}: {ids:?}");
    }
}

#[test]
fn a_bound_removes_an_action_before_its_undo() {
    let mut world = world_with(config_with(&Retention::last("talk", 4)));
    world.act(1, "1 10:author:x 0");
    world.undo(1, "2 10:author:x 0", "1 10:author:x 0");
    for n in 3..=8 {
        world.act(1, &format!("{n} 10:author:x 0"));
        let kept = world.kept();
        let has = |id: &str| kept.iter().any(|kept| kept == id);
        assert!(!has("1 10:author:x 0") || has("2 10:author:x 0"), "{kept:?}");
        assert!(kept.len() <= 5, "undos count too: {kept:?}");
    }

    // The clock of the client that undoes is an hour behind.
    let bound = Retention::for_duration("talk", Duration::from_mins(16));
    let mut world = world_with(config_with(&bound));
    let at = |ms: i64, node: &str| format!("{} {node} 0", NOW.wall.as_millis() + ms);
    let action = at(0, AUTHOR);
    world.act(1, &action);
    world.join(2, "10:phone:x");
    let undo = at(-3_600_000, "10:phone:x");
    world.undo(2, &undo, &action);
    for minutes in [10, 20] {
        let later = logux::Now::from_millis(NOW.wall.as_millis() + minutes * 60_000, 0);
        world.hub.handle(later, Input::Continue).unwrap();
        let expected = if minutes == 10 { vec![action.clone(), undo.clone()] } else { Vec::new() };
        assert_eq!(world.kept(), expected, "after {minutes} minutes");
    }
}

#[test]
fn the_undo_of_the_latest_action_ends_with_it() {
    let mut world = world_with(config_with(&Retention::latest("cursor")));
    world.act(1, "1 10:author:x 0");
    world.undo(1, "2 10:author:x 0", "1 10:author:x 0");
    assert_eq!(world.kept(), ["1 10:author:x 0", "2 10:author:x 0"]);
    world.undo(1, "3 10:author:x 0", "2 10:author:x 0");
    world.act(1, "4 10:author:x 0");
    assert_eq!(world.kept(), ["4 10:author:x 0"]);
}

#[test]
fn the_undos_of_an_action_are_forgotten_with_it() {
    for by_application in [false, true] {
        let mut world = world();
        let id = "1 10:author:x 0";
        world.act(1, id);
        world.undo(1, "2 10:author:x 0", id);
        world.undo(1, "3 10:author:x 0", "2 10:author:x 0");
        if by_application {
            // This undo replaces the action.
            world.handle(Input::Undo(Box::new(UndoRequest::new(id.parse().unwrap(), "spam"))));
            assert_eq!(world.kept().len(), 1);
        } else {
            world.handle(Input::Forget(id.parse().unwrap()));
            assert!(world.kept().is_empty());
        }
        let refused = world.ask(1, "4 10:author:x 0", &undo("2 10:author:x 0"));
        assert_eq!(refused, Err(UndoRefusal::NotFound), "nothing to redo");
    }
}

#[test]
fn the_application_may_undo_the_undo_of_a_client() {
    let mut world = world();
    world.act(1, "1 10:author:x 0");
    world.undo(1, "2 10:author:x 0", "1 10:author:x 0");
    world.delivered();
    let request = UndoRequest::new("2 10:author:x 0".parse().unwrap(), "restored");
    world.handle(Input::Undo(Box::new(request.to(Recipients::channel("room")))));
    let restored = undone(1, &undo("1 10:author:x 0"), "2 10:author:x 0", "restored");
    assert_eq!(world.delivered(), [restored]);
    let kept = world.kept();
    assert!(kept[0] == "1 10:author:x 0" && kept.len() == 2 && kept[1].contains("server"));
    let refused = world.ask(1, "3 10:author:x 0", &undo(&kept[1]));
    assert_eq!(refused, Err(UndoRefusal::NotFound), "the undo of the application is final");
}

#[test]
fn actions_of_the_application_may_be_undone() {
    let mut world = world();
    world.handle(Input::Add(Box::new(AddAction {
        action: Action::new(SAY).unwrap(),
        draft: Default::default(),
        to: Recipients::channel("room"),
        process: false,
        ticket: None,
    })));
    let id = world.kept().pop().unwrap();
    let target = world.ask(1, "2 10:author:x 0", &undo(&id)).unwrap();
    assert!(!target.is_by(&AUTHOR.parse().unwrap()));
    world.respond([HandlerResponse::AcceptUndo]);
    assert_eq!(world.kept(), [&*id, "2 10:author:x 0"]);
}

/// The undo is delivered when it is accepted, perhaps before the page with its action.
#[test]
fn an_undo_during_a_replay_is_sent_again_after_its_action() {
    let mut world = world_with(Config { page_entries: 2, ..config_with(&Retention::forever("t")) });
    for n in 1..=5 {
        world.act(1, &format!("{n} 10:author:x 0"));
    }
    let request = world.start_replay(2, "20:two:x", "say");
    let pages = |world: &mut World| {
        let (ids, has_more) = world.replay_page(request);
        (ids.iter().map(|id| &id[..1]).collect::<String>(), has_more)
    };
    assert_eq!(pages(&mut world), ("12".to_owned(), true));
    world.undo(1, "6 10:author:x 0", "4 10:author:x 0");
    world.act(1, "7 10:author:x 0");
    let mut replayed = String::new();
    loop {
        let (ids, has_more) = pages(&mut world);
        replayed += &ids;
        if !has_more {
            break;
        }
    }
    assert_eq!(replayed, "3456", "later actions are not sent again");
    assert_eq!(pages(&mut world), (String::new(), false), "the replay has ended");
}
