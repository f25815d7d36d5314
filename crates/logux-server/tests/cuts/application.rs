//! The application behind the cuts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use logux::{Action, ActionId, store::Store};
use logux_server::{Running, Server};

/// How often each action was processed: the database of the application.
#[derive(Clone, Default)]
pub(crate) struct Processed(Arc<Mutex<HashMap<ActionId, usize>>>);

impl Processed {
    fn note(&self, id: &ActionId) {
        *self.0.lock().expect("no panic").entry(id.clone()).or_default() += 1;
    }

    /// How often each action of a node was.
    pub(crate) fn of_node(&self, node: &str) -> Vec<usize> {
        let all = self.0.lock().expect("no panic");
        all.iter().filter(|(id, _)| id.node().to_string() == node).map(|(_, times)| *times).collect()
    }

    pub(crate) fn times(&self, id: &str) -> usize {
        let id = id.parse().expect("an id");
        self.0.lock().expect("no panic").get(&id).copied().unwrap_or_default()
    }
}

pub(crate) async fn start<St: Store + Send + 'static>(processed: Processed, store: St) -> Running {
    let action = |json: &str| Action::new(json).expect("an action");
    Server::builder_with(processed)
        .auth(|_| async { Ok(true) })
        .channel("room/:id", move |on| {
            on.access(|_| async { Ok(true) }).load(move |_| async move { Ok(action(r#"{"type":"room/set"}"#)) })
        })
        .action_type("inc", move |on| {
            on.access(|_| async { Ok(true) }).process(move |context| async move {
                context.state().note(&context.meta().id);
                context.send_back(action(r#"{"type":"counted"}"#)).await;
                Ok(())
            })
        })
        .action_type("forbidden", |on| on.access(|_| async { Ok(false) }))
        .store(store)
        .settings(|settings| settings.id = Some("same".into()))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}
