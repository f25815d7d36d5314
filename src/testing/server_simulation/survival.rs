//! Random events and failures, in one world for each seed.

use core::{ops::Range, time::Duration};

use super::{Application, Config, Violation, World, server::Server};
use crate::testing::StoreFailure;

/// The largest number of steps to wait for a commit.
const MAX_STEPS_TO_COMMIT: usize = 100;

impl<A: Application> World<A> {
    /// Executes `events` random events: users add actions, unsubscribe and subscribe again;
    /// connections are cut; devices and the server crash; devices are reloaded; the stores of the
    /// server and the devices fail; time passes. Stops at a violation.
    pub fn run_random(&mut self, events: usize) {
        let (devices, channels) = (self.devices.len() as u64, self.application.channels());
        for _ in 0..events {
            if devices == 0 || self.context.violation.is_some() {
                return;
            }
            let random = &mut self.context.random;
            let device = usize::try_from(random.between(0, devices - 1)).unwrap_or(0);
            match random.between(0, 26) {
                0..=11 => self.act(device),
                12..=15 => self.cut(device),
                16..=17 => self.crash(device),
                18 => self.crash_server(),
                19 => self.crash_server_during_commit(),
                20..=21 if !channels.is_empty() => {
                    let channel = random.between(0, channels.len() as u64 - 1);
                    self.toggle_subscription(
                        device,
                        &channels[usize::try_from(channel).unwrap_or(0)],
                    );
                }
                22 => {
                    let ms = random.between(1_000, 60_000);
                    self.run_for(Duration::from_millis(ms));
                }
                23..=24 => self.fail_store(),
                25 => self.reload(device),
                _ => self.fail_device_store(device),
            }
            // About half of the events occur in quick succession.
            let max = if self.context.random.one_in(2) { 20 } else { 400 };
            let ms = self.context.random.between(0, max);
            self.run_for(Duration::from_millis(ms));
        }
    }

    /// Lets the server's store fail for some time. Has no effect without
    /// [`Config::store_failures`].
    fn fail_store(&mut self) {
        let random = &mut self.context.random;
        let failures = [StoreFailure::Locked, StoreFailure::Full, StoreFailure::WriteFailed];
        let failure = failures[usize::try_from(random.between(0, 2)).unwrap_or(0)];
        let max = if random.one_in(2) { 100 } else { 3_000 };
        let ms = random.between(1, max);
        if let Some(server) = self.server.as_mut().filter(|_| self.context.config.store_failures) {
            server.fail_store(&mut self.context, failure, ms);
        }
    }

    /// Crashes the server at a random time of a commit.
    fn crash_server_during_commit(&mut self) {
        for _ in 0..MAX_STEPS_TO_COMMIT {
            if let Some(commits_at) = self.server.as_ref().and_then(Server::commits_at) {
                let remaining = commits_at.saturating_sub(self.context.now_ms);
                let ms = self.context.random.between(0, remaining.saturating_sub(1));
                self.run_for(Duration::from_millis(ms));
                break;
            }
            self.step();
        }
        self.crash_server();
    }

    fn run_and_settle(
        config: &Config,
        application: A,
        events: usize,
    ) -> (Self, Result<(), Violation>) {
        let mut world = Self::new(config.clone(), application);
        world.run_random(events);
        let result = world.settle();
        (world, result)
    }
}

/// Asserts all guarantees in one world for each seed, with `events` random events: each action is
/// processed once, its author receives one answer, and at the end all devices show the content of
/// the database, despite cut connections and crashes.
///
/// # Panics
/// With the first failing seed, the smallest number of its events that fails, and their trace.
pub fn assert_survives<A: Application + Clone>(
    application: &A,
    config: &Config,
    seeds: Range<u64>,
    events: usize,
) {
    for seed in seeds {
        let config = Config { seed, ..config.clone() };
        if World::run_and_settle(&config, application.clone(), events).1.is_ok() {
            continue;
        }
        let config = Config { trace: true, ..config };
        for events in 0..=events {
            let (world, result) = World::run_and_settle(&config, application.clone(), events);
            if let Err(violation) = result {
                let trace = world.trace().join("\n");
                panic!("{violation}\n\n{trace}\n\nSeed {seed}, {events} events");
            }
        }
    }
}
