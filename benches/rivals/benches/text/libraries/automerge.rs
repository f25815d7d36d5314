use automerge::{
    ActorId, AutoCommit, ObjId, ObjType, ROOT, ReadDoc, transaction::CommitOptions,
    transaction::Transactable,
};

use crate::{
    library::{Form, Library},
    trace::Step,
};

/// Automerge keeps the history, with a hash and a time in seconds for each transaction.
pub struct Automerge {
    doc: AutoCommit,
    text: ObjId,
}

impl Automerge {
    fn of(mut doc: AutoCommit, author: usize) -> Self {
        doc.set_actor(ActorId::from([author as u8 + 1; 16]));
        let (_, text) = doc.get(ROOT, "text").unwrap().expect("the document has a text");
        Self { doc, text }
    }
}

impl Library for Automerge {
    const NAME: &'static str = "automerge";
    const PACKAGES: &'static [&'static str] = &["automerge"];
    const LOADED: Form = Form::Compact;

    fn new(author: usize) -> Self {
        // All replicas begin with the same transaction, which creates the text.
        let mut doc = AutoCommit::new().with_actor(ActorId::from([0; 16]));
        doc.put_object(ROOT, "text", ObjType::Text).expect("the document is empty");
        doc.commit_with(CommitOptions::default().with_time(0));
        Self::of(doc, author)
    }

    fn act(&mut self, step: &Step) {
        for patch in &step.patches {
            let removed = patch.removed as isize;
            self.doc
                .splice_text(&self.text, patch.at, removed, &patch.inserted)
                .expect("the range is in the text");
        }
        self.doc.commit_with(CommitOptions::default().with_time(step.time / 1_000));
    }

    fn act_and_send(&mut self, step: &Step) -> Vec<u8> {
        self.act(step);
        let change = self.doc.get_last_local_change().expect("a step changes the text");
        change.raw_bytes().to_vec()
    }

    fn receive(&mut self, updates: &[&[u8]]) {
        // Each call takes as long as the document is.
        self.doc.load_incremental(&updates.concat()).expect("the updates are valid");
    }

    fn history(&mut self) -> Option<Vec<u8>> {
        Some(self.doc.save_after(&[]))
    }

    fn text(&self) -> String {
        self.doc.text(&self.text).expect("the document has a text")
    }

    fn save(&mut self, form: Form) -> Option<Vec<u8>> {
        Some(match form {
            Form::Plain => self.doc.save_nocompress(),
            // Columns, each of them deflated.
            Form::Compact => self.doc.save(),
        })
    }

    fn load(saved: &[u8], author: usize) -> Self {
        Self::of(AutoCommit::load(saved).expect("the saved document is valid"), author)
    }
}
