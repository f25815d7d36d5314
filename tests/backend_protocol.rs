//! The vectors of the back-end protocol: responses cut at all positions, control requests, and the
//! commands that are sent.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    Action, Entry, Json, Meta,
    action::Subprotocol,
    backend::{
        ActionCommand, AuthCommand, BackendAnswer, BackendError, BackendReply, ControlCommand,
        ControlRequest, ResponseReader, request,
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

fn to_json(answer: &BackendAnswer) -> Value {
    let id = &answer.id;
    match &answer.reply {
        BackendReply::Authenticated { subprotocol, expires: None } => {
            json!([id, "authenticated", subprotocol])
        }
        BackendReply::Authenticated { subprotocol, expires: Some(time) } => {
            json!([id, "authenticated", subprotocol, time.as_millis()])
        }
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

/// Returns the answers that are read from the pieces of a body, and the error at its end.
fn read(pieces: &[&[u8]]) -> (Vec<Value>, Option<&'static str>) {
    let mut reader = ResponseReader::new(1_000);
    let mut replies = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(next) = reader.next() {
            match next {
                Ok(answer) => replies.push(to_json(&answer)),
                Err(BackendError::NotAList) => return (replies, Some("list")),
                Err(BackendError::NotAnAnswer { .. }) => return (replies, Some("answer")),
                Err(BackendError::Unknown(_)) => return (replies, Some("unknown")),
                Err(other) => panic!("{other}"),
            }
        }
    }
    (replies, reader.finish().err().map(|_| "truncated"))
}

#[test]
fn answers_are_read_from_any_pieces() {
    for vector in vectors("answers") {
        let body = vector["body"].as_str().unwrap().as_bytes();
        let ends = vector["fails"].as_str().or(vector["ends"].as_str());
        for at in 0..=body.len() {
            let (replies, end) = read(&[&body[..at], &body[at..]]);
            assert_eq!(
                (json!(replies), end),
                (vector["replies"].clone(), ends),
                "{vector} cut at {at}"
            );
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(json!(read(&bytes).0), vector["replies"]);
    }
}

#[test]
fn an_answer_has_a_size_limit() {
    let mut reader = ResponseReader::new(20);
    reader.push(br#"[{"answer":"approved","id":"long"}]"#);
    assert_eq!(reader.next().unwrap().unwrap_err(), BackendError::TooLong { limit: 20 });
}

#[test]
fn control_requests_are_read() {
    for vector in vectors("control") {
        let body = vector["body"].as_str().unwrap().as_bytes();
        match ControlRequest::from_json(body).and_then(|request| request.commands()) {
            Ok(commands) => {
                let read: Vec<_> = commands
                    .iter()
                    .map(|command| match command {
                        ControlCommand::Action(added) => {
                            json!([added.0.as_json(), address(&added.1.to)])
                        }
                        ControlCommand::Unsubscribe { clients, channel } => {
                            json!(["unsubscribe", address(clients), channel])
                        }
                        ControlCommand::Disconnect { clients, is_final } => {
                            json!(["disconnect", address(clients), is_final])
                        }
                        other => panic!("a new command: {other:?}"),
                    })
                    .collect();
                assert_eq!(json!(read), vector["commands"]);
            }
            Err(error) => assert_eq!(json!(error.to_string()), vector["error"], "{vector}"),
        }
    }
}

#[test]
fn commands_to_a_back_end() {
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
