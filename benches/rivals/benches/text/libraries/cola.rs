use cola::{Deletion, EncodedReplica, Insertion, Replica, ReplicaId};
use crop::Rope;
use serde::{Deserialize, Serialize};

use crate::{
    library::{Form, Library},
    trace::Step,
};

/// cola orders elements but has no text, so it is paired with a rope of `crop`. It has no times, no
/// history, and knows only the lengths of what was deleted.
pub struct Cola {
    replica: Replica,
    rope: Rope,
}

/// What a replica sends. cola leaves the form to its user.
#[derive(Serialize, Deserialize)]
enum Part<'a> {
    Insertion(Insertion, &'a str),
    Deletion(Deletion),
}

#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    text: &'a str,
    replica: &'a [u8],
}

impl Cola {
    fn delete(&mut self, start: usize, end: usize) {
        let bytes = self.byte(start)..self.byte(end);
        self.rope.delete(bytes);
    }

    /// The replica counts UTF-16 units, the rope bytes.
    fn byte(&self, index: usize) -> usize {
        self.rope.byte_of_utf16_code_unit(index)
    }

    /// Applies a step, with the parts that others need.
    fn parts<'a>(&mut self, step: &'a Step, mut send: impl FnMut(Part<'a>)) {
        for patch in &step.patches {
            if patch.removed > 0 {
                let end = patch.at + patch.removed;
                send(Part::Deletion(self.replica.deleted(patch.at..end)));
                self.delete(patch.at, end);
            }
            if !patch.inserted.is_empty() {
                let len = patch.inserted.encode_utf16().count();
                send(Part::Insertion(self.replica.inserted(patch.at, len), &patch.inserted));
                self.rope.insert(self.byte(patch.at), &patch.inserted);
            }
        }
    }
}

/// The id of an author. Zero is not allowed, and one is the origin of all replicas.
fn id(author: usize) -> ReplicaId {
    author as ReplicaId + 2
}

fn parts(update: &[u8]) -> Vec<Part<'_>> {
    postcard::from_bytes(update).expect("the update is valid")
}

impl Library for Cola {
    const NAME: &'static str = "cola";
    const PACKAGES: &'static [&'static str] = &["cola", "crop"];
    const LOADED: Form = Form::Plain;

    fn new(author: usize) -> Self {
        Self { replica: Replica::new(1, 0).fork(id(author)), rope: Rope::new() }
    }

    fn act(&mut self, step: &Step) {
        self.parts(step, drop);
    }

    fn act_and_send(&mut self, step: &Step) -> Vec<u8> {
        let mut parts = Vec::new();
        self.parts(step, |part| parts.push(part));
        postcard::to_stdvec(&parts).expect("parts are serializable")
    }

    fn receive(&mut self, updates: &[&[u8]]) {
        for part in updates.iter().flat_map(|update| parts(update)) {
            match part {
                Part::Insertion(insertion, text) => {
                    let at = self.replica.integrate_insertion(&insertion);
                    self.rope.insert(self.byte(at.expect("updates are in causal order")), text);
                }
                Part::Deletion(deletion) => {
                    // From the end, so that the other ranges do not move.
                    for range in self.replica.integrate_deletion(&deletion).into_iter().rev() {
                        self.delete(range.start, range.end);
                    }
                }
            }
        }
    }

    fn history(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn text(&self) -> String {
        self.rope.to_string()
    }

    fn save(&mut self, form: Form) -> Option<Vec<u8>> {
        (form == Form::Plain).then(|| {
            let replica = self.replica.encode();
            let saved = Saved { text: &self.text(), replica: replica.as_bytes() };
            postcard::to_stdvec(&saved).expect("bytes are serializable")
        })
    }

    fn load(saved: &[u8], author: usize) -> Self {
        let saved: Saved<'_> = postcard::from_bytes(saved).expect("the saved document is valid");
        let encoded = EncodedReplica::from_bytes(saved.replica);
        let replica = Replica::decode(id(author), &encoded).expect("the saved replica is valid");
        Self { replica, rope: Rope::from(saved.text) }
    }

    fn load_text(saved: &[u8], _: usize) -> String {
        let saved: Saved<'_> = postcard::from_bytes(saved).expect("the saved document is valid");
        saved.text.to_owned()
    }
}
