use std::sync::{Arc, Mutex};

use loro::{CommitOptions, ExportMode, LoroDoc, LoroText, Subscription};

use crate::{
    library::{Form, Library},
    trace::Step,
};

/// Loro keeps the history, and a time in seconds for each change. With its default configuration,
/// transactions of one author within 1,000 s are one change.
pub struct Loro {
    doc: LoroDoc,
    text: LoroText,
    /// The subscription to local updates, after the first of them is needed.
    sent: Option<(Subscription, Arc<Mutex<Vec<u8>>>)>,
}

impl Loro {
    fn of(doc: LoroDoc, author: usize) -> Self {
        doc.set_peer_id(author as u64 + 1).expect("no transaction is open");
        let text = doc.get_text("text");
        Self { doc, text, sent: None }
    }
}

impl Library for Loro {
    const NAME: &'static str = "loro";
    const PACKAGES: &'static [&'static str] = &["loro"];
    const LOADED: Form = Form::Compact;

    fn new(author: usize) -> Self {
        Self::of(LoroDoc::new(), author)
    }

    fn act(&mut self, step: &Step) {
        for patch in &step.patches {
            if patch.removed > 0 {
                self.text.delete(patch.at, patch.removed).expect("the range is in the text");
            }
            if !patch.inserted.is_empty() {
                self.text.insert(patch.at, &patch.inserted).expect("the index is in the text");
            }
        }
        self.doc.commit_with(CommitOptions::new().timestamp(step.time / 1_000));
    }

    fn act_and_send(&mut self, step: &Step) -> Vec<u8> {
        let (_, sent) = self.sent.get_or_insert_with(|| {
            let sent = Arc::new(Mutex::new(Vec::new()));
            let copy = sent.clone();
            let subscription = self.doc.subscribe_local_update(Box::new(move |update| {
                copy.lock().unwrap().clone_from(update);
                true
            }));
            (subscription, sent)
        });
        let sent = sent.clone();
        self.act(step);
        std::mem::take(&mut *sent.lock().unwrap())
    }

    fn receive(&mut self, updates: &[&[u8]]) {
        let status = match updates {
            [update] => self.doc.import(update),
            _ => {
                let updates: Vec<_> = updates.iter().map(|update| update.to_vec()).collect();
                self.doc.import_batch(&updates)
            }
        };
        let status = status.expect("the updates are valid");
        assert!(status.pending.is_none(), "updates are in causal order");
    }

    fn history(&mut self) -> Option<Vec<u8>> {
        self.doc.export(ExportMode::all_updates()).ok()
    }

    fn text(&self) -> String {
        self.text.to_string()
    }

    fn save(&mut self, form: Form) -> Option<Vec<u8>> {
        // A snapshot is always compressed with LZ4.
        (form == Form::Compact).then(|| {
            self.doc.export(ExportMode::Snapshot).expect("the document has its whole history")
        })
    }

    fn load(saved: &[u8], author: usize) -> Self {
        Self::of(LoroDoc::from_snapshot(saved).expect("the saved document is valid"), author)
    }
}
