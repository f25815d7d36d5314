//! Every transport of the crate passes the suite.

use logux_net::{
    Connector, Limits, LinesTransport, WebSocketConnector, WebSocketTransport, transport_suite,
    websocket,
};
use tokio::{
    io::duplex,
    net::{TcpListener, TcpStream},
};

/// Room in the streams in memory, in bytes.
const ROOM: usize = 10_000;

mod pair {
    super::transport_suite!(async |limits| logux_net::pair(limits));
}

mod websocket_tcp {
    use super::*;

    transport_suite!(async |limits: Limits| {
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

    transport_suite!(async |limits: Limits| {
        let (here, there) = duplex(ROOM);
        let connector = WebSocketConnector::new("ws://example.com").expect("a URL").limits(limits);
        let (client, server) =
            tokio::join!(connector.upgrade(here), websocket::accept(there, limits));
        (client.expect("connected"), server.expect("an upgrade").0)
    });
}

mod lines_duplex {
    use super::*;

    transport_suite!(async |limits: Limits| {
        let (here, there) = duplex(ROOM);
        (LinesTransport::new(here, limits), LinesTransport::new(there, limits))
    });
}

mod lines_tcp {
    use super::*;

    transport_suite!(async |limits: Limits| {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (client, server) =
            tokio::join!(logux_net::lines::tcp(&address, limits), listener.accept());
        (client.expect("connected"), LinesTransport::new(server.expect("a connection").0, limits))
    });
}

#[cfg(unix)]
mod lines_unix {
    use super::*;

    transport_suite!(async |limits: Limits| {
        let (here, there) = tokio::net::UnixStream::pair().expect("a pair of sockets");
        (LinesTransport::new(here, limits), LinesTransport::new(there, limits))
    });
}

/// The types stay sendable to other threads, where servers keep them.
#[allow(dead_code, reason = "it only has to compile")]
fn transports_are_send_and_static(
    ends: (WebSocketTransport<TcpStream>, LinesTransport<TcpStream>),
) {
    fn check(_: impl Send + 'static) {}
    check(ends);
}
