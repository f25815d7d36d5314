// Reading order: `access_rule` beside this folder (who may do something), `decision` (what a rule
// says about a user and an object), `document_rules` (the rules of a kind of documents).

pub(crate) mod decision;
pub(crate) mod document_rules;
