//! The application of the server under test.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use logux::{Action, ActionId, store::Store};
use logux_server::{HandlerError, RunningServer, Server};

/// The database of the application: how many count each action was processed.
#[derive(Clone)]
pub(crate) enum Processed {
    /// For a server that is not killed.
    InMemory(Arc<Mutex<HashMap<ActionId, usize>>>),
    /// For a server that is killed: with the ids of the actions in the same transactions.
    #[cfg(feature = "sqlite")]
    InFile(Arc<Mutex<logux_sqlite::rusqlite::Connection>>, logux_sqlite::SqliteInbox),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic")
}

impl Processed {
    pub(crate) fn in_memory() -> Self {
        Self::InMemory(Arc::default())
    }

    async fn record(self, id: ActionId) -> Result<(), HandlerError> {
        match self {
            Self::InMemory(all) => *locked(&all).entry(id).or_default() += 1,
            #[cfg(feature = "sqlite")]
            Self::InFile(database, inbox) => {
                let record = move || -> Result<(), HandlerError> {
                    let mut database = locked(&database);
                    let transaction = database.transaction()?;
                    if inbox.insert(&transaction, &id)? {
                        let node = id.node().to_string();
                        transaction.execute(
                            "INSERT INTO processed VALUES (?1, ?2)",
                            [node, id.to_string()],
                        )?;
                    }
                    Ok(transaction.commit()?)
                };
                tokio::task::spawn_blocking(record).await??;
            }
        }
        Ok(())
    }

    /// Returns how many count each action of a node was processed.
    pub(crate) fn of_node(&self, node: &str) -> HashMap<String, usize> {
        match self {
            Self::InMemory(all) => {
                let all = locked(all);
                let of_node = all.iter().filter(|(id, _)| id.node().to_string() == node);
                of_node.map(|(id, count)| (id.to_string(), *count)).collect()
            }
            #[cfg(feature = "sqlite")]
            Self::InFile(database, _) => {
                let database = locked(database);
                let query = "SELECT id, count(*) FROM processed WHERE node = ?1 GROUP BY id";
                let mut query = database.prepare_cached(query).expect("a query");
                let rows = query.query_map([node], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
                let rows = rows.expect("rows").map(|row| row.expect("a row"));
                rows.map(|(id, count)| (id, usize::try_from(count).expect("a count"))).collect()
            }
        }
    }
}

pub(crate) async fn start<St: Store + Send + 'static>(
    processed: Processed,
    store: St,
) -> RunningServer {
    let action = |json: &str| Action::new(json).expect("an action");
    Server::builder_with(processed)
        .auth(|_| async { Ok(true) })
        .channel("room/:id", move |on| {
            on.access(|_| async { Ok(true) })
                .load(move |_| async move { Ok(action(r#"{"type":"room/set"}"#)) })
        })
        .action_type("inc", move |on| {
            on.access(|_| async { Ok(true) }).process(move |context| async move {
                context.state().clone().record(context.meta().id.clone()).await?;
                context.send_back(action(r#"{"type":"counted"}"#)).await;
                Ok(())
            })
        })
        .action_type("shout", move |on| {
            on.access(|_| async { Ok(true) }).process(move |context| async move {
                let room = context.action().str_field("room").unwrap_or_default().into_owned();
                context.server().send(action(r#"{"type":"news"}"#), room).await;
                Ok(())
            })
        })
        .action_type("forbidden", |on| on.access(|_| async { Ok(false) }))
        .store(store)
        .config(|config| config.id = Some("same".into()))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}
