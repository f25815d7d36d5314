//! Which changes of a document a schema allows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    ActionId, NodeId, Stamp,
    crdt::{
        CheckedChange, Crdt, Document, DocumentOp, DocumentSchema, DocumentView, List, Path,
        SchemaViolation, Text, Touched, Tree, TreeError, Unit,
    },
};
use logux_schema::Schema;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

fn notes() -> Value {
    json!({
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 5},
            "body": {"type": "string"},
            "likes": {"type": "integer", "maximum": 3},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
            "tasks": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/task"}},
            "outline": {"items": {"properties": {
                "depth": {"maximum": 1},
                "value": {"type": "object", "properties": {"t": {"type": "string"}}},
            }}},
            "block": {"oneOf": [
                {"properties": {"kind": {"const": "p"}, "text": {"type": "string"}}, "required": ["kind"]},
                {"properties": {"kind": {"const": "n"}, "n": {"type": "integer"}}, "required": ["kind", "n"]},
            ]},
            "meta": {"type": "object", "minProperties": 1, "maxProperties": 2,
                "propertyNames": {"maxLength": 2}, "additionalProperties": {"type": ["string", "object"]}},
        },
        "patternProperties": {"^x-": {"type": "integer"}},
        "additionalProperties": false,
        "required": ["title"],
        "$defs": {
            "task": {"allOf": [{"$ref": "#/$defs/named"}], "type": "object",
                "properties": {"done": {"type": "boolean"}, "parts": {"items": {"$ref": "#/$defs/task"}}}},
            "named": {"properties": {"text": {"type": "string", "maxLength": 3}}, "required": ["text"]},
        },
    })
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn id(ms: u32) -> ActionId {
    format!("{ms} 10:a:b 0").parse().unwrap()
}

/// A document that is changed under a schema.
struct Checked {
    schema: Schema,
    document: Document,
    ms: u32,
}

impl Checked {
    fn new(schema: &Value) -> Self {
        Self { schema: Schema::new(schema).unwrap(), document: Document::default(), ms: 0 }
    }

    /// Changes the document if the schema allows it.
    fn change(
        &mut self,
        make: impl FnOnce(&Document, &NodeId) -> Vec<DocumentOp>,
    ) -> Result<(), SchemaViolation> {
        self.ms += 1;
        let id = id(self.ms);
        let ops = make(&self.document, id.node());
        let mut after = self.document.clone();
        let stamp = Stamp::new(id.time(), id.clone());
        for (index, op) in (0..).zip(&ops) {
            after.apply(op, &stamp.of_operation(index));
        }
        let touched = ops.iter().map(|op| Document::touched(op, id.node()));
        self.schema.check(&CheckedChange::new(Some(&self.document), &after, touched))?;
        self.document = after;
        Ok(())
    }

    fn set(&mut self, at: &str, value: Value) -> Result<(), SchemaViolation> {
        self.change(|document, _| vec![document.set_op(&path(at), value)])
    }

    /// Changes the document without the schema.
    fn force(&mut self, at: &str, value: Value) {
        self.ms += 1;
        let id = id(self.ms);
        self.document.set(&path(at), value, &Stamp::new(id.time(), id));
    }

    fn text(&mut self, at: &str, text: &str) -> Result<(), SchemaViolation> {
        self.change(|document, author| {
            document.text_ops(&path(at), author, |old| old.set_ops(text, author)).unwrap()
        })
    }

    fn refusal(&mut self, at: &str, value: Value) -> String {
        self.set(at, value).unwrap_err().to_string()
    }
}

