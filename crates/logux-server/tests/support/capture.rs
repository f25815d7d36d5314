//! Captures all log events of this process, so that tests can wait for them.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Condvar, Mutex, OnceLock},
    time::Duration,
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

const TIMEOUT: Duration = Duration::from_secs(20);

/// One event: its fields as strings.
pub(crate) type Line = BTreeMap<String, String>;

/// The captured events.
#[derive(Clone, Default)]
pub(crate) struct Captured(Arc<(Mutex<Vec<Line>>, Condvar)>);

/// Captures all events of the server from now on.
pub(crate) fn capture() -> Captured {
    static CAPTURED: OnceLock<Captured> = OnceLock::new();
    CAPTURED
        .get_or_init(|| {
            let captured = Captured::default();
            let subscriber = tracing_subscriber::registry().with(captured.clone());
            tracing::subscriber::set_global_default(subscriber).expect("the only subscriber");
            captured
        })
        .clone()
}

impl Captured {
    /// Returns all events so far.
    pub(crate) fn all(&self) -> Vec<Line> {
        self.0.0.lock().expect("no panic").clone()
    }

    /// Waits for the first event with this name and these fields.
    #[allow(dead_code, reason = "some tests wait for events by their content only")]
    pub(crate) fn wait(&self, event: &str, fields: &[(&str, &str)]) -> Line {
        self.wait_for(&format!("{event} with {fields:?}"), |line| {
            line.get("event").is_some_and(|name| name == event)
                && fields
                    .iter()
                    .all(|(key, value)| line.get(*key).is_some_and(|found| found == value))
        })
    }

    /// Waits for the first event that matches; `what` describes it.
    pub(crate) fn wait_for(&self, what: &str, matches: impl Fn(&Line) -> bool) -> Line {
        let (lines, changed) = &*self.0;
        let mut lines = lines.lock().expect("no panic");
        loop {
            if let Some(line) = lines.iter().find(|line| matches(line)) {
                return line.clone();
            }
            let (guard, waited) = changed.wait_timeout(lines, TIMEOUT).expect("no panic");
            assert!(!waited.timed_out(), "no {what} among {guard:#?}");
            lines = guard;
        }
    }
}

impl<S: Subscriber> Layer<S> for Captured {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != logux_server::events::TARGET {
            return;
        }
        let mut line = Fields::default();
        event.record(&mut line);
        line.0.insert("level".to_owned(), event.metadata().level().to_string());
        self.0.0.lock().expect("no panic").push(line.0);
        self.0.1.notify_all();
    }
}

#[derive(Default)]
struct Fields(Line);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}
