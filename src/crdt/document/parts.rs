//! The counters, sets, lists, texts and trees of a document, by path.

use im::OrdMap;

use crate::{
    action::Stamp,
    crdt::{
        counter::Counter,
        crdt::Crdt,
        list::List,
        map::{Map, diff_keys},
        path::{Path, is_within_item, subtree},
        saving::{LoadError, StateReader, StateWriter},
        set::AddWinsSet,
        text::Text,
        tree::Tree,
    },
    replay::Coverage,
};

/// What a document has at a path besides the written value.
pub(super) trait Part: Crdt {
    /// Hides what is not later than a stamp: a write has replaced it.
    fn hide(&mut self, until: &Stamp);

    /// Returns `true` if anything is known, also what is not visible.
    fn has_entries(&self) -> bool;

    /// Returns `true` if the part is shown in place of the value at its path.
    fn is_shown(&self) -> bool;
}

/// Implements [`Part`] by methods of the type, and `is_shown` by an expression.
macro_rules! part {
    ($type:ident, $part:ident => $is_shown:expr) => {
        impl Part for $type {
            fn hide(&mut self, until: &Stamp) {
                $type::hide(self, until);
            }

            fn has_entries(&self) -> bool {
                $type::has_entries(self)
            }

            fn is_shown(&self) -> bool {
                let $part = self;
                $is_shown
            }
        }
    };
}

part!(Counter, counter => counter.is_visible());
part!(AddWinsSet, set => set.iter().next().is_some());
part!(List, list => !list.is_empty());
part!(Text, text => Text::is_shown(text));
part!(Tree, tree => Tree::is_shown(tree));

/// The parts of one type, by path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parts<T: Clone>(OrdMap<Path, T>);

impl<T: Clone> Default for Parts<T> {
    fn default() -> Self {
        Self(OrdMap::new())
    }
}

impl<T: Part> Parts<T> {
    pub(super) fn get(&self, path: &str) -> Option<&T> {
        self.0.get(path)
    }

    /// Returns the part at a path, if it is shown.
    pub(super) fn shown(&self, path: &str) -> Option<&T> {
        self.get(path).filter(|part| part.is_shown())
    }

    /// Returns the shown parts at a path and below it, except those in items and nodes below it.
    pub(super) fn shown_in<'a>(
        &'a self,
        base: &'a Path,
    ) -> impl Iterator<Item = (&'a Path, &'a T)> {
        subtree(&self.0, base).filter(|(path, part)| part.is_shown() && !is_within_item(path, base))
    }

    /// Returns `true` if a part is shown below a path, except those in items and nodes below it.
    pub(super) fn is_shown_below(&self, base: &Path) -> bool {
        self.shown_in(base).any(|(path, _)| path != base)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.values()
    }

    /// Returns the part at a path, after it was created if necessary and what the last write has
    /// replaced was hidden.
    pub(super) fn part_mut(&mut self, path: &Path, values: &Map) -> &mut T {
        let part = self.0.entry(path.clone()).or_default();
        if let Some(write) = values.latest_write(path.as_str()) {
            part.hide(write);
        }
        part
    }

    /// Applies an operation on the part at a path. Returns `true` if it made a visible change.
    pub(super) fn apply(&mut self, path: &Path, values: &Map, op: &T::Op, stamp: &Stamp) -> bool {
        self.part_mut(path, values).apply(op, stamp).is_some()
    }

    /// Hides what a write at a path replaces: the parts at the path and below it, except those in
    /// items and nodes below it, which disappear with their items and nodes.
    pub(super) fn hide(&mut self, base: &Path, until: &Stamp) {
        let below = subtree(&self.0, base).map(|(path, _)| path);
        let hidden: Vec<Path> = below.filter(|path| !is_within_item(path, base)).cloned().collect();
        for path in hidden {
            if let Some(part) = self.0.get_mut(&path) {
                part.hide(until);
            }
        }
    }

    /// Calls `part` with the path of each part that differs.
    pub(super) fn diff(&self, after: &Self, part: &mut dyn FnMut(Path)) {
        diff_keys(&self.0, &after.0, |path| part(path.clone()));
    }

    /// Settles each part, and drops those of which nothing is left. What hides an empty part is a
    /// write, so the part need not be kept.
    pub(super) fn settle(&mut self, coverage: &Coverage) {
        let settled = |(path, part): (&Path, &T)| {
            let mut part = part.clone();
            part.settle(coverage);
            part.has_entries().then(|| (path.clone(), part))
        };
        self.0 = self.0.iter().filter_map(settled).collect();
    }

    /// Keeps the parts whose path fulfils a condition.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Path) -> bool) {
        let gone: Vec<Path> = self.0.keys().filter(|path| !is_kept(path)).cloned().collect();
        for path in gone {
            self.0.remove(&path);
        }
    }

    /// Converts the times of each part.
    pub(super) fn shift_times(&mut self, ms: i64) {
        let shifted = |(path, part): (&Path, &T)| {
            let mut part = part.clone();
            part.shift_times(ms);
            (path.clone(), part)
        };
        self.0 = self.0.iter().map(shifted).collect();
    }

    /// Writes each part with its path.
    pub(super) fn encode(&self, writer: &mut StateWriter) {
        writer.map(&self.0, |writer, path, part| {
            path.encode(writer);
            part.encode(writer);
        });
    }

    /// Reads each part with its path.
    pub(super) fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        reader.map(|reader| Ok((Path::decode(reader)?, T::decode(reader)?))).map(Self)
    }
}
