//! Kills a server while it processes an action, before and after the commit of the application's
//! own database: the action is processed again after the restart, and its effect happens once.
#![cfg(feature = "sqlite")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use logux::{Action, ActionId};
use logux_client::{Backoff, Client};
use logux_net::WebSocketConnector;
use logux_server::{HandlerError, Server};
use logux_sqlite::{
    Database,
    rusqlite::{self, Connection},
};
use tokio::time::timeout;

#[cfg(feature = "postgres")]
#[path = "../../logux-postgres/tests/common/mod.rs"]
mod server;

const FOLDER: &str = "LOGUX_TEST_INBOX_FOLDER";
const PORT: &str = "LOGUX_TEST_INBOX_PORT";
const CRASH: &str = "LOGUX_TEST_INBOX_CRASH";
const POSTGRES: &str = "LOGUX_TEST_INBOX_POSTGRES";
const TIMEOUT: Duration = Duration::from_secs(60);

/// When the process kills itself, as by a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    Before,
    After,
    Never,
}

impl Crash {
    fn at(self, moment: Self) {
        if self == moment {
            let killed =
                Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
            panic!("the process should be killed, but: {killed:?}");
        }
    }
}

/// The application's database, with one account.
#[derive(Clone)]
enum Bank {
    Sqlite(Arc<Mutex<Connection>>, logux_sqlite::SqliteInbox),
    #[cfg(feature = "postgres")]
    Postgres(logux_postgres::sqlx::PgPool),
}

impl Bank {
    async fn pay(self, id: ActionId, crash: Crash) -> Result<(), HandlerError> {
        match self {
            Self::Sqlite(bank, inbox) => {
                let pay = move || -> Result<(), HandlerError> {
                    let mut bank =
                        bank.lock().map_err(|_| HandlerError::failed("a payment panicked"))?;
                    let transaction = bank.transaction()?;
                    if inbox.insert(&transaction, &id)? {
                        transaction.execute("UPDATE account SET balance = balance + 1", [])?;
                    }
                    crash.at(Crash::Before);
                    transaction.commit()?;
                    crash.at(Crash::After);
                    Ok(())
                };
                tokio::task::spawn_blocking(pay).await?
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(bank) => {
                let mut transaction = bank.begin().await?;
                if logux_postgres::PostgresInbox.insert(&mut transaction, &id).await? {
                    let pay = "UPDATE account SET balance = balance + 1";
                    logux_postgres::sqlx::query(pay).execute(&mut *transaction).await?;
                }
                crash.at(Crash::Before);
                transaction.commit().await?;
                crash.at(Crash::After);
                Ok(())
            }
        }
    }
}

/// The program under test: a server that prints `ready` when it listens.
#[test]
fn serve_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let port: u16 = std::env::var(PORT).ok().and_then(|port| port.parse().ok()).expect("a port");
    let crash = match std::env::var(CRASH).as_deref() {
        Ok("Before") => Crash::Before,
        Ok("After") => Crash::After,
        _ => Crash::Never,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let calls = folder.join("calls");
        let bank = bank(&folder).await;
        let database = Database::open(folder.join("log.db")).expect("the server's log");
        let server = Server::builder()
            .store(database.store())
            .auth(|_| async { Ok(true) })
            .action_type("pay", |action| {
                action.access(|_| async { Ok(true) }).process(move |context| {
                    let (bank, calls) = (bank.clone(), calls.clone());
                    async move {
                        let mut calls =
                            fs::File::options().create(true).append(true).open(calls)?;
                        writeln!(calls, "{}", context.meta().id)?;
                        bank.pay(context.meta().id.clone(), crash).await
                    }
                })
            })
            .listen(([127, 0, 0, 1], port).into())
            .await
            .expect("a server");
        println!("\nready");
        std::future::pending::<()>().await;
        drop(server);
    });
}

async fn bank(folder: &Path) -> Bank {
    #[cfg(feature = "postgres")]
    if let Ok(url) = std::env::var(POSTGRES) {
        return Bank::Postgres(
            logux_postgres::sqlx::PgPool::connect(&url).await.expect("connections"),
        );
    }
    let bank = Connection::open(folder.join("bank.db")).expect("a database");
    let inbox = logux_sqlite::SqliteInbox::create(&bank).expect("a table");
    Bank::Sqlite(Arc::new(Mutex::new(bank)), inbox)
}

/// One server process, which is killed when this is dropped.
struct ServerProcess(Child);

