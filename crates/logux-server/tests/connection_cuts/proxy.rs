//! A TCP proxy that cuts its first connection after a number of bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// The direction of the counted bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// The position where the first connection is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) direction: Direction,
    /// The number of bytes before the cut.
    pub(crate) after: usize,
}

type OnCut = Box<dyn FnOnce() + Send>;

/// Forwards connections until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// The forwarded bytes, to the server and to the client.
    pub(crate) bytes: [Arc<AtomicUsize>; 2],
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// `server` is the current address of the server; `None` while it is down. `on_cut` is called
    /// when all bytes before the cut were forwarded, before either end can notice the cut.
    pub(crate) async fn start(
        server: watch::Receiver<Option<SocketAddr>>,
        cut: Option<Cut>,
        on_cut: impl FnOnce() + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let bytes: [Arc<AtomicUsize>; 2] = Default::default();
        let counters = bytes.clone();
        let accepting = tokio::spawn(async move {
            let (mut cut, mut server) = (cut.map(|cut| (cut, Box::new(on_cut) as OnCut)), server);
            while let Ok((client, _)) = listener.accept().await {
                let address = *server.wait_for(Option::is_some).await.expect("a server");
                let Ok(upstream) = TcpStream::connect(address.expect("an address")).await else {
                    continue;
                };
                tokio::spawn(forward(client, upstream, cut.take(), counters.clone()));
            }
        });
        Self { address, bytes, accepting }
    }
}

async fn forward(
    client: TcpStream,
    server: TcpStream,
    cut: Option<(Cut, OnCut)>,
    [up, down]: [Arc<AtomicUsize>; 2],
) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((mut client_read, mut client_write), (mut server_read, mut server_write)) =
        (client.into_split(), server.into_split());
    let (cut, on_cut) = cut.unzip();
    let limit = |direction| cut.filter(|cut| cut.direction == direction).map(|cut| cut.after);
    let ended = tokio::select! {
        ended = pump(&mut client_read, &mut server_write, limit(Direction::ToServer), &up) => ended,
        ended = pump(&mut server_read, &mut client_write, limit(Direction::ToClient), &down) => ended,
    };
    if let (Ended::Cut, Some(on_cut)) = (ended, on_cut) {
        on_cut();
    }
    // Both sockets are closed now, so nothing after the cut is forwarded in either direction.
}

#[derive(PartialEq, Eq)]
enum Ended {
    Closed,
    Cut,
}

async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    limit: Option<usize>,
    forwarded: &AtomicUsize,
) -> Ended {
    let (mut buffer, mut remaining) = ([0; 4096], limit.unwrap_or(usize::MAX));
    while remaining > 0 {
        let length = buffer.len().min(remaining);
        let Ok(read @ 1..) = from.read(&mut buffer[..length]).await else { return Ended::Closed };
        if to.write_all(&buffer[..read]).await.is_err() {
            return Ended::Closed;
        }
        forwarded.fetch_add(read, Ordering::Relaxed);
        remaining -= read;
    }
    Ended::Cut
}
