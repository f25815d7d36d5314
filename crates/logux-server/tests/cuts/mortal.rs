//! The server is killed where the connection is cut, and started again over the same files.
//!
//! It is a process of its own: this program, which is a server when its environment says so. It is killed when the bytes before the cut have passed, while the
//! connection still seems to be there. Two processes take their time, so the cuts are [`STRIDE`] bytes apart, beginning elsewhere in each test;
//! `LOGUX_CUT_STRIDE=1` cuts at every byte.

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
    UNCUT, all, application,
    application::Processed,
    conversation::{Conversation, News},
};

const FOLDER: &str = "LOGUX_TEST_CUTS_FOLDER";

/// How far apart the cuts are.
const STRIDE: usize = 3;

/// How many servers live and die at a time.
const LANES: usize = 4;

/// The program under test: a server that says where it is.
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

/// The application's database.
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

/// One life of a server, which ends when this is dropped.
struct Life(Child);

impl Life {
    fn begin(folder: &Path) -> (Self, SocketAddr) {
        let mut server = Command::new(std::env::current_exe().expect("the path of this program"))
            .args(["--exact", "mortal::serve_until_killed", "--nocapture", "--test-threads=1"])
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

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that is started again when it was killed.
struct Mortal {
    server: Arc<Server>,
    processed: Processed,
    immortal: JoinHandle<()>,
}

struct Server {
    folder: PathBuf,
    life: Mutex<Option<Life>>,
    /// Where it is, while it is there.
    address: watch::Sender<Option<SocketAddr>>,
    died: Notify,
}

impl Server {
    async fn live(self: Arc<Self>) {
        loop {
            let folder = self.folder.clone();
            let (life, address) =
                spawn_blocking(move || Life::begin(&folder)).await.expect("no panic");
            *self.life.lock().expect("no panic") = Some(life);
            self.address.send_replace(Some(address));
            self.died.notified().await;
        }
    }

    fn kill(&self) {
        // Nobody is sent to where another may be soon.
        self.address.send_replace(None);
        let life = self.life.lock().expect("no panic").take();
        // One that is about to live cannot die, and must not be followed by another: both would want the files.
        if life.is_some() {
            drop(life);
            self.died.notify_one();
        }
    }
}

impl Mortal {
    fn start(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("cuts-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let processed = database(&folder);
        let (address, died) = (watch::channel(None).0, Notify::new());
        let server = Arc::new(Server { folder, life: Mutex::default(), address, died });
        Self { immortal: tokio::spawn(server.clone().live()), server, processed }
    }

    /// What ends its life.
    fn killer(&self) -> impl FnOnce() + Send + use<> {
        let server = self.server.clone();
        move || server.kill()
    }

    async fn with_device(&self, conversation: Conversation) -> [usize; 2] {
        let address = self.server.address.subscribe();
        conversation.with_device(address, News::OnDemand, &self.processed, self.killer()).await
    }

    async fn with_client(&self, conversation: Conversation) -> [usize; 2] {
        let address = self.server.address.subscribe();
        let (bytes, counted) =
            conversation.with_client(address, &self.processed, self.killer()).await;
        // A handler that is called again sends back again.
        assert!((2..=4).contains(&counted), "{counted} were sent back at {:?}", conversation.cut);
        bytes
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.immortal.abort();
        drop(self.server.life.lock().map(|mut life| life.take()));
        let _ = fs::remove_dir_all(&self.server.folder);
    }
}

/// Each of the servers takes part in the conversations whose turn it is, one after the other.
async fn die_at_cuts(
    name: &str,
    first: usize,
    converse: impl AsyncFn(&Mortal, Conversation) -> [usize; 2],
) {
    let stride = std::env::var("LOGUX_CUT_STRIDE")
        .ok()
        .and_then(|stride| stride.parse().ok())
        .unwrap_or(STRIDE);
    let lanes = (0..LANES).map(|lane| {
        let converse = &converse;
        async move {
            let mortal = Mortal::start(&format!("{name}-{lane}"));
            let bytes = converse(&mortal, UNCUT).await;
            for conversation in
                all(bytes).skip(first % stride).step_by(stride).skip(lane).step_by(LANES)
            {
                converse(&mortal, conversation).await;
            }
        }
    });
    join_all(lanes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_repeats_what_is_safe() {
    die_at_cuts("device", 0, Mortal::with_device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_this_project() {
    die_at_cuts("client", STRIDE / 2, Mortal::with_client).await;
}
