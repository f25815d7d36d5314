// Reading order: `kind` (what a kind of documents is, and how it is served).

pub(crate) mod kind;
