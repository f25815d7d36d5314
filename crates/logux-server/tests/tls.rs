//! TLS: certificates from strings and files, and their renewal with open connections.

mod wire;

use std::{fs, io, net::SocketAddr, sync::Arc, time::Duration};

use logux_server::{BuildError, Config, RunningServer, Server, Tls};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};
use wire::{TIMEOUT, http_on};

fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

async fn server(change: impl FnOnce(&mut Config)) -> Result<RunningServer, BuildError> {
    let builder = Server::builder().config(change).auth(|_| async { Ok(true) });
    builder.listen(([127, 0, 0, 1], 0).into()).await
}

/// Connects, and trusts only one certificate.
async fn connect(
    address: SocketAddr,
    trusted: &rcgen::Certificate,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from("localhost").expect("a name"), socket)
        .await
}

async fn health(socket: &mut TlsStream<TcpStream>) -> u16 {
    http_on(socket, "GET", "/health", "").await.0
}

#[tokio::test]
async fn certificate_and_key_can_be_strings() {
    let own = certificate();
    let tls = Tls::new(own.cert.pem(), own.signing_key.serialize_pem());
    let server = server(|config| config.tls = Some(tls)).await.expect("a server");
    let mut socket = connect(server.address(), &own.cert).await.expect("a trusted certificate");
    assert_eq!(health(&mut socket).await, 200);
    assert!(
        connect(server.address(), &certificate().cert).await.is_err(),
        "another certificate is not trusted"
    );
}

#[tokio::test]
async fn an_invalid_certificate_is_an_error_at_the_start_that_does_not_show_the_key() {
    let (own, other) = (certificate(), certificate());
    let cases = [
        (Tls::new("missing.pem", "missing.pem"), "cannot use `missing.pem` for TLS"),
        (
            Tls::new(own.cert.pem(), other.signing_key.serialize_pem()),
            "cannot use `PEM text` for TLS",
        ),
        (
            Tls::new(own.signing_key.serialize_pem(), own.signing_key.serialize_pem()),
            "no certificate",
        ),
    ];
    for (tls, expected) in cases {
        let error =
            server(|config| config.tls = Some(tls)).await.expect_err("an error").to_string();
        assert!(error.contains(expected) && !error.contains("PRIVATE"), "{error}");
    }
}

#[tokio::test]
async fn new_files_are_loaded_and_open_connections_stay_open() {
    let (first, second) = (certificate(), certificate());
    let folder = std::env::temp_dir().join(format!("logux-tls-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert, first.cert.pem()).expect("a file");
    fs::write(&key, first.signing_key.serialize_pem()).expect("a file");
    let server = server(|config| {
        config.tls = Some(Tls::new(cert.as_path(), key.as_path()));
        config.tls_reload_interval = Duration::from_millis(5);
    })
    .await
    .expect("a server");
    let address = server.address();
    let mut open = connect(address, &first.cert).await.expect("a trusted certificate");

    // A certificate without its key, then a truncated one: the old pair stays in use.
    for broken in [second.cert.pem(), second.cert.pem()[..50].to_owned()] {
        fs::write(&cert, broken).expect("a file");
        tokio::time::sleep(Duration::from_millis(50)).await;
        connect(address, &first.cert).await.expect("the old certificate");
    }
    fs::write(&key, second.signing_key.serialize_pem()).expect("a file");
    fs::write(&cert, second.cert.pem()).expect("a file");
    let renewed = async { while connect(address, &second.cert).await.is_err() {} };
    timeout(TIMEOUT, renewed).await.expect("the new certificate");
    assert!(
        connect(address, &first.cert).await.is_err(),
        "the old certificate is not used any more"
    );
    assert_eq!(health(&mut open).await, 200, "open connections continue");
    fs::remove_dir_all(&folder).expect("a folder");
}
