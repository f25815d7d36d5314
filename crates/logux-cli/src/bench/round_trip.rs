//! The scenario `round-trip`: clients that wait for each answer before they send the next action.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use memchr::memmem;

use super::{
    args::{ActionArgs, TargetArgs, TimingArgs},
    client::{Client, ClientEvent, EventHandler},
    client_pool::ClientPool,
    error::BenchError,
    message::{ensure_not_undone, parse_number, push_number},
    report::{BenchReport, Meter},
    samples::LatencySamples,
};

/// Measure round trips per second
///
/// Each client sends an action, waits until the server has processed it, and sends the next one.
/// The latency is the time from sending an action to receiving `logux/processed`.
#[derive(Args, Clone, Debug)]
pub(super) struct RoundTripArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    timing: TimingArgs,
    #[command(flatten)]
    action: ActionArgs,
    /// Number of concurrent clients
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
}

/// The time-out of one poll, so that a run ends in time.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// Runs the scenario.
pub(super) fn run(args: &RoundTripArgs) -> Result<ExitCode, BenchError> {
    let mut pool = ClientPool::new(&args.target)?;
    let mut scenario = RoundTripScenario::new(args);
    pool.connect_all(args.clients as usize, &mut scenario, |scenario| scenario.pending.len())?;
    scenario.start(&mut pool)?;
    let warm_up = Meter::start(None);
    while warm_up.elapsed() < args.timing.warm_up() {
        pool.poll(POLL_TIMEOUT, &mut scenario)?;
        pool.ensure_responsive()?;
    }
    let mut runs = Vec::new();
    for _ in 0..args.timing.runs {
        scenario.latencies.take();
        let meter = Meter::start(args.target.pid);
        while meter.elapsed() < args.timing.run() {
            pool.poll(POLL_TIMEOUT, &mut scenario)?;
            pool.ensure_responsive()?;
        }
        runs.push(meter.finish(scenario.latencies.len() as u64, &mut scenario.latencies));
    }
    scenario.is_stopping = true;
    while scenario.in_flight() > 0 && !pool.is_unresponsive() {
        pool.poll(POLL_TIMEOUT, &mut scenario)?;
    }
    let load = serde_json::json!({"clients": args.clients});
    let report = BenchReport::new("round-trip", &args.target.url, load, "actions", runs);
    BenchReport { lost: scenario.in_flight(), duplicates: scenario.duplicates, ..report }
        .print(args.target.json)
}

struct RoundTripScenario {
    /// For each client, the time when it sent the action that it waits for, and the number of its
    /// last action.
    pending: Vec<(Option<u64>, u64)>,
    latencies: LatencySamples,
    duplicates: u64,
    /// No further actions are sent.
    is_stopping: bool,
    head: String,
    tail: String,
}

impl RoundTripScenario {
    fn new(args: &RoundTripArgs) -> Self {
        Self {
            pending: Vec::new(),
            latencies: LatencySamples::default(),
            duplicates: 0,
            is_stopping: false,
            head: format!("{{\"type\":\"{}\",\"by\":", args.action.kind),
            tail: format!(",\"text\":\"{}\"}}", "x".repeat(args.action.text)),
        }
    }

    fn start(&mut self, pool: &mut ClientPool) -> Result<(), BenchError> {
        for index in 0..self.pending.len() {
            let now = pool.now();
            let client = pool.client(index);
            self.send(index, client, now);
            client.flush()?;
        }
        Ok(())
    }

    fn send(&mut self, index: usize, client: &mut Client, now: u64) {
        let (sent_at, n) = &mut self.pending[index];
        *sent_at = Some(now);
        // The same number as in the id of the action: the client sends no other actions.
        *n += 1;
        client.send_action(now, |out| {
            out.extend_from_slice(self.head.as_bytes());
            push_number(out, index as u64);
            out.extend_from_slice(b",\"n\":");
            push_number(out, *n);
            out.extend_from_slice(self.tail.as_bytes());
        });
    }

    fn in_flight(&self) -> u64 {
        self.pending.iter().filter(|(sent_at, _)| sent_at.is_some()).count() as u64
    }

    fn on_actions(
        &mut self,
        index: usize,
        client: &mut Client,
        actions: &[u8],
        now: u64,
    ) -> Result<(), BenchError> {
        if memmem::find(actions, b"\"logux/processed\"").is_none() {
            return ensure_not_undone(actions);
        }
        let (sent_at, n) = &mut self.pending[index];
        if processed_number(actions) != Some(*n) {
            self.duplicates += 1;
            return Ok(());
        }
        let Some(sent_at) = sent_at.take() else {
            self.duplicates += 1;
            return Ok(());
        };
        self.latencies.add(now - sent_at);
        if !self.is_stopping {
            self.send(index, client, now);
        }
        Ok(())
    }
}

/// Returns the number of the processed action: the last part of its id. The `id` of the action is a
/// string, and that of the meta is not.
fn processed_number(actions: &[u8]) -> Option<u64> {
    let from = memmem::find(actions, b"\"id\":\"")? + 6;
    let id = &actions[from..];
    let id = &id[..memchr::memchr(b'"', id)?];
    Some(parse_number(&id[memchr::memrchr(b' ', id)? + 1..]).0)
}

impl EventHandler for RoundTripScenario {
    fn on_event(
        &mut self,
        index: usize,
        client: &mut Client,
        event: ClientEvent<'_>,
        now: u64,
    ) -> Result<(), BenchError> {
        match event {
            ClientEvent::Connected => {
                self.pending.push((None, 0));
                Ok(())
            }
            ClientEvent::Actions(actions) => self.on_actions(index, client, actions, now),
            ClientEvent::Closed(reason) => Err(BenchError::Disconnected(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processed_number_does_not_depend_on_the_order_of_keys() {
        let type_first = br#"{"type":"logux/processed","id":"1564508138460 10:client:0 17"},{"id":[1,0],"time":1}]"#;
        let id_first =
            br#"{"id":"1564508138460 10:client:0 17","type":"logux/processed"},{"id":1,"time":1}]"#;
        assert_eq!(
            (processed_number(type_first), processed_number(id_first)),
            (Some(17), Some(17))
        );
        assert_eq!(processed_number(br#"{"type":"logux/processed"},{"id":1}]"#), None);
    }
}
