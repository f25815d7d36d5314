use logux::{
    ActionId, NodeId, Stamp, WallTime,
    crdt::{Crdt, Text, TextOp, Unit},
    replay::Coverage,
};
use serde::{Deserialize, Serialize};

use crate::{
    library::{Form, Library},
    trace::Step,
};

/// This project: the elements, but not the text of deleted ones, and times to the minute. An update
/// is the JSON of the operations of an action; a history is the settled state, as in a snapshot.
pub struct Logux {
    text: Text,
    node: NodeId,
    time: i64,
}

#[derive(Serialize, Deserialize)]
struct Sent {
    author: String,
    time: i64,
    ops: Vec<TextOp>,
}

impl Logux {
    fn stamp(node: &NodeId, time: i64) -> Stamp {
        let time = WallTime::from_millis(time);
        Stamp::new(time, ActionId::new(time, node.clone(), 0))
    }

    fn edit(&mut self, step: &Step, mut made: impl FnMut(TextOp)) {
        self.time = self.time.max(step.time as i64) + 1;
        let stamp = Self::stamp(&self.node, self.time);
        let mut index = 0;
        for patch in &step.patches {
            let range = patch.at..patch.at + patch.removed;
            let ops = self.text.replace_ops(range, &patch.inserted, Unit::Scalars, &self.node);
            for op in ops.expect("the patch is in the text") {
                self.text.apply(&op, &stamp.of_operation(index));
                index += 1;
                made(op);
            }
        }
    }

    fn settled(&self) -> Text {
        let mut text = self.text.clone();
        text.settle(&Coverage::default());
        text
    }
}

impl Library for Logux {
    const NAME: &'static str = "logux";
    const PACKAGES: &'static [&'static str] = &["logux"];
    const LOADED: Form = Form::Plain;

    fn new(author: usize) -> Self {
        let node = NodeId::new(format!("{author}:R7BNGAP5:px3-J3oc")).expect("a node id");
        Self { text: Text::default(), node, time: 0 }
    }

    fn act(&mut self, step: &Step) {
        self.edit(step, drop);
    }

    fn act_and_send(&mut self, step: &Step) -> Vec<u8> {
        let mut ops = Vec::new();
        self.edit(step, |op| ops.push(op));
        let sent = Sent { author: self.node.as_str().to_owned(), time: self.time, ops };
        serde_json::to_vec(&sent).expect("operations are JSON")
    }

    fn receive(&mut self, updates: &[&[u8]]) {
        for update in updates {
            if !update.starts_with(b"{") {
                // A snapshot takes the place of the state.
                self.text = Text::load(update).expect("a saved text");
                continue;
            }
            let sent: Sent = serde_json::from_slice(update).expect("an update");
            let node = NodeId::new(sent.author).expect("a node id");
            let stamp = Self::stamp(&node, sent.time);
            for (index, op) in (0..).zip(&sent.ops) {
                self.text.apply(op, &stamp.of_operation(index));
            }
        }
    }

    fn history(&mut self) -> Option<Vec<u8>> {
        self.save(Form::Plain)
    }

    fn text(&self) -> String {
        self.text.to_string()
    }

    fn save(&mut self, form: Form) -> Option<Vec<u8>> {
        Some(match form {
            Form::Plain => self.settled().save(),
            Form::Compact => self.settled().save_deflated(),
        })
    }

    fn load(saved: &[u8], author: usize) -> Self {
        Self { text: Text::load(saved).expect("a saved text"), ..Self::new(author) }
    }

    fn load_text(saved: &[u8], _: usize) -> String {
        Text::load_text(saved).expect("a saved text")
    }
}
