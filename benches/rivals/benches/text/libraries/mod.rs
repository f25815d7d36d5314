//! The libraries, one in each file.
//!
//! Another library is one more file that implements [`Library`], and a line in [`ALL`].

use crate::{
    library::Library,
    measure::{self, Results},
    trace::Trace,
};

mod automerge;
mod cola;
mod diamond_types;
mod logux;
mod loro;
mod yrs;

/// A library as the program calls it.
pub struct Entry {
    /// The name in the table.
    pub name: &'static str,
    /// The packages whose versions are printed.
    pub packages: &'static [&'static str],
    /// Measures the time of each work in this number of rounds.
    pub times: fn(&Trace, usize) -> Results,
    /// Measures sizes and memory.
    pub sizes: fn(&Trace) -> Results,
}

/// All libraries in the order of the table.
pub const ALL: [Entry; 6] = [
    entry::<logux::Logux>(),
    entry::<diamond_types::DiamondTypes>(),
    entry::<cola::Cola>(),
    entry::<loro::Loro>(),
    entry::<yrs::Yrs>(),
    entry::<automerge::Automerge>(),
];

const fn entry<L: Library>() -> Entry {
    Entry {
        name: L::NAME,
        packages: L::PACKAGES,
        times: measure::times::<L>,
        sizes: measure::sizes::<L>,
    }
}
