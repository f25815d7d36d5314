//! The program as a service: how it is told to end, where it listens, and what it tells who has started it.
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

use process::{PATIENCE, Running, folder, logux, said};

/// A back end that tells when it was asked about an action, and answers when it may.
struct BackEnd {
    url: String,
    asked: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

impl BackEnd {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("its address"));
        let (tell, asked) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a connection");
            let id = action_id(&mut socket);
            tell.send(()).expect("somebody waits");
            if may_go_on.recv().is_ok() {
                let body = serde_json::json!([{"answer": "approved", "id": id}, {"answer": "processed", "id": id}]);
                let body = body.to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                socket.write_all((head + &body).as_bytes()).expect("room");
            }
        });
        Self { url, asked, go_on }
    }
}

/// Reads a request about an action; its id.
fn action_id(socket: &mut TcpStream) -> serde_json::Value {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = socket.read(&mut buffer).expect("a request");
        assert_ne!(read, 0, "the request is cut off");
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        if let Ok(request) = serde_json::from_str::<serde_json::Value>(body) {
            return request["commands"][0]["meta"]["id"].clone();
        }
    }
}

/// A server with an action in progress, and the client that waits for it.
fn in_progress(
    folder: &Path,
    back_end: &BackEnd,
    flags: &[&str],
) -> (Running, String, std::process::Child) {
    let mut all = vec!["--dev", "--backend", &back_end.url, "--control-secret", "s"];
    all.extend(flags);
    let (server, url) = Running::serve(folder, &all);
    let send = logux(folder)
        .args(["send", &url, r#"{"type":"slow"}"#])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    back_end.asked.recv_timeout(PATIENCE).expect("the back end is asked");
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
fn a_request_to_end_finishes_what_is_in_progress() {
    let (folder, back_end) = (folder(), BackEnd::start());
    let (mut server, url, send) = in_progress(folder.path(), &back_end, &[]);
    server.signal("TERM");
    server.line("Shutting down");
    assert_eq!(status(&url), "503");
    assert!(server.process.try_wait().expect("a process").is_none(), "it has not ended yet");
    back_end.go_on.send(()).expect("a back end");
    let sent = send.wait_with_output().expect("an end");
    assert_eq!((sent.status.code(), &*sent.stdout), (Some(0), &b"processed\n"[..]));
    assert_eq!(server.process.wait().expect("an end").code(), Some(0));
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let (folder, back_end) = (folder(), BackEnd::start());
    let (mut server, _, mut send) =
        in_progress(folder.path(), &back_end, &["--finish-ms", "100", "--leave-ms", "500"]);
    let began = Instant::now();
    server.signal("INT");
    assert_eq!(server.process.wait().expect("an end").code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    send.kill().expect("a process");
    send.wait().expect("an end");
}

#[test]
fn a_second_request_ends_it_at_once() {
    let (folder, back_end) = (folder(), BackEnd::start());
    let (mut server, _, mut send) = in_progress(folder.path(), &back_end, &[]);
    server.signal("TERM");
    server.line("Shutting down");
    server.signal("TERM");
    assert_eq!(server.process.wait().expect("an end").code(), Some(1));
    send.kill().expect("a process");
    send.wait().expect("an end");
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
        .expect("room");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_unix_socket_is_taken_over_from_the_dead_and_from_nobody_else() {
    let (other, folder) = (folder(), folder());
    let path = folder.path().join("logux.sock");
    let mut first = Running::start(serve_unix(folder.path(), &path));
    first.line("listening");
    assert!(health(&path).ends_with("Logux Server: OK\n"));
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);

    let second = serve_unix(other.path(), &path).output().expect("the program");
    assert!(said(&second).contains("another process listens there"), "{}", said(&second));
    assert!(health(&path).ends_with("OK\n"), "the first goes on");

    first.process.kill().expect("a process");
    first.process.wait().expect("an end");
    assert!(path.exists(), "it had no time to tidy up");
    let third = Running::start(serve_unix(folder.path(), &path));
    third.line("listening");
    assert!(health(&path).ends_with("OK\n"));
    assert_eq!(third.stop(), Some(0));
    assert!(!path.exists(), "nothing is left behind");

    fs::write(&path, "precious").expect("a file");
    let fourth = serve_unix(folder.path(), &path).output().expect("the program");
    assert!(said(&fourth).contains("no socket"), "{}", said(&fourth));
    assert_eq!(fs::read_to_string(&path).expect("a file"), "precious");
}

#[test]
fn who_has_started_it_is_told_how_it_stands() {
    let folder = folder();
    let path = folder.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let told = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).expect("a word");
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    let mut command = logux(folder.path());
    command.args(["serve", "--dev", "--port", "0", "--collection", "tasks"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000").env_remove("WATCHDOG_PID");
    let server = Running::start(command);
    assert_eq!(told(), "READY=1");
    for _ in 0..3 {
        assert_eq!(told(), "WATCHDOG=1");
    }
    assert_eq!(server.stop(), Some(0));
    let mut words = std::iter::from_fn(|| Some(told())).skip_while(|word| word == "WATCHDOG=1");
    assert_eq!(words.next().as_deref(), Some("STOPPING=1"));
}

#[test]
fn sockets_of_whoever_has_started_it_are_served() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    // Before the program is there: the connection waits for it.
    let mut early = TcpStream::connect(address).expect("a connection");
    early.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    early.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("room");
    let script = format!(
        "LISTEN_PID=$$ LISTEN_FDS=1 exec {} serve --dev --collection tasks 3<&0",
        env!("CARGO_BIN_EXE_logux")
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .current_dir(folder.path())
        .stdin(Stdio::from(OwnedFd::from(listener)));
    let server = Running::start(command);
    assert!(server.line("listening").contains(&address.to_string()));
    let mut answer = String::new();
    early.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("Logux Server: OK\n"), "{answer}");
}

#[test]
fn certificate_and_key_may_be_texts_in_variables() {
    let folder = folder();
    let made = Command::new("openssl")
        .current_dir(folder.path())
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
            "cert.pem", "-days", "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", said(&made));
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).expect("a file");
    let mut command = logux(folder.path());
    command.args(["serve", "--dev", "--port", "0", "--collection", "tasks"]);
    command.env("LOGUX_CERT", text("cert.pem")).env("LOGUX_KEY", text("key.pem"));
    let server = Running::start(command);
    let line = server.line("listening");
    let port = line
        .split("wss://127.0.0.1:")
        .nth(1)
        .expect("a URL")
        .split(|c: char| !c.is_ascii_digit())
        .next();
    let port = port.expect("a port");
    let health = Command::new("curl")
        .current_dir(folder.path())
        .args(["-sS", "--cacert", "cert.pem", "--resolve", &format!("localhost:{port}:127.0.0.1")])
        .arg(format!("https://localhost:{port}/health"))
        .output()
        .expect("curl");
    assert_eq!(String::from_utf8_lossy(&health.stdout), "Logux Server: OK\n", "{}", said(&health));
}
