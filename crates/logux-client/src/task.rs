//! The task of a client: its connection, and the time.

use core::{
    future::{pending, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};
use std::sync::Arc;

use logux::client::Input;
use logux_net::{
    CloseReason, Connector, Frame, NetError, Transport,
    drive::{Clock, DeadlineTimer, Event, FrameConnection},
};

use crate::shared::Shared;

/// The number of frames that share a commit with the one before them.
const MAX_FRAMES: usize = 64;

/// The result of an attempt, with the token that it has used.
type Attempt<T> = (Option<String>, Result<T, NetError>);

/// The connection of a client.
enum Link<'a, T> {
    None,
    Connecting(Pin<Box<dyn Future<Output = Attempt<T>> + Send + 'a>>),
    Open(FrameConnection<T>),
}

/// What happened to a connection.
enum Happened<T> {
    Connected(Option<String>, T),
    Failed(NetError),
    Event(Event),
}

impl<T: Transport> Link<'_, T> {
    /// Waits for an event. Cancel safe.
    async fn event(&mut self, wants_frames: bool) -> Happened<T> {
        match self {
            Self::None => pending().await,
            Self::Connecting(attempt) => match attempt.await {
                (token, Ok(transport)) => Happened::Connected(token, transport),
                (_, Err(error)) => Happened::Failed(error),
            },
            Self::Open(connection) => Happened::Event(connection.event(wants_frames).await),
        }
    }

    /// Returns an event that has happened already, of an open connection.
    async fn ready_event(&mut self) -> Option<Event> {
        let Self::Open(connection) = self else { return None };
        let mut event = pin!(connection.event(true));
        poll_fn(|context| {
            Poll::Ready(match event.as_mut().poll(context) {
                Poll::Ready(event) => Some(event),
                Poll::Pending => None,
            })
        })
        .await
    }

    async fn close(&mut self) {
        if let Self::Open(connection) = core::mem::replace(self, Self::None) {
            connection.close(CloseReason::Done).await;
        }
    }
}

/// Ends the client with its task.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Returns the task of a client, which runs until its driver says that it ends. If it is dropped
/// before, also if it has not begun, the client ends.
pub(crate) fn run<C: Connector>(
    shared: Arc<Shared>,
    connector: C,
    clock: Clock,
) -> impl Future<Output = ()> {
    let running = Running(shared);
    async move { drive(&running.0, connector, clock).await }
}

async fn drive<C: Connector>(shared: &Shared, connector: C, clock: Clock) {
    let mut link = Link::None;
    let mut timer = DeadlineTimer::new(clock);
    let reason = loop {
        let Some(turn) = shared.drive(|driver| driver.turn()) else { return };
        if let Link::Open(connection) = &mut link {
            turn.frames.into_iter().for_each(|frame| connection.push(Frame::from(frame)));
        }
        if let Some(reason) = turn.end {
            break reason;
        }
        if turn.disconnect {
            link.close().await;
            shared.drive(|driver| driver.handle(Input::Closed));
            continue;
        }
        if turn.connect {
            let source = shared.drive(|driver| driver.token_source()).flatten();
            let connector = &connector;
            link = Link::Connecting(Box::pin(async move {
                let token = match source {
                    Some(source) => Some(source.0().await),
                    None => None,
                };
                (token, connector.connect().await)
            }));
        }
        tokio::select! {
            happened = link.event(turn.wants_frames) => {
                handle(shared, &mut link, happened).await;
                // Frames that have arrived together share a commit.
                for _ in 0..MAX_FRAMES {
                    if !shared.drive(|driver| driver.wants_frames()).unwrap_or_default() {
                        break;
                    }
                    let Some(event) = link.ready_event().await else { break };
                    handle(shared, &mut link, Happened::Event(event)).await;
                }
            }
            () = shared.changed() => {}
            () = timer.until(turn.deadline) => drop(shared.drive(|driver| {
                driver.handle(Input::Wake);
            })),
        }
    };
    link.close().await;
    shared.drive(|driver| {
        driver.handle(Input::Closed);
        // What the connection has brought at last is kept.
        driver.turn()
    });
    shared.end(reason);
}

async fn handle<T: Transport>(shared: &Shared, link: &mut Link<'_, T>, happened: Happened<T>) {
    match happened {
        Happened::Connected(token, transport) => {
            *link = Link::Open(FrameConnection::new(transport));
            shared.reports.last_error.send_replace(None);
            shared.drive(|driver| {
                if let Some(token) = token {
                    driver.use_token(token);
                }
                driver.handle(Input::Opened);
            });
        }
        Happened::Failed(error) => {
            *link = Link::None;
            tracing::warn!(%error, "cannot connect");
            shared.reports.last_error.send_replace(Some(error.to_string()));
            shared.drive(|driver| driver.handle(Input::ConnectFailed));
        }
        Happened::Event(Event::Frame(frame)) => {
            shared.drive(|driver| driver.handle(Input::Frame(frame.as_str())));
        }
        Happened::Event(Event::Announced(_)) => {
            if let Link::Open(connection) = link {
                connection.admit();
            }
        }
        Happened::Event(Event::Flushed) => {}
        Happened::Event(Event::Ended(reason)) => {
            if matches!(reason, CloseReason::WrongFormat | CloseReason::TooLarge) {
                let text = reason.text();
                shared.reports.fault(&format!("a frame cannot be received: {text}"));
            }
            tracing::debug!(?reason, "the connection has ended");
            link.close().await;
            shared.drive(|driver| {
                // What was received counts as received for the next connection.
                driver.commit();
                driver.handle(Input::Closed);
            });
        }
    }
}
