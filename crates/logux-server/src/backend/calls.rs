//! Commands on their way to a back end: each in a request of its own, several in one when there are too many.

use std::sync::Arc;

use logux::backend::{BackendReply, Command};
use logux_net::drive::Clock;
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};

use crate::{
    backend::{
        Backend, Replies,
        exchange::{Exchange, ExchangeError},
    },
    error::BuildError,
    telemetry::{Telemetry, traces::span},
};

/// How many commands may wait. Whoever has one more waits with it.
const WAITING: usize = 4_096;

/// One command and who waits for the answers.
pub(super) struct Call {
    /// The id in its answers.
    pub(super) id: Arc<str>,
    pub(super) command: Command,
    /// What it is called in the protocol.
    pub(super) name: &'static str,
    pub(super) started: Instant,
    /// From the command to its last answer.
    pub(super) span: tracing::Span,
    /// Whether asking twice does no harm.
    pub(super) is_repeatable: bool,
    pub(super) was_answered: bool,
    pub(super) replies: mpsc::Sender<Result<BackendReply, ExchangeError>>,
}

/// Where commands are put. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Calls(mpsc::Sender<Call>);

impl Calls {
    /// Asks; what is answered comes from the receiver, which ends after the last answer.
    pub(super) async fn send(
        &self,
        name: &'static str,
        id: Arc<str>,
        command: Command,
        is_repeatable: bool,
    ) -> Replies {
        let (replies, receiver) = mpsc::channel(16);
        let started = Instant::now();
        let span = span!("backend", command = name, "otel.kind" = "client");
        let call =
            Call { span, id, command, name, started, is_repeatable, was_answered: false, replies };
        // When it fails the receiver ends at once.
        let _ = self.0.send(call).await;
        receiver
    }
}

pub(super) fn start(
    backend: &Backend,
    clock: Clock,
    telemetry: &Telemetry,
) -> Result<Calls, BuildError> {
    let exchange = Arc::new(Exchange::new(backend, clock, telemetry.clone())?);
    let (sender, waiting) = mpsc::channel(WAITING);
    tokio::spawn(run(exchange, waiting, backend.max_requests.max(1), backend.max_commands.max(1)));
    Ok(Calls(sender))
}

async fn run(
    exchange: Arc<Exchange>,
    mut waiting: mpsc::Receiver<Call>,
    max_requests: usize,
    max_commands: usize,
) {
    let slots = Arc::new(Semaphore::new(max_requests));
    while let Ok(slot) = slots.clone().acquire_owned().await {
        // The last free slot takes all that waits. With others free a command goes alone: a back end that answers at the end of its work
        // would let a quick one wait for a slow one.
        let connection_limit = if slots.available_permits() == 0 { max_commands } else { 1 };
        let mut calls = Vec::new();
        if waiting.recv_many(&mut calls, connection_limit).await == 0 {
            return;
        }
        let exchange = exchange.clone();
        tokio::spawn(async move {
            exchange.carry_out(calls).await;
            drop(slot);
        });
    }
}
