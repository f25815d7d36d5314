//! Log output: one line per event, as text or as JSON.

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

use crate::{config::flags::LogFormat, otlp::OtlpPipeline};

/// Installs the global subscriber: log lines to standard output, and spans to `otlp`. `RUST_LOG`
/// filters the log lines; it defaults to `info`.
pub(crate) fn init(format: LogFormat, otlp: Option<&OtlpPipeline>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colors = std::io::stdout().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_ansi(colors);
    let lines = match format {
        LogFormat::Human => lines.event_format(HumanFormat).boxed(),
        LogFormat::Json => lines.event_format(JsonFormat).boxed(),
    };
    match otlp {
        Some(otlp) => {
            tracing_subscriber::registry().with(lines.with_filter(filter)).with(otlp.layer()).init()
        }
        // A global filter is cheaper than one of a layer.
        None => tracing_subscriber::registry().with(lines).with(filter).init(),
    }
}

/// One line per event: `TIME LEVEL MESSAGE NAME=VALUE …`.
struct HumanFormat;

/// One JSON object per line with the keys of the reference server's logger: `level` (a number),
/// `time`, `pid`, `msg`, and the fields of the event.
struct JsonFormat;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, DefaultFields> for HumanFormat {
    fn format_event(
        &self,
        _: &FmtContext<'_, S, DefaultFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (bold, dim, plain) =
            if to.has_ansi_escapes() { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let level = *event.metadata().level();
        let color = if to.has_ansi_escapes() { color(level) } else { "" };
        let EventFields { message, fields } = EventFields::of(event);
        // The banner shows the addresses.
        if fields.get("event").is_some_and(|event| event == "listen") {
            return Ok(());
        }
        write!(to, "{dim}")?;
        SystemTime.format_time(&mut to)?;
        write!(to, "{plain} {color}{level:<5}{plain} {bold}{}{plain}", EscapedLine(&message))?;
        for (name, value) in &fields {
            // The message already identifies the event.
            if name != "event" {
                write!(
                    to,
                    " {dim}{name}={plain}{}",
                    EscapedLine(value.as_str().unwrap_or(&value.to_string()))
                )?;
            }
        }
        to.write_char('\n')
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, DefaultFields> for JsonFormat {
    fn format_event(
        &self,
        _: &FmtContext<'_, S, DefaultFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let EventFields { message, fields } = EventFields::of(event);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let is_fatal = fields.get("event").is_some_and(|event| event == "fatal");
        let head = serde_json::json!({
            "level": if is_fatal { 60 } else { level_number(*event.metadata().level()) },
            "time": time,
            "pid": std::process::id(),
            "msg": message,
        });
        let mut line = fields;
        if let Value::Object(head) = head {
            line.extend(head);
        }
        writeln!(to, "{}", Value::Object(line))
    }
}

/// Returns the number of a level in bunyan and pino, which the reference server uses.
fn level_number(level: Level) -> u8 {
    match level {
        Level::ERROR => 50,
        Level::WARN => 40,
        Level::INFO => 30,
        Level::DEBUG => 20,
        Level::TRACE => 10,
    }
}

fn color(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG | Level::TRACE => "\x1b[34m",
    }
}

/// The message and the fields of an event.
#[derive(Default)]
struct EventFields {
    message: String,
    fields: Map<String, Value>,
}

impl EventFields {
    fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for EventFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.insert(field, format!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.insert(field, value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.insert(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }
}

/// Displays a string on one line: escapes line breaks, other control characters, and bidirectional
/// formatting characters, so that input of clients cannot forge log lines.
struct EscapedLine<'a>(&'a str);

impl fmt::Display for EscapedLine<'_> {
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
    struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for SharedBuffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for SharedBuffer {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn line(format: LogFormat, log: impl FnOnce()) -> String {
        let buffer = SharedBuffer::default();
        let lines = tracing_subscriber::fmt().with_writer(buffer.clone()).with_ansi(false);
        match format {
            LogFormat::Human => {
                tracing::subscriber::with_default(lines.event_format(HumanFormat).finish(), log)
            }
            LogFormat::Json => {
                tracing::subscriber::with_default(lines.event_format(JsonFormat).finish(), log)
            }
        }
        let bytes = buffer.0.lock().unwrap().clone();
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
    fn human_format_is_one_line_with_escaped_control_characters() {
        let line = line(LogFormat::Human, denied);
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
        assert_eq!(
            rest,
            "WARN  Action was denied actionId=1 10:a\\u{a}2026 INFO forged 0 latency=3\n"
        );
    }

    #[test]
    fn json_format_has_the_keys_of_the_reference_server() {
        let text = line(LogFormat::Json, denied);
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let time = value["time"].take();
        assert!(time.as_str().is_some_and(|time| time.ends_with('Z')));
        let expected = serde_json::json!({
            "level": 40, "time": null, "pid": std::process::id(), "msg": "Action was denied",
            "event": "denied", "actionId": "1 10:a\n2026 INFO forged 0", "latency": 3,
        });
        assert_eq!((value, text.matches('\n').count()), (expected, 1));
        let fatal = line(LogFormat::Json, || tracing::error!(event = "fatal", "The end"));
        assert!(fatal.contains(r#""level":60"#), "{fatal}");
    }
}
