//! Parts of a text.

use core::ops::Range;

/// Parts of a text, one after the other, without a search from its start for each.
pub(super) struct Slices<'a> {
    rest: &'a str,
    /// The index of the first scalar value of the rest.
    start: u32,
    len: u32,
}

impl<'a> Slices<'a> {
    /// `text` has `len` scalar values, or is empty.
    pub(super) const fn new(text: &'a str, len: u32) -> Self {
        Self { rest: text, start: 0, len }
    }

    /// Returns the scalar values in a range that begins after the one before.
    pub(super) fn next(&mut self, range: &Range<u32>) -> &'a str {
        if range.end == self.len && range.start == self.start {
            return self.rest;
        }
        self.skip_to(range.start);
        let text = self.rest;
        self.skip_to(range.end);
        &text[..text.len() - self.rest.len()]
    }

    fn skip_to(&mut self, index: u32) {
        let count = (index - self.start) as usize;
        let end = self.rest.char_indices().nth(count).map_or(self.rest.len(), |(at, _)| at);
        self.rest = &self.rest[end..];
        self.start = index;
    }
}
