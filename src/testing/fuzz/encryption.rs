//! Encrypted actions, and what they contain.

use crate::{
    action::{Action, NodeId},
    client::{Client, Config, EncryptedAction, EncryptionConfig, Input, Output},
    store::MemoryStore,
    sync,
    time::Now,
};

/// The limit of a decrypted action, in bytes. Small, so that inputs reach it.
const LIMIT: usize = 256;

/// Checks that an encrypted action survives reading and writing, and that a client with encryption
/// reports any received action, and any plaintext of an encrypted one, once, and confirms it.
///
/// # Panics
/// If a property does not hold.
pub fn encryption(text: &str) {
    let sealed =
        EncryptedAction { iv: [0; 12], data: text.as_bytes().to_vec(), is_compressed: false };
    let action = sealed.to_action();
    assert_eq!(EncryptedAction::from_action(&action), Ok(sealed));
    receive(&action, text);
    if let Ok(action) = Action::new(text) {
        if let Ok(encrypted) = EncryptedAction::from_action(&action) {
            assert_eq!(EncryptedAction::from_action(&encrypted.to_action()), Ok(encrypted));
        }
        receive(&action, text);
    }
}

/// Lets a client receive an action, and decrypt it to this plaintext if it is encrypted.
fn receive(action: &Action, plaintext: &str) {
    let now = Now::from_millis(1, 0);
    let node = NodeId::new("10:phone:1").expect("a node id");
    let config = Config { node: sync::Config::client(node).into(), token: None };
    let encryption = EncryptionConfig { max_action_bytes: LIMIT, ..EncryptionConfig::default() };
    let mut client = Client::new(config, MemoryStore::new())
        .and_then(|client| client.with_encryption(encryption))
        .expect("a store in memory");
    let sync = format!(r#"["sync",1,{},{{"id":[1,"10:b:1",0],"time":1}}]"#, action.as_json());
    let frames = [r#"["connected",5,"server:x",[0,0]]"#, &sync];
    let frames = frames.into_iter().map(Input::Frame);
    let (mut reports, mut is_confirmed, mut is_refused) = (0, false, false);
    for input in [Input::Opened].into_iter().chain(frames) {
        client.handle(now, input).expect("a store in memory");
        while client.needs_commit() {
            client.commit(now).expect("a store in memory");
            while let Some(output) = client.poll_output() {
                match output {
                    Output::Decrypt(request) => {
                        let response = Input::Decrypted(request.token, Ok(plaintext.as_bytes()));
                        client.handle(now, response).expect("a store in memory");
                    }
                    Output::Added(_) | Output::Ignored(..) | Output::EncryptionFailed(..) => {
                        reports += 1;
                    }
                    Output::Send(frame) => is_confirmed |= frame == r#"["synced",1]"#,
                    // The action exceeds a limit of messages.
                    Output::Disconnect(_) | Output::Debug(_) => is_refused = true,
                    _ => {}
                }
            }
        }
    }
    assert!(is_refused || (reports == 1 && is_confirmed), "{reports} reports");
}
