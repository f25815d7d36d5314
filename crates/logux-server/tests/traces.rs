//! The spans of one action, from its arrival to the delivery of its answer, for any `tracing`
//! subscriber.

#[path = "support/raw.rs"]
mod raw;

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use logux_server::{Server, traces::TARGET};
use raw::{open, read, sync};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

/// The events of spans, in order: `+name in parent`, `name: event`, `-name`.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn record_line(&self, text: String) {
        self.0.lock().expect("no panic").push(text);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

/// The values of the fields `message`, `outcome` and `type`.
#[derive(Default)]
struct FieldValues(String);

impl Visit for FieldValues {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "message" | "outcome" | "type") {
            self.0 += &format!(" {}", format!("{value:?}").trim_matches('"'));
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() != TARGET {
            return;
        }
        let span = context.span(id).expect("a span");
        let parent = span.parent().map_or("nothing", |parent| parent.name());
        let mut values = FieldValues::default();
        attributes.record(&mut values);
        self.record_line(format!("+{}{} in {parent}", span.name(), values.0));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let mut values = FieldValues::default();
        record.record(&mut values);
        self.record_line(format!("{} is{}", context.span(id).expect("a span").name(), values.0));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == TARGET {
            let mut values = FieldValues::default();
            event.record(&mut values);
            self.record_line(format!(
                "{}:{}",
                context.event_span(event).expect("a span").name(),
                values.0
            ));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).expect("a span");
        if span.metadata().target() == TARGET {
            self.record_line(format!("-{}", span.name()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_has_spans_from_its_arrival_to_its_answer() {
    let recorder = Recorder::default();
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    tracing::subscriber::set_global_default(subscriber).expect("the only subscriber");
    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .action_type("say", |on| {
            on.access(|_| async { Ok(true) })
                .resend(|_| async { Ok("room") })
                .process(|_| async { Ok(()) })
        })
        .action_type("no", |on| on.access(|_| async { Ok(false) }))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let mut socket = open(&server, "10:a:tab", "right").await;
    sync(&mut socket, 1, r#"{"type":"say"}"#).await;
    read(&mut socket, "logux/processed").await;
    sync(&mut socket, 2, r#"{"type":"no"}"#).await;
    read(&mut socket, "logux/undo").await;
    // Repeated and forged actions do not keep their spans open.
    sync(&mut socket, 1, r#"{"type":"say"}"#).await;
    read(&mut socket, "logux/processed").await;
    drop(socket);
    server.shutdown().await.expect("a clean shutdown");

    let all = recorder.all();
    let events_of = |kind: &str| {
        let from = all
            .iter()
            .position(|text| *text == format!("+action {kind} in nothing"))
            .expect("a span");
        let to =
            all.iter().skip(from).position(|text| text == "-action").expect("the end of the span");
        all[from + 1..from + to].to_vec()
    };
    let say = events_of("say");
    // These happen concurrently with the hub, as does the arrival of the next action.
    let is_concurrent = |text: &String| {
        ["-application", "action: resent", "+action no in nothing"].contains(&text.as_str())
    };
    let (concurrent, in_order): (Vec<_>, Vec<_>) = say.into_iter().partition(is_concurrent);
    assert!(concurrent.contains(&"action: resent".to_owned()), "{all:#?}");
    assert_eq!(
        in_order,
        [
            "action: kept",
            "action: asked",
            "+application in action",
            "+access in application",
            "-access",
            "+resend in application",
            "-resend",
            "+process in application",
            "-process",
            "action is processed",
            "action: answered processed",
            "action: delivered",
        ],
        "{all:#?}"
    );
    assert!(events_of("no").contains(&"action: answered denied".to_owned()), "{all:#?}");
    let count = |text: &str| all.iter().filter(|found| *found == text).count();
    assert_eq!(count("action: came again"), 1);
    assert_eq!((count("-action"), count("-application")), (3, 2), "all spans are closed: {all:#?}");
}
