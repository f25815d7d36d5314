//! The vectors of the back-end protocol, cut in all places, and what is asked.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    Action, Entry, Json, Meta,
    action::Subprotocol,
    backend::{
        ActionCommand, AuthCommand, BackendAnswer, BackendError, BackendReply, ControlRequest,
        ResponseReader, request,
    },
    server::Recipients,
};
use serde_json::{Value, json};

fn vectors(section: &str) -> Vec<Value> {
    let text = include_str!("../spec/vectors/backend.json");
    serde_json::from_str::<Value>(text).unwrap()[section].as_array().unwrap().clone()
}

fn address(to: &Recipients) -> Value {
    let lists = [
        ("channels", &to.channels),
        ("users", &to.users),
        ("clients", &to.clients),
        ("nodes", &to.nodes),
        ("excludeClients", &to.exclude_clients),
    ];
    lists
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(key, names)| (key.to_owned(), json!(names)))
        .collect()
}

fn written(answer: &BackendAnswer) -> Value {
    let id = &answer.id;
    match &answer.reply {
        BackendReply::Authenticated { subprotocol } => json!([id, "authenticated", subprotocol]),
        BackendReply::Denied => json!([id, "denied"]),
        BackendReply::WrongSubprotocol { supported } => {
            json!([id, "wrongSubprotocol", supported])
        }
        BackendReply::Resend(to) => json!([id, "resend", address(to)]),
        BackendReply::Approved => json!([id, "approved"]),
        BackendReply::Forbidden => json!([id, "forbidden"]),
        BackendReply::Action(added) => {
            let (action, meta) = &**added;
            json!([
                id,
                "action",
                action.as_json(),
                address(&meta.to),
                meta.draft.time.unwrap().as_millis()
            ])
        }
        BackendReply::Processed => json!([id, "processed"]),
        BackendReply::UnknownAction => json!([id, "unknownAction"]),
        BackendReply::UnknownChannel => json!([id, "unknownChannel"]),
        BackendReply::Error { details } => json!([id, "error", details]),
        other => panic!("{other:?}"),
    }
}

/// What is read from pieces: the answers, and how it ended.
fn read(pieces: &[&[u8]]) -> (Vec<Value>, Option<&'static str>) {
    let mut answers = ResponseReader::new(1_000);
    let mut replies = Vec::new();
    for piece in pieces {
        answers.push(piece);
        while let Some(next) = answers.next() {
            match next {
                Ok(answer) => replies.push(written(&answer)),
                Err(BackendError::NotAList) => return (replies, Some("list")),
                Err(BackendError::NotAnAnswer { .. }) => return (replies, Some("answer")),
                Err(BackendError::Unknown(_)) => return (replies, Some("unknown")),
                Err(other) => panic!("{other}"),
            }
        }
    }
    (replies, answers.finish().err().map(|_| "truncated"))
}

#[test]
fn answers_are_read_however_they_are_cut() {
    for vector in vectors("answers") {
        let body = vector["body"].as_str().unwrap().as_bytes();
        let ends = vector["fails"].as_str().or(vector["ends"].as_str());
        for at in 0..=body.len() {
            let (replies, ended) = read(&[&body[..at], &body[at..]]);
            assert_eq!(
                (json!(replies), ended),
                (vector["replies"].clone(), ends),
                "{vector} cut at {at}"
            );
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(json!(read(&bytes).0), vector["replies"]);
    }
}

#[test]
fn an_answer_has_a_bound() {
    let mut answers = ResponseReader::new(20);
    answers.push(br#"[{"answer":"approved","id":"long"}]"#);
    assert_eq!(answers.next().unwrap().unwrap_err(), BackendError::TooLong { limit: 20 });
}

#[test]
fn requests_of_a_back_end() {
    for vector in vectors("control") {
        let body = vector["body"].as_str().unwrap().as_bytes();
        match ControlRequest::from_json(body).and_then(|request| request.actions()) {
            Ok(actions) => {
                let seen: Vec<_> = actions
                    .iter()
                    .map(|(action, meta)| json!([action.as_json(), address(&meta.to)]))
                    .collect();
                assert_eq!(json!(seen), vector["actions"]);
            }
            Err(error) => assert_eq!(json!(error.to_string()), vector["error"], "{vector}"),
        }
    }
}

#[test]
fn what_a_back_end_is_asked() {
    let meta = Meta::new("1487805099387 100:FnFBw6mk:Zp_h 0".parse().unwrap());
    let entry = Entry::new(Action::new(r#"{"type":"INC","b":1.50,"a":"\ud83d"}"#).unwrap(), meta);
    let headers = Json::new(r#"{"locale":"fr"}"#).unwrap();
    let subprotocol = Subprotocol::Number(2);
    let action =
        ActionCommand { entry: &entry, subprotocol: Some(&subprotocol), headers: Some(&headers) };
    let auth = AuthCommand {
        auth_id: "gf4Ygi6grYZYDH5Z2BsoR",
        user_id: Some("38"),
        token: Some("parole"),
        cookie: [("token".to_owned(), "a=b".to_owned())].into(),
        ..AuthCommand::default()
    };
    let commands = [auth.to_command().unwrap(), action.to_command().unwrap()];
    assert_eq!(
        request("s\"", &commands),
        concat!(
            r#"{"version":4,"secret":"s\"","commands":["#,
            r#"{"command":"auth","authId":"gf4Ygi6grYZYDH5Z2BsoR","userId":"38","token":"parole","subprotocol":"0.0.0","cookie":{"token":"a=b"},"headers":{}},"#,
            r#"{"command":"action","action":{"type":"INC","b":1.50,"a":"\ud83d"},"#,
            r#""meta":{"id":"1487805099387 100:FnFBw6mk:Zp_h 0","time":1487805099387,"subprotocol":"2.0.0"},"headers":{"locale":"fr"}}]}"#
        )
    );
    assert!(!format!("{commands:?}").contains("parole"));
}
