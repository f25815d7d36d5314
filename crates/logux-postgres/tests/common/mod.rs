//! A PostgreSQL server for one test: in a folder of its own, on a free port, gone afterwards.
#![allow(dead_code, reason = "each test file uses a part of it")]

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

/// The programs are those of Debian's package `postgresql`; `LOGUX_POSTGRES_BIN` may name another folder with `initdb` and `postgres`.
const BIN: &str = "LOGUX_POSTGRES_BIN";

static COUNT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("logux-postgres-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let made =
            Command::new("install").args(["-d", "-m", "700"]).args(owner()).arg(&folder).status();
        assert!(made.expect("install").success(), "a folder for the database");
        let initdb = as_user("initdb")
            .args([
                "--username=logux",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
                "-D",
            ])
            .arg(folder.join("data"))
            .current_dir(&folder)
            .output()
            .expect("initdb runs");
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        // Another program may take the port before the server does.
        for _ in 0..5 {
            let port = free_port();
            let process = launch(&folder, port);
            let mut server = Self { folder: folder.clone(), port, process };
            if server.ready().await {
                return server;
            }
            server.folder = PathBuf::new();
        }
        panic!(
            "PostgreSQL does not start: {}",
            fs::read_to_string(folder.join("log")).unwrap_or_default()
        );
    }

    /// Waits until it answers; `false` when it has ended instead.
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

    /// Connections, so many at most.
    pub(crate) async fn pool(&self, connections: u32) -> PgPool {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(60));
        pool.connect_with(self.options()).await.expect("connections")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A fast stop: connections are cut.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-INT", &pid]).status();
        let _ = self.process.wait();
        if !self.folder.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn launch(folder: &Path, port: u16) -> Child {
    let log = fs::File::create(folder.join("log")).expect("a log file");
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
        .arg(folder.join("data"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("postgres runs")
}

/// A program of PostgreSQL, which refuses to run as root. It ends with the test, however that ends.
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
            "these tests need PostgreSQL: install Debian's package `postgresql`, or set {BIN} to the folder of initdb"
        )
    })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|probe| probe.local_addr())
        .expect("a free port")
        .port()
}
