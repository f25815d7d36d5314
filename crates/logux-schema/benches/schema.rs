//! The check of one edit of a large document, beside the validation of the whole document.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use logux::{
    ActionId, Stamp,
    crdt::{CheckedChange, Crdt, Document, DocumentOp, DocumentSchema, List, Path, Unit},
};
use logux_schema::Schema;
use serde_json::{Value, json};

fn schema(body: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 80},
            "body": body,
            "tasks": {"type": "array", "maxItems": 10_000, "items": {"$ref": "#/$defs/task"}},
        },
        "required": ["title"],
        "additionalProperties": false,
        "$defs": {"task": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "done": {"type": "boolean"}},
            "required": ["text"],
        }},
    })
}

fn id(ms: u32) -> ActionId {
    format!("{ms} 10:ada:x 0").parse().unwrap()
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

/// A document with a text of 100 KB and 2,000 tasks.
fn document() -> Document {
    let mut document = Document::default();
    let stamp = |ms: u32| Stamp::new(id(ms).time(), id(ms));
    document.set(&path("/title"), json!("Tea"), &stamp(1));
    let text = "The quick brown fox. ".repeat(5_000);
    let add = |text_part: &logux::crdt::Text| text_part.set_ops(&text, id(2).node());
    document.edit_text(&path("/body"), &stamp(2), add).unwrap();
    let tasks =
        (0..2_000).map(|task| json!({"text": format!("Task {task}"), "done": false}).into());
    let add = |list: &List| list.insert_all_op(0, tasks.collect(), id(3).node());
    document.edit_list(&path("/tasks"), &stamp(3), add).unwrap();
    document
}

fn edits(criterion: &mut Criterion) {
    let document = document();
    let id = id(9);
    let author = id.node();
    let key = document
        .text_ops(&path("/body"), author, |text| {
            text.replace_ops(50_000..50_000, "x", Unit::Scalars, author)
        })
        .unwrap();
    let task = document.list("/tasks").unwrap().id_at(1_000).unwrap();
    let done = document.set_op(&path(&format!("/tasks/{task}/done")), json!(true));
    let push = |list: &List| list.push_op(json!({"text": "New"}), author);
    let push = document.list_op(&path("/tasks"), author, push).unwrap();
    let plain = json!({"type": "string"});
    let limited = json!({"type": "string", "maxLength": 1_000_000});
    let cases: [(&str, &Value, Vec<DocumentOp>); 4] = [
        ("key", &plain, key.clone()),
        ("key, maxLength", &limited, key),
        ("field of a task", &plain, vec![done]),
        ("new task", &plain, vec![push]),
    ];
    for (name, body, ops) in cases {
        let schema = Schema::new(&schema(body)).unwrap();
        let mut after = document.clone();
        for (index, op) in (0..).zip(&ops) {
            after.apply(op, &Stamp::new(id.time(), id.clone()).of_operation(index));
        }
        let check = || {
            let touched = ops.iter().map(|op| Document::touched(op, author));
            schema.check(&CheckedChange::new(Some(&document), &after, touched))
        };
        criterion.bench_function(name, |bench| bench.iter(|| black_box(check()).unwrap()));
    }
    let schema = Schema::new(&schema(&plain)).unwrap();
    let whole = || schema.check(&CheckedChange::new(None, &document, []));
    criterion.bench_function("whole document", |bench| bench.iter(|| black_box(whole()).unwrap()));
}

criterion_group!(benches, edits);
criterion_main!(benches);