impl ServerProcess {
    fn start(folder: &Path, port: u16, crash: Crash, postgres: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command
            .args(["--exact", "serve_until_killed", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(PORT, port.to_string())
            .env(CRASH, format!("{crash:?}"))
            .stdout(Stdio::piped());
        if let Some(url) = postgres {
            command.env(POSTGRES, url);
        }
        Self(command.spawn().expect("a process"))
    }

    /// Returns when the server listens, or has already killed itself while it processed an action
    /// of its previous process.
    fn wait_until_ready(&mut self) {
        let output = BufReader::new(self.0.stdout.take().expect("its output"));
        let _ = output.lines().map_while(Result::ok).find(|line| line == "ready");
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills the server at each of the moments in turn, then lets it run. Returns how many times the
/// action was processed.
async fn pay_through(folder: &Path, crashes: &[Crash], postgres: Option<&str>) -> usize {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = probe.local_addr().expect("a port").port();
    drop(probe);
    let connector = WebSocketConnector::new(&format!("ws://127.0.0.1:{port}")).expect("an address");
    let (min_delay, max_delay) = (Duration::from_millis(10), Duration::from_millis(100));
    let backoff = Backoff { min_delay, max_delay, ..Backoff::default() };
    let client = Client::builder("10:phone:tab").expect("a user").backoff(backoff).start(connector);
    let pay = Action::new(r#"{"type":"pay"}"#).expect("an action");
    let paying = tokio::spawn(async move { client.sync(pay).await });
    for crash in crashes {
        let mut process = ServerProcess::start(folder, port, *crash, postgres);
        let ended = tokio::task::spawn_blocking(move || {
            process.wait_until_ready();
            process.0.wait()
        });
        timeout(TIMEOUT, ended)
            .await
            .expect("the action kills the process")
            .expect("no panic")
            .expect("its exit status");
    }
    let _process = ServerProcess::start(folder, port, Crash::Never, postgres);
    timeout(TIMEOUT, paying).await.expect("an answer").expect("no panic").expect("processed");
    let calls = fs::read_to_string(folder.join("calls")).expect("calls");
    let ids: Vec<&str> = calls.lines().collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "expected the same action each time: {ids:?}");
    ids.len()
}

fn folder(name: &str) -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("inbox-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

const CRASHES: [&[Crash]; 3] = [
    &[Crash::Before],
    &[Crash::After],
    &[Crash::Before, Crash::Before, Crash::After, Crash::After, Crash::After],
];

#[tokio::test(flavor = "multi_thread")]
async fn an_action_takes_effect_once_in_sqlite() -> Result<(), rusqlite::Error> {
    for (n, crashes) in CRASHES.into_iter().enumerate() {
        let folder = folder(&format!("sqlite-{n}"));
        let bank = Connection::open(folder.join("bank.db"))?;
        bank.execute_batch(
            "CREATE TABLE account (balance INTEGER); INSERT INTO account VALUES (0)",
        )?;
        let calls = pay_through(&folder, crashes, None).await;
        assert_eq!(calls, crashes.len() + 1, "the handler is called again after each crash");
        let balance: i64 = bank.query_one("SELECT balance FROM account", [], |row| row.get(0))?;
        assert_eq!(balance, 1, "after {crashes:?}");
        let _ = fs::remove_dir_all(&folder);
    }
    Ok(())
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn an_action_takes_effect_once_in_postgres() {
    use logux_postgres::sqlx;
    let server = server::Server::start().await;
    let pool = server.pool(1).await;
    logux_postgres::migrate(&pool).await.expect("tables");
    sqlx::raw_sql("CREATE TABLE account (balance BIGINT)").execute(&pool).await.expect("a table");
    for (n, crashes) in CRASHES.into_iter().enumerate() {
        let folder = folder(&format!("postgres-{n}"));
        sqlx::raw_sql("DELETE FROM account; INSERT INTO account VALUES (0)")
            .execute(&pool)
            .await
            .expect("an account");
        let calls = pay_through(&folder, crashes, Some(&server.url())).await;
        assert_eq!(calls, crashes.len() + 1, "the handler is called again after each crash");
        let balance: i64 = sqlx::query_scalar("SELECT balance FROM account")
            .fetch_one(&pool)
            .await
            .expect("a balance");
        assert_eq!(balance, 1, "after {crashes:?}");
        let _ = fs::remove_dir_all(&folder);
    }
}
