//! Clients that wait for each answer before the next action.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use memchr::memmem;

use super::{
    args::{Target, Timing, Wording},
    client::{Client, Heard, Work},
    crowd::Crowd,
    fan_out::refused,
    message::{number, push_number},
    report::{Meter, Report},
    samples::Samples,
};
use crate::talk::Failed;

/// Send actions one after the other, each when the server has processed the last: actions a second, and how long each takes
#[derive(Args, Clone, Debug)]
pub(super) struct RoundTripArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    wording: Wording,
    /// Clients that do so side by side
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
}

/// The longest wait for something to happen, so that the end of a run is not missed.
const TURN: Duration = Duration::from_millis(20);

/// Measures.
pub(super) fn run(args: &RoundTripArgs) -> Result<ExitCode, Failed> {
    let mut crowd = Crowd::new(&args.target)?;
    let mut trips = Trips::new(args);
    crowd.gather(args.clients as usize, &mut trips, |trips| trips.asked.len())?;
    trips.begin(&mut crowd)?;
    let warm_up = Meter::start(None);
    while warm_up.elapsed() < args.timing.warm_up() {
        crowd.turn(TURN, &mut trips)?;
        crowd.must_talk()?;
    }
    let mut runs = Vec::new();
    for _ in 0..args.timing.runs {
        trips.latencies.take();
        let meter = Meter::start(args.target.pid);
        while meter.elapsed() < args.timing.run() {
            crowd.turn(TURN, &mut trips)?;
            crowd.must_talk()?;
        }
        runs.push(meter.finish(trips.latencies.len() as u64, &mut trips.latencies));
    }
    trips.over = true;
    while trips.under_way() > 0 && !crowd.is_silent() {
        crowd.turn(TURN, &mut trips)?;
    }
    let load = serde_json::json!({"clients": args.clients});
    let report = Report::new("round-trip", &args.target.url, load, "actions", runs);
    Report { lost: trips.under_way(), duplicates: trips.duplicates, ..report }
        .print(args.target.json)
}

struct Trips {
    /// For each client when its action left, if it waits for the answer, and the number of the action.
    asked: Vec<(Option<u64>, u64)>,
    latencies: Samples,
    duplicates: u64,
    /// No more questions.
    over: bool,
    head: String,
    tail: String,
}

impl Trips {
    fn new(args: &RoundTripArgs) -> Self {
        Self {
            asked: Vec::new(),
            latencies: Samples::default(),
            duplicates: 0,
            over: false,
            head: format!("{{\"type\":\"{}\",\"by\":", args.wording.kind),
            tail: format!(",\"text\":\"{}\"}}", "x".repeat(args.wording.text)),
        }
    }

    fn begin(&mut self, crowd: &mut Crowd) -> Result<(), Failed> {
        for at in 0..self.asked.len() {
            let now = crowd.now();
            let client = crowd.client(at);
            self.ask(at, client, now);
            client.flush()?;
        }
        Ok(())
    }

    fn ask(&mut self, at: usize, client: &mut Client, now: u64) {
        let (asked, n) = &mut self.asked[at];
        *asked = Some(now);
        // The client counts its actions from 1 on too, and has sent nothing else.
        *n += 1;
        client.act(now, |out| {
            out.extend_from_slice(self.head.as_bytes());
            push_number(out, at as u64);
            out.extend_from_slice(b",\"n\":");
            push_number(out, *n);
            out.extend_from_slice(self.tail.as_bytes());
        });
    }

    fn under_way(&self) -> u64 {
        self.asked.iter().filter(|(asked, _)| asked.is_some()).count() as u64
    }

    fn answered(
        &mut self,
        at: usize,
        client: &mut Client,
        actions: &[u8],
        now: u64,
    ) -> Result<(), Failed> {
        if memmem::find(actions, b"\"logux/processed\"").is_none() {
            return refused(actions);
        }
        let (asked, n) = &mut self.asked[at];
        if processed(actions) != Some(*n) {
            self.duplicates += 1;
            return Ok(());
        }
        let Some(moment) = asked.take() else {
            self.duplicates += 1;
            return Ok(());
        };
        self.latencies.add(now - moment);
        if !self.over {
            self.ask(at, client, now);
        }
        Ok(())
    }
}

/// The number of the action that was processed: the last part of its id, which in a meta would not be a text.
fn processed(actions: &[u8]) -> Option<u64> {
    let from = memmem::find(actions, b"\"id\":\"")? + 6;
    let id = &actions[from..];
    let id = &id[..memchr::memchr(b'"', id)?];
    Some(number(&id[memchr::memrchr(b' ', id)? + 1..]).0)
}

impl Work for Trips {
    fn heard(
        &mut self,
        at: usize,
        client: &mut Client,
        heard: Heard<'_>,
        now: u64,
    ) -> Result<(), Failed> {
        match heard {
            Heard::In => {
                self.asked.push((None, 0));
                Ok(())
            }
            Heard::Actions(actions) => self.answered(at, client, actions, now),
            Heard::Gone(why) => Err(format!("a client was cut off: {why}").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_action_wherever_its_id_stands() {
        let ours = br#"{"type":"logux/processed","id":"1564508138460 10:client:0 17"},{"id":[1,0],"time":1}]"#;
        let theirs =
            br#"{"id":"1564508138460 10:client:0 17","type":"logux/processed"},{"id":1,"time":1}]"#;
        assert_eq!((processed(ours), processed(theirs)), (Some(17), Some(17)));
        assert_eq!(processed(br#"{"type":"logux/processed"},{"id":1}]"#), None);
    }
}
