//! A WebSocket broadcast without the functions of a Logux server, to measure the transport alone.
//!
//!     cargo run --release -p logux-server --example bare_broadcast -- 31338
//!     cargo run --release -p logux-cli -- bench fan-out ws://127.0.0.1:31338
//!
//! It implements only the part of the protocol that `logux bench` needs: all clients are accepted;
//! each received frame is sent to all subscribers unchanged, and answered as processed. It checks
//! and keeps nothing. As in the server, the transport is that of `logux-net`, and all frames that
//! wait for a client leave in one write.

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use logux_net::{Frame, FrameLimits, NetError, WebSocketTransport, websocket};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast::{self, error::RecvError},
};

/// The number of frames that may wait for a client before it loses some. `logux bench` counts lost
/// actions.
const MAX_WAITING: usize = 4_096;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).unwrap_or_else(|| "31338".into()).parse()?;
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener: TcpListener = socket.listen(4_096)?;
    println!("listening on ws://{}", listener.local_addr()?);
    let (subscribers, _) = broadcast::channel(MAX_WAITING);
    loop {
        let (socket, _) = listener.accept().await?;
        let subscribers = subscribers.clone();
        tokio::spawn(async move {
            let _ = socket.set_nodelay(true);
            if let Ok((transport, _)) = websocket::accept(socket, FrameLimits::default()).await {
                let client = Client { transport, subscribers, channel: None };
                let _ = client.serve().await;
            }
        });
    }
}

struct Client {
    transport: WebSocketTransport<TcpStream>,
    subscribers: broadcast::Sender<Frame>,
    /// `None` until the client subscribes.
    channel: Option<broadcast::Receiver<Frame>>,
}

impl Client {
    async fn serve(mut self) -> Result<(), NetError> {
        loop {
            let channel = async {
                match &mut self.channel {
                    Some(channel) => channel.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                frame = self.transport.next() => match frame {
                    Some(frame) => self.receive(frame?).await?,
                    None => break,
                },
                frame = channel => match frame {
                    Ok(frame) => self.transport.feed(frame).await?,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                },
            }
            self.drain().await?;
            self.transport.flush().await?;
        }
        self.transport.close().await
    }

    /// Handles all frames that are already received or queued, so that they leave in one write.
    async fn drain(&mut self) -> Result<(), NetError> {
        while let Some(Some(frame)) = self.transport.next().now_or_never() {
            self.receive(frame?).await?;
        }
        while let Some(frame) = self.channel.as_mut().and_then(|channel| channel.try_recv().ok()) {
            self.transport.feed(frame).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, frame: Frame) -> Result<(), NetError> {
        let text = frame.as_str();
        if text.starts_with("[\"connect\",") {
            let connected =
                Frame::from_static(r#"["connected",5,"server:bare",[0,0],{"subprotocol":0}]"#);
            return self.transport.feed(connected).await;
        }
        let Some(rest) = text.strip_prefix("[\"sync\",") else { return Ok(()) };
        let added = rest.split(',').next().unwrap_or_default();
        let sequence = rest
            .rsplit("\"id\":[")
            .next()
            .and_then(|id| id.split([',', ']']).nth(1))
            .unwrap_or_default();
        let synced = Frame::from(format!("[\"synced\",{added}]"));
        let processed = format!(
            r#"["sync",{added},{{"type":"logux/processed","id":"0 bare {sequence}"}},{{"id":{added},"time":{added}}}]"#
        );
        if text.contains("\"logux/subscribe\"") {
            self.channel = Some(self.subscribers.subscribe());
        } else {
            // Fails if there are no subscribers.
            let _ = self.subscribers.send(frame);
        }
        self.transport.feed(synced).await?;
        self.transport.feed(Frame::from(processed)).await
    }
}
