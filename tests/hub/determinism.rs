//! The same inputs give the same outputs, byte by byte.

use std::time::Duration;

use logux::{
    Action, MemoryStore, Now,
    action::Subprotocol,
    log::Draft,
    server::{
        AddAction, Config, HandlerResponse, Hub, Input, Output, Recipients, RequestKind, Retention,
        RetentionPolicy, SessionId,
    },
    testing::batch,
};

use crate::world::{NOW, config, entry};

/// A hub that records all its outputs as text.
struct Recorder {
    hub: Hub<MemoryStore>,
    text: String,
}

impl Recorder {
    fn handle(&mut self, now: Now, input: Input) {
        self.hub.handle(now, input).unwrap();
        loop {
            self.hub.commit().unwrap();
            let mut responses = Vec::new();
            while let Some(output) = self.hub.poll_output() {
                self.text.push_str(&format!("{output:?}\n"));
                if let Output::Request(request) = output {
                    let channel = ["room/1", "room/2", "room/3"].map(Into::into).to_vec();
                    let recipients = Recipients { channels: channel, ..Recipients::default() };
                    if request.kind == RequestKind::Action {
                        responses.push((request.id, HandlerResponse::Resend(recipients)));
                    }
                    responses.push((request.id, HandlerResponse::Approved(None)));
                    responses.push((request.id, HandlerResponse::Processed));
                }
            }
            if responses.is_empty() {
                break;
            }
            for (id, response) in responses {
                self.hub.handle(now, Input::Respond(id, response)).unwrap();
            }
        }
    }

    fn receive(&mut self, now: Now, session: u64, id: &str, json: &str) {
        let entries = vec![entry(id, json)];
        let session = SessionId(session);
        self.handle(now, Input::Received { session, batch: batch(), entries });
    }
}

/// Clients that join, subscribe to six channels each, send actions that expire, and leave.
fn conversation() -> String {
    let retention = RetentionPolicy::by(|action, _| {
        let reason = action.kind();
        reason
            .starts_with("news/")
            .then(|| Retention::for_duration(reason, Duration::from_millis(1_600)))
    });
    let hub = Hub::new(
        Config { retention, remembered_for: Duration::from_secs(1), ..config() },
        MemoryStore::new(),
    )
    .unwrap();
    let mut recorder = Recorder { hub, text: String::new() };
    recorder.hub.report_cleaned(true);
    for session in 1..=6 {
        let node = format!("10:client{session}:x").parse().unwrap();
        let join = Input::Join {
            session: SessionId(session),
            node,
            subprotocol: Subprotocol::Number(0),
            headers: None,
            since: 0,
        };
        recorder.handle(NOW, join);
        for channel in 0..6 {
            let id = format!("{} 10:client{session}:x {channel}", NOW.wall);
            let json = format!(r#"{{"type":"logux/subscribe","channel":"room/{channel}"}}"#);
            recorder.receive(NOW, session, &id, &json);
        }
    }
    for number in 0..6 {
        let id = format!("{} 10:client1:x {}", NOW.wall, 10 + number);
        recorder.receive(NOW, 1, &id, &format!(r#"{{"type":"news/{number}"}}"#));
    }
    for seconds in 1..=10 {
        let later = Now::from_millis(NOW.wall.as_millis() + seconds * 1_000, 0);
        let tick = AddAction {
            action: Action::new(r#"{"type":"tick"}"#).unwrap(),
            draft: Draft::default(),
            to: Recipients::user("10"),
            process: false,
            ticket: None,
        };
        recorder.handle(later, Input::Add(Box::new(tick)));
    }
    recorder.text.push_str(&format!("{:?}\n", recorder.hub.clients().collect::<Vec<_>>()));
    for session in 1..=6 {
        recorder.handle(NOW, Input::Leave(SessionId(session)));
    }
    recorder.text
}

#[test]
fn twenty_runs_of_one_conversation_have_equal_outputs() {
    let first = conversation();
    for text in ["Unsubscribed", "Cleaned", "room/5"] {
        assert!(first.contains(text), "the conversation covers {text}");
    }
    for _ in 1..20 {
        let other = conversation();
        let difference = first.lines().zip(other.lines()).find(|(first, other)| first != other);
        assert_eq!(difference, None);
        assert_eq!(first.len(), other.len());
    }
}
