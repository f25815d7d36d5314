//! The program as a service: signals, Unix sockets, and the protocols of the service manager.
#![cfg(unix)]

mod process;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixDatagram, UnixStream},
        },
    },
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use process::{RunningProgram, TIMEOUT, folder, logux, program, stderr};

/// A back end that receives one action and responds when the test allows it.
struct BackEnd {
    url: String,
    requests: mpsc::Receiver<()>,
    respond: mpsc::Sender<()>,
}

impl BackEnd {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("a local address"));
        let (request_sender, requests) = mpsc::channel();
        let (respond, permission) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a connection");
            let id = action_id(&mut socket);
            request_sender.send(()).expect("a receiver");
            if permission.recv().is_ok() {
                let body = serde_json::json!([{"answer": "approved", "id": id}, {"answer": "processed", "id": id}]);
                let body = body.to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                socket.write_all((head + &body).as_bytes()).expect("a writable socket");
            }
        });
        Self { url, requests, respond }
    }
}

/// Reads a request and returns the id of its action.
fn action_id(socket: &mut TcpStream) -> serde_json::Value {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = socket.read(&mut buffer).expect("a request");
        assert_ne!(read, 0, "the request is incomplete");
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        if let Ok(request) = serde_json::from_str::<serde_json::Value>(body) {
            return request["commands"][0]["meta"]["id"].clone();
        }
    }
}

/// Starts a server with an action in progress. Returns it, its URL, and the client that waits for
/// the action.
fn in_progress(
    folder: &Path,
    back_end: &BackEnd,
    flags: &[&str],
) -> (RunningProgram, String, std::process::Child) {
    let mut all = vec!["--dev", "--backend", &back_end.url, "--control-secret", "s"];
    all.extend(flags);
    let (server, url) = RunningProgram::serve(folder, &all);
    let send = logux(folder)
        .args(["send", &url, r#"{"type":"slow"}"#])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    back_end.requests.recv_timeout(TIMEOUT).expect("a request");
    (server, url, send)
}

fn status(url: &str) -> String {
    let health = format!("{}/health", url.replace("ws", "http"));
    let output = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &health])
        .output();
    String::from_utf8_lossy(&output.expect("curl").stdout).into_owned()
}

#[test]
fn actions_in_progress_are_finished_at_shutdown() {
    let (folder, back_end) = (folder(), BackEnd::start());
    let (mut server, url, send) = in_progress(folder.path(), &back_end, &[]);
    server.signal("TERM");
    server.line("Shutting down");
    assert_eq!(status(&url), "503");
    assert!(server.process.try_wait().expect("a process").is_none(), "the server has not exited");
    back_end.respond.send(()).expect("a back end");
    let sent = send.wait_with_output().expect("an exit status");
    assert_eq!((sent.status.code(), &*sent.stdout), (Some(0), &b"processed\n"[..]));
    assert_eq!(server.process.wait().expect("an exit status").code(), Some(0));
}

