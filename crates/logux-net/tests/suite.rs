//! Every transport of the crate passes the suite.

use logux_net::{
    Connector, FrameLimits, JsonLinesTransport, WebSocketConnector, WebSocketTransport,
    transport_suite, websocket,
};
use tokio::{
    io::duplex,
    net::{TcpListener, TcpStream},
};

/// The capacity of in-memory streams, in bytes.
const DUPLEX_CAPACITY: usize = 10_000;

mod pair {
    super::transport_suite!(async |limits| logux_net::pair(limits));
}

mod websocket_tcp {
    use super::*;

    transport_suite!(async |limits: FrameLimits| {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let connector =
            WebSocketConnector::new(&format!("ws://{}", listener.local_addr().expect("bound")))
                .expect("a URL");
        let accepting = async {
            let (socket, _) = listener.accept().await.expect("a connection");
            websocket::accept(socket, limits).await.expect("an upgrade").0
        };
        let connector = connector.limits(limits);
        let (client, server) = tokio::join!(connector.connect(), accepting);
        (client.expect("connected"), server)
    });
}

mod websocket_duplex {
    use super::*;

    transport_suite!(async |limits: FrameLimits| {
        let (here, there) = duplex(DUPLEX_CAPACITY);
        let connector = WebSocketConnector::new("ws://localhost").expect("a URL").limits(limits);
        let (client, server) =
            tokio::join!(connector.upgrade(here), websocket::accept(there, limits));
        (client.expect("connected"), server.expect("an upgrade").0)
    });
}

mod json_lines_duplex {
    use super::*;

    transport_suite!(async |limits: FrameLimits| {
        let (here, there) = duplex(DUPLEX_CAPACITY);
        (JsonLinesTransport::new(here, limits), JsonLinesTransport::new(there, limits))
    });
}

mod json_lines_tcp {
    use super::*;

    transport_suite!(async |limits: FrameLimits| {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (client, server) =
            tokio::join!(logux_net::json_lines::connect_tcp(&address, limits), listener.accept());
        (
            client.expect("connected"),
            JsonLinesTransport::new(server.expect("a connection").0, limits),
        )
    });
}

#[cfg(unix)]
mod json_lines_unix {
    use super::*;

    transport_suite!(async |limits: FrameLimits| {
        let (here, there) = tokio::net::UnixStream::pair().expect("a pair of sockets");
        (JsonLinesTransport::new(here, limits), JsonLinesTransport::new(there, limits))
    });
}

/// The transports are `Send`, because servers move them between threads.
#[allow(dead_code, reason = "a compile-time check")]
fn transports_are_send_and_static(
    ends: (WebSocketTransport<TcpStream>, JsonLinesTransport<TcpStream>),
) {
    fn check(_: impl Send + 'static) {}
    check(ends);
}