#[test]
fn a_violation_names_the_field_and_what_was_expected() {
    let mut note = Checked::new(&notes());
    note.force("/title", json!("Tea"));
    assert_eq!(note.refusal("/title", json!(7)), r#"/title: 7 is not of type "string""#);
    assert_eq!(
        note.refusal("/titel", json!(7)),
        "/titel: expected no value here, which the schema does not know"
    );
    assert_eq!(
        note.refusal("/title", json!("Coffee")),
        r#"/title: "Coffee" is longer than 5 characters"#
    );
    assert_eq!(
        note.refusal("/meta/abc", json!("x")),
        r#"/meta: "abc" is longer than 2 characters"#
    );
    let delete = note.change(|document, _| vec![document.delete_op(&path("/title"))]);
    assert_eq!(delete.unwrap_err().to_string(), r#""title" is a required property"#);
    assert_eq!(
        note.refusal("/block", json!({"kind": "n"})),
        r#"/block: {"kind":"n"} is not valid under any of the schemas listed in the 'oneOf' keyword"#
    );
    // A long value is not part of the description.
    let long = note.refusal("/title", json!("x".repeat(1000)));
    assert_eq!(long, "/title: a string of 1000 characters is longer than 5 characters");
}

#[test]
fn texts_counters_and_sets_are_strings_numbers_and_arrays() {
    let mut note = Checked::new(&notes());
    note.text("/title", "Tea").unwrap();
    note.text("/title", "Teaaa").unwrap();
    assert_eq!(note.text("/title", "Coffee").unwrap_err().path, "/title");
    assert_eq!(note.text("/likes", "1").unwrap_err().error, r#""1" is not of type "integer""#);
    let like = |note: &mut Checked| {
        note.change(|document, _| vec![document.increment_op(&path("/likes"), 2)])
    };
    like(&mut note).unwrap();
    assert_eq!(like(&mut note).unwrap_err().error, "4 is greater than the maximum of 3");
    let tag = |note: &mut Checked, tag: &str| {
        note.change(|document, _| vec![document.add_op(&path("/tags"), tag)])
    };
    tag(&mut note, "a").unwrap();
    assert_eq!(tag(&mut note, "c").unwrap_err().path, "/tags/1");
    assert_eq!(note.document.to_json(), json!({"title": "Teaaa", "likes": 2, "tags": ["a"]}));
}

#[test]
fn an_item_and_a_node_are_checked_by_their_name() {
    let mut note = Checked::new(&notes());
    note.force("/title", json!("Tea"));
    let push = |note: &mut Checked, value: Value| {
        note.change(|document, author| {
            vec![
                document
                    .list_op(&path("/tasks"), author, |list| list.push_op(value, author))
                    .unwrap(),
            ]
        })
    };
    push(&mut note, json!({"text": "a"})).unwrap();
    push(&mut note, json!({"text": "b"})).unwrap();
    let refused = push(&mut note, json!({"text": "long"})).unwrap_err();
    assert_eq!(refused.path, "/tasks/@10:a:b 2/text");
    assert_eq!(
        note.refusal("/tasks/@10:a:b 1/done", json!(1)),
        r#"/tasks/@10:a:b 1/done: 1 is not of type "boolean""#
    );
    let delete =
        note.change(|document, _| vec![document.delete_op(&path("/tasks/@10:a:b 1/text"))]);
    assert_eq!(
        delete.unwrap_err().to_string(),
        r#"/tasks/@10:a:b 1: "text" is a required property"#
    );
    push(&mut note, json!({"text": "c"})).unwrap();
    assert_eq!(
        push(&mut note, json!({"text": "d"})).unwrap_err().error,
        "expected at most 3 items, got 4"
    );

    let create = |note: &mut Checked, parent: Option<u32>, value: Value| {
        note.change(|document, author| {
            let parent =
                parent.and_then(|at| document.tree("/outline")?.walk().nth(at as usize)?.id());
            let make = |tree: &Tree| tree.create_op(parent.as_ref(), 0, value, author);
            document.tree_ops(&path("/outline"), author, make).unwrap()
        })
    };
    create(&mut note, None, json!({"t": "a"})).unwrap();
    create(&mut note, Some(0), json!({"t": "b"})).unwrap();
    assert_eq!(
        create(&mut note, Some(1), json!({})).unwrap_err().error,
        "2 is greater than the maximum of 1"
    );
    let node = note.document.tree("/outline").unwrap().walk().next().unwrap().id().unwrap();
    assert_eq!(
        note.set(&format!("/outline/{node}/t"), json!(1)).unwrap_err().path,
        format!("/outline/{node}/t")
    );
    note.set(&format!("/outline/{node}/t"), json!("c")).unwrap();
}

#[test]
fn a_document_that_is_invalid_already_can_be_edited() {
    let mut note = Checked::new(&notes());
    note.force("/old", json!(1));
    note.force("/title", json!("A long title"));
    note.force("/tasks", json!([{"text": 1}, {"text": 2}]));
    // What is wrong elsewhere does not matter.
    note.text("/body", "x").unwrap();
    note.set("/old", json!(2)).unwrap();
    // A limit is not exceeded by more.
    note.set("/title", json!("A longtitle")).unwrap();
    assert!(note.set("/title", json!("A longer title")).is_err());
    // A rule is not violated in more places.
    note.set("/tasks", json!([{"text": "a"}, {"text": 2}])).unwrap();
    assert!(note.set("/tasks", json!([{"text": 1}, {"text": 2}])).is_err());
    assert!(note.set("/older", json!(1)).is_err());
    // The wrong field can be deleted, and is not written again.
    note.change(|document, _| vec![document.delete_op(&path("/old"))]).unwrap();
    assert!(note.set("/old", json!(2)).is_err());
}

#[test]
fn a_new_document_has_to_be_valid_as_a_whole() {
    let schema = Schema::new(&notes()).unwrap();
    let empty = Document::default();
    let new = |document: &Document| schema.check(&CheckedChange::new(None, document, []));
    assert_eq!(new(&empty).unwrap_err().to_string(), r#""title" is a required property"#);
    let mut note = Checked::new(&json!(true));
    note.set("/title", json!("Tea")).unwrap();
    new(&note.document).unwrap();
}

/// A document that counts what is read of it.
struct Counted<'a>(&'a Document, std::cell::RefCell<Vec<String>>);

impl DocumentView for Counted<'_> {
    fn value(&self, path: &Path) -> Option<Value> {
        self.1.borrow_mut().push(path.to_string());
        self.0.value_at(path)
    }

    fn shape(&self, path: &Path) -> Option<logux::crdt::ValueShape> {
        self.0.shape_at(path)
    }

    fn element(&self, path: &Path, element: &logux::crdt::ElementId) -> Option<Value> {
        self.0.element_at(path, element)
    }
}

#[test]
fn only_what_is_touched_is_read() {
    let schema = Schema::new(&notes()).unwrap();
    let mut note = Checked::new(&json!(true));
    note.set("/title", json!("Tea")).unwrap();
    note.text("/body", &"x".repeat(1000)).unwrap();
    note.set("/block", json!({"kind": "p", "text": "x"})).unwrap();
    let read = |touched: &str| {
        let views = [(); 2].map(|()| Counted(&note.document, <_>::default()));
        let touched = [Touched::Value(path(touched))];
        schema.check(&CheckedChange::new(Some(&views[0]), &views[1], touched)).unwrap();
        let [before, after] = views.map(|view| view.1.into_inner());
        assert_eq!(before, [""; 0]);
        after
    };
    assert_eq!(read("/body"), [""; 0]);
    assert_eq!(read("/title"), ["/title"]);
    assert_eq!(read("/block/text"), ["/block"]);
}

/// An edit of a random document.
#[derive(Clone, Debug)]
enum Intent {
    Set(&'static str, Value),
    Delete(&'static str),
    Increment(&'static str, i64),
    Add(&'static str, &'static str),
    Text(&'static str, &'static str),
    Push(&'static str, Value),
    Remove(&'static str, prop::sample::Index),
    SetIn(&'static str, prop::sample::Index, &'static str, Value),
    Node(&'static str, prop::sample::Index, Value),
    MoveNode(&'static str, [prop::sample::Index; 2]),
}

fn intent() -> impl Strategy<Value = Intent> {
    let path = || {
        select(vec![
            "",
            "/title",
            "/body",
            "/likes",
            "/tags",
            "/tasks",
            "/outline",
            "/block",
            "/block/kind",
            "/block/n",
            "/meta",
            "/meta/a",
            "/meta/b",
            "/meta/b/c",
            "/meta/abc",
            "/x-a",
            "/y",
        ])
    };
    let value = || {
        select(vec![
            json!(1),
            json!(5),
            json!("a"),
            json!("long text"),
            json!({}),
            json!([]),
            json!(null),
            json!({"text": "a"}),
            json!({"text": 1}),
            json!({"kind": "p"}),
            json!({"title": "a"}),
            json!({"a": "x"}),
            json!([{"text": "a"}]),
            json!(["a", "b"]),
            json!("p"),
            json!({"t": "x"}),
        ])
    };
    let list = || select(vec!["/tasks", "/tags", "/meta/a"]);
    let tree = || select(vec!["/outline", "/outline", "/tasks"]);
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (path(), value()).prop_map(|(path, value)| Intent::Set(path, value)),
        2 => path().prop_map(Intent::Delete),
        1 => (path(), -1..3_i64).prop_map(|(path, by)| Intent::Increment(path, by)),
        1 => (path(), select(vec!["a", "b", "c"])).prop_map(|(path, tag)| Intent::Add(path, tag)),
        2 => (path(), select(vec!["a", "abcd", "abcdef"])).prop_map(|(path, text)| Intent::Text(path, text)),
        3 => (list(), value()).prop_map(|(path, value)| Intent::Push(path, value)),
        1 => (list(), index()).prop_map(|(path, at)| Intent::Remove(path, at)),
        3 => (list(), index(), select(vec!["", "/text", "/done", "/parts"]), value())
            .prop_map(|(path, at, field, value)| Intent::SetIn(path, at, field, value)),
        3 => (tree(), index(), value()).prop_map(|(path, at, value)| Intent::Node(path, at, value)),
        1 => (tree(), [index(), index()]).prop_map(|(path, at)| Intent::MoveNode(path, at)),
    ]
}

fn ops(document: &Document, author: &NodeId, intent: &Intent) -> Vec<DocumentOp> {
    let list = |at: &str| document.list(at).cloned().unwrap_or_default();
    let item =
        |list: &List, at: &prop::sample::Index| (!list.is_empty()).then(|| at.index(list.len()));
    match intent {
        Intent::Set(at, value) => vec![document.set_op(&path(at), value.clone())],
        Intent::Delete(at) => vec![document.delete_op(&path(at))],
        Intent::Increment(at, by) => vec![document.increment_op(&path(at), *by)],
        Intent::Add(at, tag) => vec![document.add_op(&path(at), *tag)],
        Intent::Text(at, text) => document
            .text_ops(&path(at), author, |old: &Text| {
                old.replace_ops(0..old.len(Unit::Scalars), text, Unit::Scalars, author)
            })
            .unwrap(),
        Intent::Push(at, value) => {
            vec![
                document
                    .list_op(&path(at), author, |list| list.push_op(value.clone(), author))
                    .unwrap(),
            ]
        }
        Intent::Remove(at, index) => {
            let Some(index) = item(&list(at), index) else { return Vec::new() };
            vec![document.list_op(&path(at), author, |list| list.remove_op(index, author)).unwrap()]
        }
        Intent::SetIn(at, index, field, value) => {
            let list = list(at);
            let Some(name) = item(&list, index).and_then(|index| list.id_at(index)) else {
                return Vec::new();
            };
            vec![document.set_op(&path(&format!("{at}/{name}{field}")), value.clone())]
        }
        Intent::Node(at, index, value) => {
            let make = |tree: &Tree| -> Result<_, TreeError> {
                let parent = index.index(tree.walk().count() + 1);
                let parent = tree.walk().nth(parent).and_then(|node| node.id());
                tree.create_op(parent.as_ref(), 0, value.clone(), author)
            };
            document.tree_ops(&path(at), author, make).unwrap()
        }
        Intent::MoveNode(at, [node, to]) => {
            let Some(tree) = document.tree(at) else { return Vec::new() };
            let ids: Vec<_> = tree.walk().filter_map(|node| node.id()).collect();
            if ids.is_empty() {
                return Vec::new();
            }
            let (node, to) = (node.get(&ids), to.get(&ids));
            document
                .tree_ops(&path(at), author, |tree| tree.move_op(node, Some(to), 0, author))
                .unwrap_or_default()
        }
    }
}

fn cases() -> u32 {
    std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

#[test]
fn a_change_is_accepted_if_the_whole_document_stays_valid() {
    let whole = jsonschema::validator_for(&notes()).unwrap();
    let mut config = ProptestConfig::with_cases(cases());
    config.failure_persistence = None;
    proptest!(config, |(intents in prop::collection::vec(intent(), 1..25))| {
        let mut note = Checked::new(&notes());
        note.force("/title", json!("Tea"));
        for intent in intents {
            let before = note.document.to_json();
            prop_assert!(whole.is_valid(&before));
            let checked = note.change(|document, author| ops(document, author, &intent));
            match checked {
                Ok(()) => {
                    let after = note.document.to_json();
                    prop_assert!(whole.is_valid(&after), "{intent:?} made {after} of {before}");
                }
                Err(violation) => {
                    let mut free = note.document.clone();
                    let id = id(note.ms);
                    let stamp = Stamp::new(id.time(), id.clone());
                    for (index, op) in (0..).zip(ops(&free.clone(), id.node(), &intent)) {
                        free.apply(&op, &stamp.of_operation(index));
                    }
                    let after = free.to_json();
                    prop_assert!(!whole.is_valid(&after), "{intent:?} is refused: {violation}; {after}");
                    prop_assert!(note.document.to_json() == before);
                }
            }
        }
    });
}
