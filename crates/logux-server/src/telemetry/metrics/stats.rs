//! The current sizes of a server, read when the metrics are requested.

use logux::server::HubStats;
use std::sync::{Mutex, PoisonError};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// The sizes of a server at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StatsSnapshot {
    /// The sizes in the hub.
    pub(crate) hub: HubStats,
    /// The number of commands that wait for the hub.
    pub(crate) commands: usize,
    /// The number of messages in all outboxes.
    pub(crate) outbox_messages: usize,
    /// The size of all outboxes, in bytes.
    pub(crate) outbox_bytes: usize,
}

#[derive(Default)]
pub(super) struct Gauges {
    clients: Gauge,
    channels: Gauge,
    subscriptions: Gauge,
    running: Gauge,
    waiting: Gauge,
    pending_bytes: Gauge,
    held: Gauge,
    parked: Gauge,
    unconfirmed: Gauge,
    remembered: Gauge,
    remembered_bytes: Gauge,
    added: Gauge,
    commands: Gauge,
    outbox_messages: Gauge,
    outbox_bytes: Gauge,
    present: Gauge,
    presence_batches: Total,
    presence_replaced: Total,
}

/// A counter of what the hub has counted itself.
#[derive(Default)]
struct Total {
    counter: Counter,
    /// What the hub had counted the last time. It begins again when the hub is restarted.
    last: Mutex<u64>,
}

impl Total {
    fn set(&self, total: u64) {
        // A poisoned lock is consistent: every change is one assignment.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.counter.inc_by(total.checked_sub(*last).unwrap_or(total));
        *last = total;
    }
}

impl Gauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register("clients", "Connected clients", new.clients.clone());
        registry.register("channels", "Channels with subscribers", new.channels.clone());
        registry.register("subscriptions", "Subscriptions", new.subscriptions.clone());
        registry.register(
            "actions_running",
            "Actions that the application processes",
            new.running.clone(),
        );
        registry.register(
            "actions_waiting",
            "Actions that wait for earlier actions of their client",
            new.waiting.clone(),
        );
        let bytes = "Bytes of actions of clients that run or wait";
        registry.register("pending_bytes", bytes, new.pending_bytes.clone());
        let held = "Clients whose actions are not received until others are processed";
        registry.register("clients_held", held, new.held.clone());
        let parked = "Subscriptions that wait for their client to reconnect";
        registry.register("subscriptions_parked", parked, new.parked.clone());
        let unconfirmed = "Subscriptions whose clients have not confirmed the answer yet";
        registry.register("subscriptions_unconfirmed", unconfirmed, new.unconfirmed.clone());
        let remembered = "Actions and answers that are remembered for exactly once";
        registry.register("remembered_entries", remembered, new.remembered.clone());
        let bytes = "Bytes of actions and answers that are remembered";
        registry.register("remembered_bytes", bytes, new.remembered_bytes.clone());
        registry.register(
            "log_added",
            "Added number of the last action in the log",
            new.added.clone(),
        );
        registry.register(
            "hub_commands_waiting",
            "Commands that wait for the hub",
            new.commands.clone(),
        );
        let messages = "Messages in the outboxes of clients";
        registry.register("outbox_messages", messages, new.outbox_messages.clone());
        let bytes = "Bytes of messages in the outboxes of clients";
        registry.register("outbox_bytes", bytes, new.outbox_bytes.clone());
        let present = "Nodes that show themselves in channels";
        registry.register("present", present, new.present.clone());
        let batches = "Actions with states of nodes in channels, each for one or more clients";
        registry.register("presence_batches", batches, new.presence_batches.counter.clone());
        let replaced =
            "States of nodes in channels that were replaced before anybody was sent them";
        registry.register("presence_replaced", replaced, new.presence_replaced.counter.clone());
        new
    }

    pub(super) fn set(&self, stats: &StatsSnapshot) {
        let set = |gauge: &Gauge, value: usize| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        let hub = &stats.hub;
        set(&self.clients, hub.clients);
        set(&self.channels, hub.channels);
        set(&self.subscriptions, hub.subscriptions);
        set(&self.running, hub.running);
        set(&self.waiting, hub.waiting);
        set(&self.pending_bytes, hub.pending_bytes);
        set(&self.held, hub.held);
        set(&self.parked, hub.parked);
        set(&self.unconfirmed, hub.unconfirmed);
        set(&self.remembered, hub.remembered);
        set(&self.remembered_bytes, hub.remembered_bytes);
        self.added.set(i64::try_from(hub.added).unwrap_or(i64::MAX));
        set(&self.commands, stats.commands);
        set(&self.outbox_messages, stats.outbox_messages);
        set(&self.outbox_bytes, stats.outbox_bytes);
        set(&self.present, hub.present);
        self.presence_batches.set(hub.presence_batches);
        self.presence_replaced.set(hub.presence_replaced);
    }
}
