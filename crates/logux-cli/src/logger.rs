//! Log lines for people or for programs.

use std::{
    fmt::{self, Write as _},
    io::IsTerminal as _,
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    fmt::{
        FmtContext, FormatEvent,
        format::{DefaultFields, Writer},
        time::{FormatTime as _, SystemTime},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{options::Logger, otlp::Otlp};

/// Begins to write log lines to standard output, and to follow actions if there is somewhere to send that. `RUST_LOG` says how many lines;
/// information and worse unless it is set.
pub(crate) fn start(logger: Logger, otlp: Option<&Otlp>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Colours are for terminals, not for files and pipes.
    let colours = std::io::stdout().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours);
    let lines = match logger {
        Logger::Human => lines.event_format(Human).boxed(),
        Logger::Json => lines.event_format(Json).boxed(),
    };
    match otlp {
        Some(otlp) => {
            tracing_subscriber::registry().with(lines.with_filter(filter)).with(otlp.layer()).init()
        }
        // A filter for everything is the cheaper one.
        None => tracing_subscriber::registry().with(lines).with(filter).init(),
    }
}

/// `TIME LEVEL MESSAGE NAME=VALUE …`, one event a line.
struct Human;

/// One JSON object a line, with the keys of the reference's logger: `level` (a number), `time`, `pid`, `msg`, and the fields.
struct Json;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, DefaultFields> for Human {
    fn format_event(
        &self,
        _: &FmtContext<'_, S, DefaultFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (bold, dim, plain) =
            if to.has_ansi_escapes() { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let level = *event.metadata().level();
        let colour = if to.has_ansi_escapes() { colour(level) } else { "" };
        let fields = Fields::of(event);
        write!(to, "{dim}")?;
        SystemTime.format_time(&mut to)?;
        write!(to, "{plain} {colour}{level:<5}{plain} {bold}{}{plain}", OneLine(&fields.message))?;
        for (name, value) in &fields.others {
            // The message says which one it is.
            if name != "event" {
                write!(
                    to,
                    " {dim}{name}={plain}{}",
                    OneLine(value.as_str().unwrap_or(&value.to_string()))
                )?;
            }
        }
        to.write_char('\n')
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, DefaultFields> for Json {
    fn format_event(
        &self,
        _: &FmtContext<'_, S, DefaultFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Fields { message, others } = Fields::of(event);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let is_fatal = others.get("event").is_some_and(|event| event == "fatal");
        let head = serde_json::json!({
            "level": if is_fatal { 60 } else { number(*event.metadata().level()) },
            "time": time,
            "pid": std::process::id(),
            "msg": message,
        });
        let mut line = others;
        if let Value::Object(head) = head {
            line.extend(head);
        }
        writeln!(to, "{}", Value::Object(line))
    }
}

/// The numbers that bunyan and pino, and with them the reference, give to levels.
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 50,
        Level::WARN => 40,
        Level::INFO => 30,
        Level::DEBUG => 20,
        Level::TRACE => 10,
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG | Level::TRACE => "\x1b[34m",
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.put(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.put(field, value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

/// A text that stays in its line, whoever it comes from: line ends and other control characters are escaped.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Memory {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn line(logger: Logger, say: impl FnOnce()) -> String {
        let memory = Memory::default();
        let lines = tracing_subscriber::fmt().with_writer(memory.clone()).with_ansi(false);
        match logger {
            Logger::Human => {
                tracing::subscriber::with_default(lines.event_format(Human).finish(), say)
            }
            Logger::Json => {
                tracing::subscriber::with_default(lines.event_format(Json).finish(), say)
            }
        }
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn denied() {
        tracing::warn!(
            event = "denied",
            actionId = "1 10:a\n2026 INFO forged 0",
            latency = 3u128,
            "Action was denied"
        );
    }

    #[test]
    fn people_read_one_line_that_nobody_breaks_out_of() {
        let line = line(Logger::Human, denied);
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
        assert_eq!(
            rest,
            "WARN  Action was denied actionId=1 10:a\\u{a}2026 INFO forged 0 latency=3\n"
        );
    }

    #[test]
    fn programs_read_the_keys_of_the_reference() {
        let text = line(Logger::Json, denied);
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let time = value["time"].take();
        assert!(time.as_str().is_some_and(|time| time.ends_with('Z')));
        let expected = serde_json::json!({
            "level": 40, "time": null, "pid": std::process::id(), "msg": "Action was denied",
            "event": "denied", "actionId": "1 10:a\n2026 INFO forged 0", "latency": 3,
        });
        assert_eq!((value, text.matches('\n').count()), (expected, 1));
        let fatal = line(Logger::Json, || tracing::error!(event = "fatal", "The end"));
        assert!(fatal.contains(r#""level":60"#), "{fatal}");
    }
}
