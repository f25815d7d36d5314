//! A vector whose clones share pages.

use std::sync::Arc;

/// A vector of values in pages that clones share: reading and writing by index are O(1), and the
/// first write to a page after a clone copies the page. A clone is O(n / 32).
#[derive(Clone, Debug)]
pub(in crate::crdt) struct Pages<T> {
    pages: Vec<Arc<Vec<T>>>,
}

/// The number of values of a page.
const PAGE: usize = 32;

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T: Clone> Pages<T> {
    pub(in crate::crdt) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    /// Appends a value, and returns its index.
    ///
    /// # Panics
    /// If there are 2^32 values.
    pub(in crate::crdt) fn push(&mut self, value: T) -> u32 {
        let index = u32::try_from(self.len()).expect("there are fewer than 2^32 values");
        match self.pages.last_mut().filter(|page| page.len() < PAGE) {
            Some(page) => Arc::make_mut(page).push(value),
            None => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(value);
                self.pages.push(Arc::new(page));
            }
        }
        index
    }

    #[inline]
    pub(in crate::crdt) fn get(&self, index: u32) -> &T {
        &self.pages[index as usize / PAGE][index as usize % PAGE]
    }

    #[inline]
    pub(in crate::crdt) fn get_mut(&mut self, index: u32) -> &mut T {
        &mut Arc::make_mut(&mut self.pages[index as usize / PAGE])[index as usize % PAGE]
    }

    /// Returns the indexes of the values that two vectors do not share, and some without a value.
    pub(in crate::crdt) fn unshared(&self, other: &Self) -> impl Iterator<Item = u32> {
        let count = self.pages.len().max(other.pages.len());
        let is_shared = |page: usize| match (self.pages.get(page), other.pages.get(page)) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            _ => false,
        };
        let pages = (0..count).filter(move |page| !is_shared(*page));
        pages.flat_map(|page| (page * PAGE) as u32..((page + 1) * PAGE) as u32)
    }

    pub(in crate::crdt) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter())
    }
}
