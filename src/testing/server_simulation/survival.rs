//! Many worlds, each with faults of its own.

use core::ops::Range;

use super::{Application, Broken, Config, World, server::Server};

/// How many steps to wait for a commit at most.
const STEPS_TO_COMMIT: usize = 100;

impl<A: Application> World<A> {
    /// Lets so many things happen that chance decides: users act, leave and come back; connections are cut; devices and the server crash; time passes.
    pub fn live(&mut self, events: usize) {
        let (devices, channels) = (self.devices.len() as u64, self.application.channels());
        for _ in 0..events {
            if devices == 0 || self.course.broken.is_some() {
                return;
            }
            let chance = &mut self.course.chance;
            let device = usize::try_from(chance.between(0, devices - 1)).unwrap_or(0);
            match chance.between(0, 23) {
                0..=11 => self.act(device),
                12..=15 => self.cut(device),
                16..=17 => self.crash(device),
                18 => self.crash_server(),
                19 => self.crash_server_in_a_commit(),
                20..=21 if !channels.is_empty() => {
                    let channel = chance.between(0, channels.len() as u64 - 1);
                    self.turn(device, &channels[usize::try_from(channel).unwrap_or(0)]);
                }
                22 => {
                    let ms = chance.between(1_000, 60_000);
                    self.run_for(ms);
                }
                _ => {}
            }
            // Half of what happens comes together.
            let most = if self.course.chance.once_in(2) { 20 } else { 400 };
            let ms = self.course.chance.between(0, most);
            self.run_for(ms);
        }
    }

    /// Crashes the server while something that it was told is becoming durable, and some connections have gone on.
    fn crash_server_in_a_commit(&mut self) {
        for _ in 0..STEPS_TO_COMMIT {
            if let Some(commits_at) = self.server.as_ref().and_then(Server::commits_at) {
                let left = commits_at.saturating_sub(self.course.ms());
                let ms = self.course.chance.between(0, left.saturating_sub(1));
                self.run_for(ms);
                break;
            }
            self.step();
        }
        self.crash_server();
    }

    fn lived(config: &Config, application: A, events: usize) -> (Self, Result<(), Broken>) {
        let mut world = Self::new(config.clone(), application);
        world.live(events);
        let end = world.settle();
        (world, end)
    }
}

/// Asserts that in each of these worlds every promise is kept: an action is done once, its author gets one answer, and in the end all devices show what is
/// stored, whatever was cut or crashed up to so many events.
///
/// # Panics
/// With the first seed for which it is not so, and the trace of the smallest number of its events that show it.
pub fn assert_survives<A: Application + Clone>(
    application: &A,
    config: &Config,
    seeds: Range<u64>,
    events: usize,
) {
    for seed in seeds {
        let config = Config { seed, ..config.clone() };
        if World::lived(&config, application.clone(), events).1.is_ok() {
            continue;
        }
        let config = Config { trace: true, ..config };
        let worlds =
            (0..=events).map(|events| (events, World::lived(&config, application.clone(), events)));
        for (events, (world, end)) in worlds {
            if let Err(broken) = end {
                panic!("{broken}\n\n{}\n\nSeed {seed}, {events} events", world.trace().join("\n"));
            }
        }
    }
}
