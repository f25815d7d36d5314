//! The records that a subscriber may read: which rules are about them, and which of its records
//! they allow now. Changes of records do not name all fields that decide.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use logux::{Action, crdt::Path, json::JsonObject};
use serde_json::Value;

use crate::{
    access_rule::AccessRule,
    error::HandlerError,
    handlers::context::Context,
    rights::decision::{AccessDecision, AccessSubject, allows, value_in},
    sync_map::{data::SyncMapData, restricted::REVOKED},
};

/// The records that a subscriber may read.
pub(super) enum ReadableBy {
    /// All records, whatever is in them.
    Everything,
    /// No record.
    Nothing,
    /// The records of which a field allows it.
    Fields(FieldRules),
}

/// Rules about fields, of which one is enough, for one user.
#[derive(Clone)]
pub(super) struct FieldRules {
    user: Arc<str>,
    rules: Arc<[FieldRule]>,
}

struct FieldRule {
    rule: AccessRule,
    /// The name of the field.
    key: Arc<str>,
    path: Path,
}

impl ReadableBy {
    /// Decides what depends on the author of a subscription alone.
    ///
    /// # Errors
    /// If the rule needs the author's claims, and they are not known now.
    pub(super) fn new<S>(rule: &AccessRule, context: &Context<S>) -> Result<Self, HandlerError> {
        if allows(rule, context, None, |_| None)? {
            return Ok(Self::Everything);
        }
        let rules = rule.leaves().into_iter().filter_map(|rule| {
            let path = rule.field()?;
            let key = path.keys().next()?.as_ref().into();
            Some(FieldRule { rule: rule.clone(), key, path })
        });
        let rules: Arc<[_]> = rules.collect();
        Ok(match context.user_id() {
            Some(user) if !rules.is_empty() => {
                Self::Fields(FieldRules { user: user.into(), rules })
            }
            _ => Self::Nothing,
        })
    }
}

impl FieldRules {
    /// Returns the field and the id of its owner, if only the owner may read records.
    pub(super) fn single_owner(&self) -> Option<(&Arc<str>, &str)> {
        match &*self.rules {
            [FieldRule { rule: AccessRule::Owner { .. }, key, path }]
                if path.keys().nth(1).is_none() =>
            {
                Some((key, &self.user))
            }
            _ => None,
        }
    }

    /// Returns `true` if the user may read a record, of which all fields are known.
    pub(super) fn allow(&self, record: &SyncMapData) -> bool {
        self.rules.iter().any(|rule| self.allows(rule, |path| record.value(path)))
    }

    fn allows(&self, rule: &FieldRule, value: impl Fn(&Path) -> Option<Value>) -> bool {
        let subject = AccessSubject { user: Some(&self.user), ..AccessSubject::default() };
        matches!(rule.rule.decide(&subject, value), AccessDecision::Allowed(_))
    }
}

/// The ids of the records that a subscriber may read.
#[derive(Clone)]
pub(super) struct ReadableIds {
    rules: FieldRules,
    ids: Arc<Mutex<Ids>>,
}

#[derive(Default)]
struct Ids {
    /// The records that each rule allows.
    by_rule: Vec<HashSet<Arc<str>>>,
    /// The records that the subscriber has, but may not read any more.
    revoked: HashSet<Arc<str>>,
}

impl Ids {
    fn contains(&self, id: &str) -> bool {
        self.by_rule.iter().any(|ids| ids.contains(id))
    }
}

impl ReadableIds {
    pub(super) fn new(rules: FieldRules) -> Self {
        let by_rule = rules.rules.iter().map(|_| HashSet::new()).collect();
        Self { rules, ids: Arc::new(Mutex::new(Ids { by_rule, revoked: HashSet::new() })) }
    }

    /// Returns the ids of the subscription that the context is for.
    pub(super) fn of<S: Send + Sync + 'static>(context: &Context<S>, rules: FieldRules) -> Self {
        context.get::<Self>().unwrap_or_else(|| {
            let ids = Self::new(rules);
            context.set(ids.clone());
            ids
        })
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        // A poisoned lock is consistent: every change is one call.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from a record, of which all fields are known. Returns `true` if the subscriber may
    /// read it.
    pub(super) fn add(&self, record: &SyncMapData) -> bool {
        let mut ids = self.ids();
        for (rule, allowed) in self.rules.rules.iter().zip(&mut ids.by_rule) {
            if self.rules.allows(rule, |path| record.value(path)) {
                allowed.insert(record.id.clone());
            } else {
                allowed.remove(&record.id);
            }
        }
        ids.contains(&record.id)
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids().contains(id)
    }

    /// Returns whether the subscriber receives an action about a record: one that it may read, or
    /// could read before the action.
    pub(super) fn accepts(&self, action: &Action) -> bool {
        let Some(id) = action.str_field("id") else { return false };
        let mut ids = self.ids();
        let was_readable = ids.contains(&id);
        if action.kind().ends_with("/deleted") {
            if action.str_field("reason").as_deref() == Some(REVOKED) {
                return ids.revoked.remove(&*id);
            }
            for allowed in &mut ids.by_rule {
                allowed.remove(&*id);
            }
            return was_readable;
        }
        let fields = action.field("fields").and_then(|json| JsonObject::from_json(json).ok());
        let fields = fields.unwrap_or_default();
        for (rule, allowed) in self.rules.rules.iter().zip(&mut ids.by_rule) {
            if fields.get(&rule.key).is_none() {
                continue;
            }
            if self.rules.allows(rule, |path| value_in(|key| fields.get(key), path)) {
                allowed.insert(id.as_ref().into());
            } else {
                allowed.remove(&*id);
            }
        }
        let is_readable = ids.contains(&id);
        if was_readable && !is_readable {
            ids.revoked.insert(id.as_ref().into());
        } else if is_readable {
            ids.revoked.remove(&*id);
        }
        was_readable || is_readable
    }
}
