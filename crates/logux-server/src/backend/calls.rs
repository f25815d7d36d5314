//! Queued commands for a back end: each in its own request, or several in one when all requests are
//! in use.

use std::sync::Arc;

use logux::backend::{BackendCommand, BackendReply};
use logux_net::drive::Clock;
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use crate::{
    backend::{
        Backend, Replies,
        breaker::Breaker,
        exchange::{Exchange, ExchangeError},
    },
    error::BuildError,
    telemetry::{Telemetry, traces::span},
};

/// The capacity of the queue. Callers wait when it is full.
const QUEUE_CAPACITY: usize = 4_096;

/// One command with the receiver of its responses.
pub(super) struct Call {
    /// The id in its responses.
    pub(super) id: Arc<str>,
    pub(super) command: BackendCommand,
    /// Its name in the protocol.
    pub(super) name: &'static str,
    pub(super) started: Instant,
    /// The span from the command to its last response.
    pub(super) span: tracing::Span,
    /// Whether the command may be sent again after it could have reached the back end.
    pub(super) is_idempotent: bool,
    /// Whether the command waits while the back end cannot be reached. Otherwise it fails.
    pub(super) waits_for_backend: bool,
    pub(super) was_answered: bool,
    pub(super) replies: mpsc::Sender<Result<BackendReply, ExchangeError>>,
}

impl Call {
    fn new(
        name: &'static str,
        id: Arc<str>,
        command: BackendCommand,
        replies: mpsc::Sender<Result<BackendReply, ExchangeError>>,
    ) -> Self {
        Self {
            span: span!("backend", command = name, "otel.kind" = "client"),
            id,
            command,
            name,
            started: Instant::now(),
            is_idempotent: false,
            waits_for_backend: false,
            was_answered: false,
            replies,
        }
    }
}

/// The sender of the queue. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Calls {
    queue: mpsc::Sender<Call>,
    breaker: Arc<Breaker>,
    clock: Clock,
}

impl Calls {
    /// Sends a login. Returns its responses; the receiver ends after the last one.
    ///
    /// It does not wait for a back end that is down: the client connects again later.
    pub(super) async fn send_login(&self, id: Arc<str>, command: BackendCommand) -> Replies {
        let (replies, receiver) = mpsc::channel(1);
        if !self.breaker.allows(self.clock.now().mono) {
            let _ = replies.try_send(Err(ExchangeError::Down));
            return receiver;
        }
        let call = Call::new("auth", id, command, replies);
        self.send(Call { is_idempotent: true, ..call }).await;
        receiver
    }

    /// Sends an action, or a subscription, which may be sent again. Returns its responses; the
    /// receiver ends after the last one.
    ///
    /// While the back end cannot be reached, the command waits.
    pub(super) async fn send_action(
        &self,
        id: Arc<str>,
        command: BackendCommand,
        is_subscription: bool,
    ) -> Replies {
        let (replies, receiver) = mpsc::channel(16);
        let call = Call::new("action", id, command, replies);
        let is_idempotent = is_subscription;
        self.send(Call { is_idempotent, waits_for_backend: true, ..call }).await;
        receiver
    }

    async fn send(&self, call: Call) {
        // If it fails, the receiver of the responses ends at once.
        let _ = self.queue.send(call).await;
    }
}

pub(super) fn start(
    backend: &Backend,
    clock: Clock,
    telemetry: &Telemetry,
) -> Result<Calls, BuildError> {
    let breaker = Breaker::new(backend.max_failures, backend.reset_timeout, telemetry.clone());
    let breaker = Arc::new(breaker);
    let exchange = Arc::new(Exchange::new(backend, breaker.clone(), clock, telemetry.clone())?);
    let (sender, queued) = mpsc::channel(QUEUE_CAPACITY);
    tokio::spawn(run(exchange, queued, backend.max_requests.max(1), backend.max_commands.max(1)));
    Ok(Calls { queue: sender, breaker, clock })
}

async fn run(
    exchange: Arc<Exchange>,
    mut queued: mpsc::Receiver<Call>,
    max_requests: usize,
    max_commands: usize,
) {
    let slots = Arc::new(Semaphore::new(max_requests));
    while let Ok(slot) = slots.clone().acquire_owned().await {
        // The last free slot takes all queued commands. Otherwise a command has its own request: a
        // back end that responds at the end of its work would make a fast command wait for a slow
        // one.
        let max_calls = if slots.available_permits() == 0 { max_commands } else { 1 };
        let mut calls = Vec::new();
        if queued.recv_many(&mut calls, max_calls).await == 0 {
            return;
        }
        let exchange = exchange.clone();
        tokio::spawn(async move {
            exchange.execute(calls).await;
            drop(slot);
        });
    }
}