#[test]
fn shutdown_has_a_time_out() {
    let (folder, back_end) = (folder(), BackEnd::start());
    let (mut server, _, mut send) =
        in_progress(folder.path(), &back_end, &["--finish-ms", "100", "--leave-ms", "500"]);
    let start = Instant::now();
    server.signal("INT");
    assert_eq!(server.process.wait().expect("an exit status").code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    send.kill().expect("a process");
    send.wait().expect("an exit status");
}

#[test]
fn second_signal_stops_the_server_at_once() {
    let (folder, back_end) = (folder(), BackEnd::start());
    let (mut server, _, mut send) = in_progress(folder.path(), &back_end, &[]);
    server.signal("TERM");
    server.line("Shutting down");
    server.signal("TERM");
    assert_eq!(server.process.wait().expect("an exit status").code(), Some(1));
    send.kill().expect("a process");
    send.wait().expect("an exit status");
}

fn serve_unix(folder: &Path, path: &Path) -> Command {
    let mut command = logux(folder);
    command
        .args(["serve", "--dev", "--collection", "tasks", "--unix-mode", "600", "--unix"])
        .arg(path);
    command
}

fn health(path: &Path) -> String {
    let mut socket = UnixStream::connect(path).expect("a connection");
    socket
        .write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("a writable socket");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn unix_socket_of_a_killed_server_is_replaced() {
    let (other, folder) = (folder(), folder());
    let path = folder.path().join("logux.sock");
    let mut first = RunningProgram::start(serve_unix(folder.path(), &path));
    first.line("listening");
    assert!(health(&path).ends_with("Logux Server: OK\n"));
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);

    let second = serve_unix(other.path(), &path).output().expect("the program runs");
    assert!(stderr(&second).contains("logux.sock"), "{}", stderr(&second));
    assert!(health(&path).ends_with("OK\n"), "the first server still responds");

    first.process.kill().expect("a process");
    first.process.wait().expect("an exit status");
    assert!(path.exists(), "the killed server left its socket");
    let third = RunningProgram::start(serve_unix(folder.path(), &path));
    third.line("listening");
    assert!(health(&path).ends_with("OK\n"));
    assert_eq!(third.stop(), Some(0));
    assert!(!path.exists(), "the socket was removed");

    fs::write(&path, "precious").expect("a file");
    let fourth = serve_unix(folder.path(), &path).output().expect("the program runs");
    assert!(stderr(&fourth).contains("logux.sock"), "{}", stderr(&fourth));
    assert_eq!(fs::read_to_string(&path).expect("a file"), "precious");
}

#[test]
fn service_manager_receives_notifications() {
    let folder = folder();
    let path = folder.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    let notification = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).expect("a notification");
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    let mut command = logux(folder.path());
    command.args(["serve", "--dev", "--port", "0", "--collection", "tasks"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000").env_remove("WATCHDOG_PID");
    let server = RunningProgram::start(command);
    assert_eq!(notification(), "READY=1");
    for _ in 0..3 {
        assert_eq!(notification(), "WATCHDOG=1");
    }
    assert_eq!(server.stop(), Some(0));
    let mut notifications =
        std::iter::from_fn(|| Some(notification())).skip_while(|text| text == "WATCHDOG=1");
    assert_eq!(notifications.next().as_deref(), Some("STOPPING=1"));
}

#[test]
fn inherited_sockets_are_served() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a local address");
    // The connection waits in the queue of the socket until the program starts.
    let mut early = TcpStream::connect(address).expect("a connection");
    early.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    early
        .write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("a writable socket");
    let script = format!(
        "LISTEN_PID=$$ LISTEN_FDS=1 exec {} serve --dev --collection tasks 3<&0",
        env!("CARGO_BIN_EXE_logux")
    );
    let mut command = program("sh", folder.path());
    command.args(["-c", &script]).stdin(Stdio::from(OwnedFd::from(listener)));
    let server = RunningProgram::start(command);
    assert!(server.line("listening").contains(&address.to_string()));
    let mut answer = String::new();
    early.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("Logux Server: OK\n"), "{answer}");
}

#[test]
fn certificate_and_key_can_be_text_in_variables() {
    let folder = folder();
    let generated = Command::new("openssl")
        .current_dir(folder.path())
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
            "cert.pem", "-days", "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .output()
        .expect("openssl");
    assert!(generated.status.success(), "{}", stderr(&generated));
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a file");
    let mut command = logux(folder.path());
    command.args(["serve", "--dev", "--port", "0", "--collection", "tasks"]);
    command.env("LOGUX_CERT", text("cert.pem")).env("LOGUX_KEY", text("key.pem"));
    let server = RunningProgram::start(command);
    let line = server.line("listening");
    let port = line
        .split("wss://127.0.0.1:")
        .nth(1)
        .expect("a URL")
        .split(|c: char| !c.is_ascii_digit())
        .next();
    let port = port.expect("a free port");
    let health = Command::new("curl")
        .current_dir(folder.path())
        .args(["-sS", "--cacert", "cert.pem", "--resolve", &format!("localhost:{port}:127.0.0.1")])
        .arg(format!("https://localhost:{port}/health"))
        .output()
        .expect("curl");
    assert_eq!(
        String::from_utf8_lossy(&health.stdout),
        "Logux Server: OK\n",
        "{}",
        stderr(&health)
    );
}
