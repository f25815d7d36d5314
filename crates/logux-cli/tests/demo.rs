//! The page `/demo` of a server in development.

mod process;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use crate::process::{RunningProgram, folder, logux};

/// Returns the head and the body of a response.
fn get(address: &str, path: &str) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(address).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("a request");
    let mut response = Vec::new();
    socket.read_to_end(&mut response).expect("a response");
    let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let body = response.split_off(end + 4);
    (String::from_utf8(response).expect("UTF-8"), body)
}

/// Starts a server. Returns it with its address.
fn serve(folder: &Path, flags: &[&str]) -> (RunningProgram, String) {
    let mut command = logux(folder);
    command.args(["serve", "--dev", "--port", "0"]).args(flags);
    let server = RunningProgram::start(command);
    let line = server.line("listening");
    let address = line.split("ws://").nth(1).expect("an address").trim().to_owned();
    (server, address)
}

#[test]
fn a_server_in_development_without_more_has_the_page() {
    let folder = folder();
    let (server, address) = serve(folder.path(), &[]);
    assert!(server.line("Documents").contains("demo"));
    assert!(server.line("Demo").ends_with(&format!("http://{address}/demo")));

    let (head, body) = get(&address, "/demo");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    let page = String::from_utf8(body).expect("UTF-8");
    if page.contains("packages/logux-web/build") {
        assert!(page.contains("without the demo"), "{page}");
        return;
    }
    let database = page.split("data-database=\"").nth(1).expect("the name of the database");
    assert!(!database.starts_with('"'), "{page}");
    for (path, media_type) in [
        ("/demo/demo.js", "text/javascript"),
        ("/demo/demo.css", "text/css"),
        ("/demo/logux.wasm", "application/wasm"),
    ] {
        let (head, body) = get(&address, path);
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {media_type}")), "{path}: {head}");
        assert!(!body.is_empty(), "{path}");
    }

    // Another database has another document.
    let other = self::folder();
    let (_other_server, other_address) = serve(other.path(), &[]);
    let (_, other_page) = get(&other_address, "/demo");
    assert_ne!(page.as_bytes(), other_page);
}

#[test]
fn a_server_of_an_application_has_no_demo() {
    let folder = folder();
    for flags in [["--document", "notes"], ["--collection", "tasks"]] {
        let (_server, address) = serve(folder.path(), &flags);
        let (head, _) = get(&address, "/demo");
        assert!(head.starts_with("HTTP/1.1 404"), "{flags:?}: {head}");
    }
}
