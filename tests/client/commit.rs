//! Outputs wait for the commit, and tell what has become of own actions.

use logux::{
    Action, ActionId, NodeId, Now,
    client::{Client, Config, Fate, Input, Output},
    log::Draft,
    sync,
    testing::CrashStore,
};

const NOW: Now = Now::from_millis(1_564_508_138_460, 0);

fn start(tab: &str, store: CrashStore) -> Client<CrashStore> {
    let node = sync::Config::client(NodeId::new(format!("10:phone:{tab}")).unwrap());
    Client::new(Config { node: node.into(), token: None }, store).unwrap()
}

fn note(text: &str) -> Action {
    Action::new(format!(r#"{{"type":"note","text":"{text}"}}"#)).unwrap()
}

/// Takes the outputs: the frames that are sent, and the fates of actions.
fn outputs(client: &mut Client<CrashStore>) -> (Vec<String>, Vec<(ActionId, Fate)>) {
    let (mut frames, mut fates) = (Vec::new(), Vec::new());
    while let Some(output) = client.poll_output() {
        match output {
            Output::Send(frame) => frames.push(frame),
            Output::Fate(id, fate) => fates.push((id, fate)),
            _ => {}
        }
    }
    (frames, fates)
}

fn commit(client: &mut Client<CrashStore>) -> (Vec<String>, Vec<(ActionId, Fate)>) {
    let (mut frames, mut fates) = (Vec::new(), Vec::new());
    while client.needs_commit() {
        client.commit(NOW).unwrap();
        let (more_frames, more_fates) = outputs(client);
        frames.extend(more_frames);
        fates.extend(more_fates);
    }
    (frames, fates)
}

/// Opens a connection, without a commit.
fn open(client: &mut Client<CrashStore>) {
    let time = NOW.wall.as_millis();
    let connected = format!(r#"["connected",5,"server:x",[{time},{time}]]"#);
    for input in [Input::Opened, Input::Frame(&connected)] {
        client.handle(NOW, input).unwrap();
    }
}

fn receive(client: &mut Client<CrashStore>, frame: &str) {
    client.handle(NOW, Input::Frame(frame)).unwrap();
}

#[test]
fn nothing_is_sent_or_told_before_the_commit() {
    let mut client = start("1", CrashStore::new());
    open(&mut client);
    commit(&mut client);
    let id = client.sync(NOW, note("a")).unwrap();
    assert!(client.needs_commit());
    assert_eq!(outputs(&mut client), (Vec::new(), Vec::new()));
    let (frames, fates) = commit(&mut client);
    assert!(frames.iter().any(|frame| frame.contains("note")), "{frames:?}");
    assert_eq!(fates, [(id, Fate::Sent)]);
    assert!(!client.needs_commit());
}

#[test]
fn received_actions_are_confirmed_when_they_are_durable() {
    let mut client = start("1", CrashStore::new());
    open(&mut client);
    commit(&mut client);
    receive(&mut client, r#"["sync",1,{"type":"a"},{"id":[1,"20:x:y",0],"time":1}]"#);
    assert!(client.poll_output().is_none());
    let (frames, _) = commit(&mut client);
    assert_eq!(frames, [r#"["synced",1]"#]);
}

#[test]
fn a_crash_before_the_commit_loses_what_nobody_was_told() {
    let mut client = start("1", CrashStore::new());
    let kept = client.sync(NOW, note("kept")).unwrap();
    let (_, fates) = commit(&mut client);
    assert_eq!(fates, [(kept.clone(), Fate::Kept)]);
    client.sync(NOW, note("lost")).unwrap();
    let mut client = start("2", client.into_store().crash());
    assert_eq!(client.unconfirmed(), 1);
    open(&mut client);
    let (frames, fates) = commit(&mut client);
    let sent = frames.join("\n");
    assert!(sent.contains("kept") && !sent.contains("lost"), "{sent}");
    assert_eq!(fates, [(kept, Fate::Sent)], "with its id");
}

#[test]
fn the_fate_of_an_action_is_told_until_it_is_answered() {
    let mut client = start("1", CrashStore::new());
    let id = client.sync(NOW, note("a")).unwrap();
    assert_eq!(client.fate(&id).unwrap(), Some(Fate::Kept));
    commit(&mut client);
    open(&mut client);
    assert_eq!(commit(&mut client).1, [(id.clone(), Fate::Sent)]);
    assert_eq!((client.fate(&id).unwrap(), client.unconfirmed()), (Some(Fate::Sent), 1));
    receive(&mut client, r#"["synced",1]"#);
    assert_eq!(commit(&mut client).1, [(id.clone(), Fate::Confirmed)]);
    assert_eq!((client.fate(&id).unwrap(), client.unconfirmed()), (Some(Fate::Confirmed), 0));
    let answer = format!(
        r#"["sync",1,{{"type":"logux/processed","id":"{id}"}},{{"id":[1,"server:x",0],"time":1}}]"#
    );
    receive(&mut client, &answer);
    assert_eq!(commit(&mut client).1, [(id.clone(), Fate::Processed)]);
    assert_eq!((client.fate(&id).unwrap(), client.unconfirmed()), (None, 0));
}

#[test]
fn local_actions_stay_on_the_device() {
    let mut client = start("1", CrashStore::new());
    let entry = client.add(NOW, note("draft"), Draft::reason("drafts")).unwrap().unwrap();
    assert!(entry.meta.added.is_some());
    open(&mut client);
    let (frames, fates) = commit(&mut client);
    assert!(!frames.join("").contains("draft"), "{frames:?}");
    assert_eq!((fates, client.unconfirmed()), (Vec::new(), 0));
    let client = start("2", client.into_store().crash());
    assert!(client.log().by_id(&entry.meta.id).unwrap().is_some());
}

#[test]
fn an_action_has_what_its_draft_says() {
    let mut client = start("1", CrashStore::new());
    let draft = Draft::reason("notes").index("notes/1");
    let id = client.sync_with(NOW, note("a"), draft).unwrap();
    let meta = client.log().by_id(&id).unwrap().unwrap().meta;
    assert!(["notes", "syncing"].iter().all(|name| meta.reasons.iter().any(|own| &**own == *name)));
    assert!(meta.indexes.iter().any(|index| &**index == "notes/1"));
}

#[test]
fn the_correction_of_the_clock_is_kept() {
    let mut client = start("1", CrashStore::new());
    let ahead = NOW.wall.as_millis() + 5_000;
    client.handle(NOW, Input::Opened).unwrap();
    let connected = format!(r#"["connected",5,"server:x",[{ahead},{ahead}]]"#);
    receive(&mut client, &connected);
    commit(&mut client);
    let client = start("2", client.into_store().crash());
    assert_eq!(client.log().value("timeFix").unwrap().as_deref(), Some("-5000"));
}
