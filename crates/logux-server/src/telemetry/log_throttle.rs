//! Limits the log lines that clients can cause before they are authenticated.
//!
//! A stranger can connect, and be refused, as often as the machine answers. If every attempt wrote
//! a line, the log would fill the disk. So of each kind, the first lines in a period are written,
//! and the others are counted; one line at the end of the period has their number. Metrics count
//! every event.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use logux::MonoTime;
use logux_net::drive::Clock;
use tokio::runtime;

use crate::{
    networks::network,
    telemetry::{
        event::{Event, Failure},
        log,
    },
};

/// The time in which lines are counted.
const PERIOD: Duration = Duration::from_mins(1);

/// Limits the lines of a server.
#[derive(Debug)]
pub(super) struct LogThrottle {
    clock: Clock,
    runtime: runtime::Handle,
    counts: Arc<Mutex<LineCounts>>,
}

/// A kind of line: the name of its event, and for some the reason, which is one of a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineKind {
    pub(super) event: &'static str,
    pub(super) reason: Option<&'static str>,
}

/// The lines of one kind that a period has left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SuppressedLines {
    pub(super) kind: LineKind,
    pub(super) lines: u64,
    /// The address, or the network, that has caused all of them.
    pub(super) address: Option<IpAddr>,
}

/// The largest numbers of lines of one kind in a period.
struct LineLimits {
    of_address: u32,
    /// It also bounds the number of addresses that are remembered.
    total: u32,
}

/// The lines of the current period. Its size is bounded by the number of kinds and their limits.
#[derive(Debug, Default)]
struct LineCounts {
    /// The end of the period, which its first line has started.
    ends: Option<MonoTime>,
    kinds: BTreeMap<LineKind, KindCounts>,
}

#[derive(Debug, Default)]
struct KindCounts {
    written: u32,
    of_addresses: HashMap<IpAddr, u32>,
    suppressed: u64,
    /// The address of the suppressed lines; `Some(None)` if they have several, or none.
    source: Option<Option<IpAddr>>,
}

/// What happens to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Written,
    Suppressed {
        /// Whether it is the first of the period, of all kinds.
        is_first: bool,
    },
}

impl LogThrottle {
    /// Creates a throttle that writes its own lines from tasks of `runtime`.
    pub(super) fn new(clock: Clock, runtime: runtime::Handle) -> Self {
        Self { clock, runtime, counts: Arc::default() }
    }

    /// Counts the line of an event. Returns whether it may be written.
    pub(super) fn admits(&self, event: &Event<'_>) -> bool {
        let Some((kind, address)) = LineKind::of(event) else { return true };
        let now = self.clock.now().mono;
        let (ended, verdict) = {
            let mut counts = lock(&self.counts);
            (counts.end_period(now), counts.count(now, kind, address))
        };
        ended.iter().for_each(log::write_suppressed);
        match verdict {
            Verdict::Written => true,
            Verdict::Suppressed { is_first } => {
                if is_first {
                    self.report_later();
                }
                false
            }
        }
    }

    /// Writes the lines about the current period before it ends.
    pub(super) fn flush(&self) {
        let ended = lock(&self.counts).end();
        ended.iter().for_each(log::write_suppressed);
    }

    /// Ends the period in time, also if no further line is counted.
    fn report_later(&self) {
        let (clock, counts) = (self.clock, Arc::downgrade(&self.counts));
        self.runtime.spawn(async move {
            tokio::time::sleep(PERIOD).await;
            if let Some(counts) = counts.upgrade() {
                let ended = lock(&counts).end_period(clock.now().mono);
                ended.iter().for_each(log::write_suppressed);
            }
        });
    }
}

fn lock(counts: &Mutex<LineCounts>) -> MutexGuard<'_, LineCounts> {
    // A poisoned lock is consistent: no change of a count can panic halfway.
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LineKind {
    /// Returns the kind of line of an event, and the address that has caused it. `None` for events
    /// that need an authenticated client, or the application.
    fn of(event: &Event<'_>) -> Option<(Self, Option<IpAddr>)> {
        let ip = |remote: &Option<SocketAddr>| remote.map(|remote| remote.ip());
        let (event, reason, address) = match event {
            Event::Refused { remote, why } => ("refused", Some(why.as_str()), ip(remote)),
            Event::Connected { remote, .. } => ("connect", None, ip(remote)),
            Event::Unauthenticated { remote, .. } => ("unauthenticated", None, ip(remote)),
            Event::ClientError { node: None, remote, .. } => ("clientError", None, ip(remote)),
            Event::Disconnected { node: None, remote, .. } => ("disconnect", None, ip(remote)),
            Event::Limited { address, limit, .. } => ("limited", Some(limit.as_str()), *address),
            Event::WrongControlIp { address } => ("wrongControlIp", None, *address),
            Event::WrongControlSecret { address } => ("wrongControlSecret", None, *address),
            Event::Failed { what: Failure::Login { .. }, .. } => ("error", Some("login"), None),
            Event::Failed { what: Failure::Accept, .. } => ("error", Some("accept"), None),
            Event::Failed { what: Failure::Route { .. }, .. } => ("error", Some("route"), None),
            Event::BackendRepeated { .. } => ("backendRepeated", None, None),
            _ => return None,
        };
        Some((Self { event, reason }, address))
    }

    fn limits(self) -> LineLimits {
        if self.is_usual() {
            LineLimits { of_address: 100, total: 1_000 }
        } else {
            LineLimits { of_address: 10, total: 100 }
        }
    }

    /// Returns whether clients that are accepted cause such lines too.
    pub(super) fn is_usual(self) -> bool {
        ["connect", "disconnect"].contains(&self.event)
    }
}

