//! A PostgreSQL server for one test, in a temporary directory and on a free port.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use logux_postgres::sqlx::{
    ConnectOptions as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

/// The environment variable for the directory with `initdb` and `postgres`. Defaults to the
/// programs of Debian's package `postgresql`.
const BIN: &str = "LOGUX_POSTGRES_BIN";

static COUNT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub(crate) struct Server {
    directory: PathBuf,
    port: u16,
    process: Child,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("logux-postgres-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let made = Command::new("install")
            .args(["-d", "-m", "700"])
            .args(owner())
            .arg(&directory)
            .status();
        assert!(made.expect("install").success(), "a directory for the database");
        let initdb = as_user("initdb")
            .args([
                "--username=logux",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
                "-D",
            ])
            .arg(directory.join("data"))
            .current_dir(&directory)
            .output()
            .expect("initdb runs");
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        // Another program may take the port before the server binds it.
        for _ in 0..5 {
            let port = free_port();
            let process = launch(&directory, port);
            let mut server = Self { directory: directory.clone(), port, process };
            if server.ready().await {
                return server;
            }
            server.directory = PathBuf::new();
        }
        panic!(
            "PostgreSQL does not start: {}",
            fs::read_to_string(directory.join("log")).unwrap_or_default()
        );
    }

    /// Waits until the server accepts connections; `false` if it has exited.
    async fn ready(&mut self) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(60) {
            if self.options().connect().await.is_ok() {
                return true;
            }
            if self.process.try_wait().expect("the process").is_some() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass();
        options
            .host("127.0.0.1")
            .port(self.port)
            .username("logux")
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://logux@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Returns a pool of at most `connections` connections.
    pub(crate) async fn pool(&self, connections: u32) -> PgPool {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(60));
        pool.connect_with(self.options()).await.expect("connections")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A fast shutdown: it closes open connections.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.process.wait();
        if !self.directory.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn launch(directory: &Path, port: u16) -> Child {
    let log = fs::File::create(directory.join("log")).expect("a log file");
    let port = port.to_string();
    as_user("postgres")
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-c",
            "fsync=off",
            "-p",
            &port,
            "-D",
        ])
        .arg(directory.join("data"))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("postgres runs")
}

/// A command for a program of PostgreSQL, which refuses to run as root. The program is stopped when
/// the test process ends.
fn as_user(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg("--").arg(bin().join(program)).env_remove("PGDATA").env_remove("PGPORT");
    command
}

fn owner() -> &'static [&'static str] {
    if is_root() { &["-o", "postgres", "-g", "postgres"] } else { &[] }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("a process").uid() == 0
}

fn bin() -> PathBuf {
    if let Some(given) = std::env::var_os(BIN) {
        return given.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists());
    let number = |bin: &PathBuf| {
        let version = bin.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    };
    found.max_by_key(number).unwrap_or_else(|| {
        panic!(
            "these tests need PostgreSQL: install Debian's package `postgresql`, or set {BIN} to the directory of initdb"
        )
    })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|probe| probe.local_addr())
        .expect("a free port")
        .port()
}
