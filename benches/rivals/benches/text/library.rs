//! What each library does in this bench.

use crate::trace::Step;

/// A form in which a library saves a document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Without compression.
    Plain,
    /// The smallest that the library offers itself.
    Compact,
}

/// A replica of one document that is a text.
///
/// All indexes count UTF-16 units, which are Unicode scalar values in all traces.
pub trait Library: Sized {
    /// The name in the table.
    const NAME: &'static str;
    /// The packages whose versions are printed.
    const PACKAGES: &'static [&'static str];
    /// The form that [`load`](Self::load) reads: the default of the library.
    const LOADED: Form;

    /// Creates the empty document as a replica of this author.
    fn new(author: usize) -> Self;

    /// Applies the patches of a step, one after the other, in one transaction.
    fn act(&mut self, step: &Step);

    /// Does the same, and returns what the other replicas must receive.
    fn act_and_send(&mut self, step: &Step) -> Vec<u8>;

    /// Applies updates that have arrived together: what other replicas have sent, in causal order,
    /// or a [`history`](Self::history).
    fn receive(&mut self, updates: &[&[u8]]);

    /// Returns the complete history as one update.
    fn history(&mut self) -> Option<Vec<u8>>;

    /// Returns the text.
    fn text(&self) -> String;

    /// Saves the document, if the library offers this form.
    fn save(&mut self, form: Form) -> Option<Vec<u8>>;

    /// Loads what [`save`](Self::save) has returned as a replica of this author.
    fn load(saved: &[u8], author: usize) -> Self;

    /// Reads only the text of a saved document.
    fn load_text(saved: &[u8], author: usize) -> String {
        Self::load(saved, author).text()
    }
}
