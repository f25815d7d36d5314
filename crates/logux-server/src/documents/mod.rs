// Reading order: `storage` (what is kept beside the log), `kind` (what a kind of documents is, and
// how it is served).

pub(crate) mod kind;
pub(crate) mod storage;
