//! One action can be followed from its arrival to the delivery of its answer, by any `tracing` subscriber.

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

/// What happened in spans, in order: `+name in parent`, `name: moment`, `-name`.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, text: String) {
        self.0.lock().expect("no panic").push(text);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

/// The message and the field `outcome`.
#[derive(Default)]
struct Said(String);

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "message" | "outcome" | "type") {
            self.0 += &format!(" {}", format!("{value:?}").trim_matches('"'));
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() != TARGET {
            return;
        }
        let span = context.span(id).expect("a span");
        let parent = span.parent().map_or("nothing", |parent| parent.name());
        let mut said = Said::default();
        attributes.record(&mut said);
        self.note(format!("+{}{} in {parent}", span.name(), said.0));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut said = Said::default();
        values.record(&mut said);
        self.note(format!("{} is{}", context.span(id).expect("a span").name(), said.0));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == TARGET {
            let mut said = Said::default();
            event.record(&mut said);
            self.note(format!("{}:{}", context.event_span(event).expect("a span").name(), said.0));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).expect("a span");
        if span.metadata().target() == TARGET {
            self.note(format!("-{}", span.name()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_arrival_to_the_answer() {
    let seen = Seen::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone());
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
    // What comes again, or was forged, is not followed for ever.
    sync(&mut socket, 1, r#"{"type":"say"}"#).await;
    read(&mut socket, "logux/processed").await;
    drop(socket);
    server.shutdown().await.expect("an end");

    let all = seen.all();
    let of = |kind: &str| {
        let from = all
            .iter()
            .position(|text| *text == format!("+action {kind} in nothing"))
            .expect("it came");
        let to = all.iter().skip(from).position(|text| text == "-action").expect("it ended");
        all[from + 1..from + to].to_vec()
    };
    let say = of("say");
    // These happen beside the hub, as does the arrival of the next action.
    let is_aside = |text: &String| {
        ["-application", "action: resent", "+action no in nothing"].contains(&text.as_str())
    };
    let (aside, in_order): (Vec<_>, Vec<_>) = say.into_iter().partition(is_aside);
    assert!(aside.contains(&"action: resent".to_owned()), "{all:#?}");
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
    assert!(of("no").contains(&"action: answered denied".to_owned()), "{all:#?}");
    let count = |text: &str| all.iter().filter(|found| *found == text).count();
    assert_eq!(count("action: came again"), 1);
    assert_eq!(
        (count("-action"), count("-application")),
        (3, 2),
        "nothing is left behind: {all:#?}"
    );
}
