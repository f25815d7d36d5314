use yrs::{
    Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Text, TextRef, Transact,
    TransactionMut, Update, block::ClientID, updates::decoder::Decode,
};

use crate::{
    library::{Form, Library},
    trace::Step,
};

/// yrs keeps the elements, but not the text of deleted ones. It has no times.
pub struct Yrs {
    doc: Doc,
    text: TextRef,
}

impl Yrs {
    /// Applies the patches in an open transaction.
    fn apply(&self, step: &Step, transaction: &mut TransactionMut<'_>) {
        for patch in &step.patches {
            if patch.removed > 0 {
                self.text.remove_range(transaction, patch.at as u32, patch.removed as u32);
            }
            if !patch.inserted.is_empty() {
                self.text.insert(transaction, patch.at as u32, &patch.inserted);
            }
        }
    }
}

impl Library for Yrs {
    const NAME: &'static str = "yrs";
    const PACKAGES: &'static [&'static str] = &["yrs"];
    const LOADED: Form = Form::Plain;

    fn new(author: usize) -> Self {
        let doc = Doc::with_options(Options {
            client_id: ClientID::new(author as u64 + 1),
            offset_kind: OffsetKind::Utf16,
            ..Options::default()
        });
        let text = doc.get_or_insert_text("text");
        Self { doc, text }
    }

    fn act(&mut self, step: &Step) {
        self.apply(step, &mut self.doc.transact_mut());
    }

    fn act_and_send(&mut self, step: &Step) -> Vec<u8> {
        let mut transaction = self.doc.transact_mut();
        self.apply(step, &mut transaction);
        transaction.commit();
        transaction.encode_update_v1()
    }

    fn receive(&mut self, updates: &[&[u8]]) {
        let mut transaction = self.doc.transact_mut();
        for update in updates {
            let update = Update::decode_v1(update).expect("the update is valid");
            transaction.apply_update(update).expect("the update is applicable");
        }
    }

    fn history(&mut self) -> Option<Vec<u8>> {
        self.save(Form::Plain)
    }

    fn text(&self) -> String {
        self.text.get_string(&self.doc.transact())
    }

    fn save(&mut self, form: Form) -> Option<Vec<u8>> {
        let transaction = self.doc.transact();
        let all = StateVector::default();
        Some(match form {
            Form::Plain => transaction.encode_state_as_update_v1(&all),
            // Columns with run lengths.
            Form::Compact => transaction.encode_state_as_update_v2(&all),
        })
    }

    fn load(saved: &[u8], author: usize) -> Self {
        let mut loaded = Self::new(author);
        loaded.receive(&[saved]);
        loaded
    }
}
