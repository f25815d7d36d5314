//! The server is killed at the position of the cut, and restarted with the same files.
//!
//! The server is a process: this program, which runs as a server if an environment variable says
//! so. It is killed when the bytes before the cut were forwarded, while the connection is still
//! open. Two processes are slow, so the cuts are [`STRIDE`] bytes apart, with a different first cut
//! in each test; `LOGUX_CUT_STRIDE=1` cuts at every byte.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use futures_util::future::join_all;
use logux_sqlite::{Database, SqliteInbox, rusqlite::Connection};
use tokio::{
    sync::{Notify, watch},
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    UNCUT, all_cuts, application,
    application::Processed,
    conversation::{Conversation, NewsSource},
};

const FOLDER: &str = "LOGUX_TEST_CUTS_FOLDER";

/// The distance of the cuts, in bytes.
const STRIDE: usize = 3;

/// The number of concurrent servers.
const CONCURRENCY: usize = 4;

/// The program under test: a server that prints its address.
#[test]
fn serve_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let log = Database::open(folder.join("log.db")).expect("the server's log");
        let server = application::start(database(&folder), log.store()).await;
        println!("\nserves {}", server.address());
        std::future::pending::<()>().await;
        drop(server);
    });
}

/// Opens the application's database.
fn database(folder: &Path) -> Processed {
    let database = Connection::open(folder.join("application.db")).expect("a database");
    let _: String =
        database.query_one("PRAGMA journal_mode = WAL", [], |row| row.get(0)).expect("a mode");
    database
        .execute_batch("CREATE TABLE IF NOT EXISTS processed (node TEXT, id TEXT)")
        .expect("a table");
    let inbox = SqliteInbox::create(&database).expect("a table");
    Processed::InFile(Arc::new(Mutex::new(database)), inbox)
}

/// One server process, which is killed when this is dropped.
struct ServerProcess(Child);

impl ServerProcess {
    fn start(folder: &Path) -> (Self, SocketAddr) {
        let mut server = Command::new(std::env::current_exe().expect("the path of this program"))
            .args([
                "--exact",
                "killed_server::serve_until_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(server.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| line.strip_prefix("serves ").and_then(|address| address.parse().ok()));
        (Self(server), address.expect("an address"))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that is restarted when it was killed.
struct RestartedServer {
    restarter: Arc<Restarter>,
    processed: Processed,
    restarting: JoinHandle<()>,
}

struct Restarter {
    folder: PathBuf,
    process: Mutex<Option<ServerProcess>>,
    /// The address of the process, while it is running.
    address: watch::Sender<Option<SocketAddr>>,
    killed: Notify,
}

impl Restarter {
    async fn run(self: Arc<Self>) {
        loop {
            let folder = self.folder.clone();
            let (process, address) =
                spawn_blocking(move || ServerProcess::start(&folder)).await.expect("no panic");
            *self.process.lock().expect("no panic") = Some(process);
            self.address.send_replace(Some(address));
            self.killed.notified().await;
        }
    }

    fn kill(&self) {
        // No client may connect to an address that another process could use soon.
        self.address.send_replace(None);
        let process = self.process.lock().expect("no panic").take();
        // A process that is being started is not killed, and no other is started meanwhile, because
        // both would use the same files.
        if process.is_some() {
            drop(process);
            self.killed.notify_one();
        }
    }
}

impl RestartedServer {
    fn start(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("cuts-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let processed = database(&folder);
        let (address, killed) = (watch::channel(None).0, Notify::new());
        let restarter = Arc::new(Restarter { folder, process: Mutex::default(), address, killed });
        Self { restarting: tokio::spawn(restarter.clone().run()), restarter, processed }
    }

    /// Returns a function that kills the process.
    fn killer(&self) -> impl FnOnce() + Send + use<> {
        let restarter = self.restarter.clone();
        move || restarter.kill()
    }

    async fn with_device(&self, conversation: Conversation) -> [usize; 2] {
        let address = self.restarter.address.subscribe();
        conversation
            .with_device(address, NewsSource::OnRequest, &self.processed, self.killer())
            .await
    }

    async fn with_client(&self, conversation: Conversation) -> [usize; 2] {
        let address = self.restarter.address.subscribe();
        let (bytes, counted) =
            conversation.with_client(address, &self.processed, self.killer()).await;
        // A handler that is called again sends its action again.
        assert!(
            (2..=4).contains(&counted),
            "{counted} actions were sent back at {:?}",
            conversation.cut
        );
        bytes
    }
}

impl Drop for RestartedServer {
    fn drop(&mut self) {
        self.restarting.abort();
        drop(self.restarter.process.lock().map(|mut process| process.take()));
        let _ = fs::remove_dir_all(&self.restarter.folder);
    }
}

/// Each server runs its share of the conversations, one after the other.
async fn kill_at_cuts(
    name: &str,
    first: usize,
    converse: impl AsyncFn(&RestartedServer, Conversation) -> [usize; 2],
) {
    let stride = std::env::var("LOGUX_CUT_STRIDE")
        .ok()
        .and_then(|stride| stride.parse().ok())
        .unwrap_or(STRIDE);
    let runs = (0..CONCURRENCY).map(|run| {
        let converse = &converse;
        async move {
            let server = RestartedServer::start(&format!("{name}-{run}"));
            let bytes = converse(&server, UNCUT).await;
            for conversation in
                all_cuts(bytes).skip(first % stride).step_by(stride).skip(run).step_by(CONCURRENCY)
            {
                converse(&server, conversation).await;
            }
        }
    });
    join_all(runs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_resend_synced_actions() {
    kill_at_cuts("device", 0, RestartedServer::with_device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_logux_client() {
    kill_at_cuts("client", STRIDE / 2, RestartedServer::with_client).await;
}
