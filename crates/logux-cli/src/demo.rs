//! The page `/demo` of a server in development, on which two people edit one document. Its files
//! are those of `packages/logux-web/dist/demo`, if they were built before the program.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use logux::store::Store;
use logux_server::{Builder, Method, Response};

/// The kind of the document on the page.
pub(crate) const KIND: &str = "demo";

/// The files of the page with their names. None if they were not built.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/demo_files.rs"));

/// Allows only the page's own files and its server, and its WebAssembly: no inline scripts and
/// styles.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
     connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// What the page is without its files.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <title>Logux demo</title><p>This program was built without the demo: run \
    <code>packages/logux-web/build</code>, then build the program again.</p></html>\n";

/// Adds the routes of the page. `db`: the database of the server.
pub(crate) fn add_routes<St: Store + Send + 'static>(
    mut builder: Builder<(), St>,
    db: &Path,
) -> Builder<(), St> {
    let page = page(db);
    builder = builder.http(Method::GET, "/demo", move |_| {
        let response = response("text/html; charset=utf-8", page.clone().into_bytes());
        async { Ok(response) }
    });
    for (name, content) in FILES.iter().filter(|(name, _)| *name != "index.html") {
        builder = builder.http(Method::GET, &format!("/demo/{name}"), |_| async {
            Ok(response(media_type(name), content.to_vec()))
        });
    }
    builder
}

/// Returns the page. Browsers keep the document under the name of the database, because that of
/// another server has another document.
fn page(db: &Path) -> String {
    let html = FILES.iter().find(|(name, _)| *name == "index.html");
    let html = html.map_or(NOT_BUILT.into(), |(_, html)| String::from_utf8_lossy(html));
    let created = std::fs::metadata(db).and_then(|file| file.created());
    let since = created.unwrap_or_else(|_| SystemTime::now()).duration_since(UNIX_EPOCH);
    let name = since.unwrap_or_default().as_nanos();
    html.replace("data-database=\"\"", &format!("data-database=\"{name:x}\""))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

fn response(content_type: &'static str, body: Vec<u8>) -> Response<bytes::Bytes> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
