// Reading order: `storage` (what is kept beside the log), `open` (the queue and the state of each
// document in use), `request` (what the rule of access decides about), `kind` (what an application
// configures), `checks` (which actions are accepted), `rules` (rights without code), `change_feed`
// (the hook after changes), `json_feeds` (the JSON for subscribers), `access_changes` (rights that
// change), `query` (paths and queries of HTTP requests), `history` (former states), `authorship`
// (who wrote a text), `settlement` (the snapshots and the archive), `purging` (what removes
// documents for good), `service` (the documents of a running server, for its own code), `http` (the
// same over HTTP), `inspected` (the same for the inspector), `serving`, `json_format` and
// `commands` (the channels and action types that a builder creates from all of these).

mod access_changes;
mod authorship;
pub(crate) mod change_feed;
mod checks;
mod commands;
pub(crate) mod history;
mod http;
mod inspected;
mod json_feeds;
mod json_format;
pub(crate) mod kind;
mod open;
mod purging;
mod query;
#[cfg(test)]
mod query_fuzz;
pub(crate) mod request;
mod rules;
pub(crate) mod service;
mod serving;
mod settlement;
pub(crate) mod storage;