impl LineCounts {
    /// Counts a line. O(log kinds).
    fn count(&mut self, now: MonoTime, kind: LineKind, address: Option<IpAddr>) -> Verdict {
        self.ends.get_or_insert_with(|| now.after(PERIOD));
        let is_first = self.kinds.values().all(|counts| counts.suppressed == 0);
        let address = address.map(network);
        let (limits, counts) = (kind.limits(), self.kinds.entry(kind).or_default());
        if counts.written < limits.total {
            let of_address = match address {
                Some(address) => counts.of_addresses.entry(address).or_default(),
                None => &mut 0,
            };
            if *of_address < limits.of_address {
                *of_address += 1;
                counts.written += 1;
                return Verdict::Written;
            }
        }
        counts.suppressed += 1;
        let source = counts.source.get_or_insert(address);
        *source = source.filter(|source| Some(*source) == address);
        Verdict::Suppressed { is_first }
    }

    /// Returns what the period has left out, if it has ended.
    fn end_period(&mut self, now: MonoTime) -> Vec<SuppressedLines> {
        if self.ends.is_some_and(|ends| ends <= now) { self.end() } else { Vec::new() }
    }

    /// Ends the period. Returns what it has left out.
    fn end(&mut self) -> Vec<SuppressedLines> {
        self.ends = None;
        std::mem::take(&mut self.kinds)
            .into_iter()
            .filter(|(_, counts)| counts.suppressed > 0)
            .map(|(kind, counts)| SuppressedLines {
                kind,
                lines: counts.suppressed,
                address: counts.source.flatten(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::event::RefusalReason;

    const REFUSED: LineKind = LineKind { event: "refused", reason: Some("tooMany") };

    fn at(ms: u64) -> MonoTime {
        MonoTime::from_millis(ms)
    }

    fn address(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(n.into()))
    }

    /// Counts lines of an address. Returns the number of those that are written.
    fn written(counts: &mut LineCounts, ms: u64, address: Option<IpAddr>, lines: u32) -> usize {
        let verdicts = (0..lines).map(|_| counts.count(at(ms), REFUSED, address));
        verdicts.filter(|verdict| *verdict == Verdict::Written).count()
    }

    #[test]
    fn an_address_writes_its_first_lines_and_one_about_the_others() {
        let mut counts = LineCounts::default();
        assert_eq!(written(&mut counts, 0, address(1), 5_000), 10);
        assert_eq!(written(&mut counts, 1, address(2), 3), 3, "another address");
        let other = LineKind { event: "refused", reason: Some("origin") };
        assert_eq!(counts.count(at(2), other, address(1)), Verdict::Written, "another reason");
        assert_eq!(counts.end_period(at(59_999)), []);
        let suppressed = SuppressedLines { kind: REFUSED, lines: 4_990, address: address(1) };
        assert_eq!(counts.end_period(at(60_000)), [suppressed]);
        assert_eq!(counts.end_period(at(120_000)), [], "a quiet period");
        assert_eq!(written(&mut counts, 120_000, address(1), 11), 10, "the next period");
    }

    #[test]
    fn many_addresses_share_a_limit_and_are_not_remembered_beyond_it() {
        let mut counts = LineCounts::default();
        let all: usize = (0..5_000).map(|n| written(&mut counts, 0, address(n), 1)).sum();
        assert_eq!(all, 100);
        assert_eq!(counts.kinds[&REFUSED].of_addresses.len(), 100);
        assert_eq!(counts.end()[0].address, None, "several addresses");
        let v6 = |text: &str| text.parse().ok();
        written(&mut counts, 0, v6("2001:db8::1"), 10);
        assert_eq!(written(&mut counts, 0, v6("2001:db8::2"), 10), 0, "the same network");
        assert_eq!(counts.end()[0].address, v6("2001:db8::"));
        assert_eq!(written(&mut counts, 0, None, 200), 100, "connections without an address");
    }

    #[test]
    fn only_the_first_suppressed_line_of_a_period_starts_a_task() {
        let mut counts = LineCounts::default();
        written(&mut counts, 0, address(1), 10);
        let suppressed = |is_first| Verdict::Suppressed { is_first };
        assert_eq!(counts.count(at(0), REFUSED, address(1)), suppressed(true));
        assert_eq!(counts.count(at(0), REFUSED, address(1)), suppressed(false));
        let connect = LineKind { event: "connect", reason: None };
        for _ in 0..100 {
            assert_eq!(counts.count(at(0), connect, address(1)), Verdict::Written);
        }
        assert_eq!(counts.count(at(0), connect, address(1)), suppressed(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_period_ends_by_itself() {
        let throttle = LogThrottle::new(Clock::start(), runtime::Handle::current());
        let event = Event::Refused { remote: None, why: RefusalReason::TooMany };
        let written = (0..200).filter(|_| throttle.admits(&event)).count();
        assert_eq!(written, 100);
        assert_eq!(lock(&throttle.counts).kinds[&REFUSED].suppressed, 100);
        tokio::time::sleep(PERIOD + Duration::from_millis(1)).await;
        assert!(lock(&throttle.counts).kinds.is_empty(), "it was reported");
        assert!(throttle.admits(&event));
    }
}
