//! What a rule says about a user and a record or a document.

use logux::{Json, crdt::Path};
use serde_json::Value;

use crate::{
    access_rule::AccessRule,
    claims::{Claims, UnknownClaims},
    error::HandlerError,
    handlers::context::Context,
};

/// The author of a request, as [`AccessRule::decide`] judges it.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessSubject<'a> {
    /// The user. `None` if its node id has none.
    pub user: Option<&'a str>,
    /// The claims of its login. `None` if they are not known.
    pub claims: Option<&'a Claims>,
    /// The user who created the document.
    pub creator: Option<&'a str>,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessDecision<'r> {
    /// It is allowed by this rule, which is not a list.
    Allowed(&'r AccessRule),
    /// It is denied.
    Denied,
    /// It depends on the claims, which are not known.
    NeedsClaims,
}

impl AccessRule {
    /// Decides about a user. `field` returns the value at a path of the record or the document; it
    /// is called for owners and members only. O(rules · members).
    ///
    /// ```
    /// use logux_server::{AccessDecision, AccessRule, AccessSubject};
    /// use serde_json::json;
    ///
    /// let rule = AccessRule::members_with("members", ["editor"]);
    /// let note = json!({"members": {"ada": "editor", "bob": "reader"}});
    /// let decide = |user| {
    ///     let subject = AccessSubject { user: Some(user), ..AccessSubject::default() };
    ///     rule.decide(&subject, |path| note.pointer(path.as_str()).cloned())
    /// };
    /// assert_eq!(decide("ada"), AccessDecision::Allowed(&rule));
    /// assert_eq!(decide("bob"), AccessDecision::Denied);
    /// ```
    pub fn decide(
        &self,
        subject: &AccessSubject<'_>,
        field: impl Fn(&Path) -> Option<Value>,
    ) -> AccessDecision<'_> {
        let mut needs_claims = false;
        for rule in self.leaves() {
            match rule.allows(subject, &field) {
                Some(true) => return AccessDecision::Allowed(rule),
                Some(false) => {}
                None => needs_claims = true,
            }
        }
        if needs_claims { AccessDecision::NeedsClaims } else { AccessDecision::Denied }
    }

    /// Returns whether a rule that is not a list allows something. `None` if that depends on the
    /// claims, which are not known.
    fn allows(
        &self,
        subject: &AccessSubject<'_>,
        field: &impl Fn(&Path) -> Option<Value>,
    ) -> Option<bool> {
        let user = subject.user.filter(|user| !user.is_empty());
        let value = |user| Some((user, field(&self.field()?)?));
        Some(match self {
            Self::Everyone => true,
            Self::Nobody | Self::Any(_) => false,
            Self::Creator => user.is_some() && user == subject.creator,
            Self::Owner { .. } => {
                user.and_then(value).is_some_and(|(user, owner)| owner.as_str() == Some(user))
            }
            Self::Members { roles, .. } => {
                user.and_then(value).is_some_and(|(user, members)| match members {
                    Value::Object(members) => members.get(user).is_some_and(|role| {
                        let is_member = !matches!(role, Value::Null | Value::Bool(false));
                        is_member
                            && (roles.is_empty()
                                || roles
                                    .iter()
                                    .any(|wanted| is_or_contains(role, &(&**wanted).into())))
                    }),
                    Value::Array(members) => {
                        roles.is_empty() && members.iter().any(|member| member == user)
                    }
                    _ => false,
                })
            }
            Self::Claim { name, values } => {
                let claim = subject.claims?.get(name);
                claim.is_some_and(|claim| values.iter().any(|value| is_or_contains(claim, value)))
            }
        })
    }
}

fn is_or_contains(value: &Value, wanted: &Value) -> bool {
    match value {
        Value::Array(items) => items.contains(wanted),
        value => value == wanted,
    }
}

/// Decides about the author of an action.
///
/// # Errors
/// If the rule needs the author's claims, and they are not known now.
pub(crate) fn allows<S>(
    rule: &AccessRule,
    context: &Context<S>,
    creator: Option<&str>,
    field: impl Fn(&Path) -> Option<Value>,
) -> Result<bool, HandlerError> {
    let claims = context.claims().ok();
    let subject = AccessSubject { user: context.user_id(), claims: claims.as_ref(), creator };
    match rule.decide(&subject, field) {
        AccessDecision::Allowed(_) => Ok(true),
        AccessDecision::Denied => Ok(false),
        AccessDecision::NeedsClaims => Err(HandlerError::unavailable(UnknownClaims)),
    }
}

/// Returns the value at a path of a record, whose fields `get` returns.
pub(crate) fn value_in<'a>(
    get: impl FnOnce(&str) -> Option<&'a Json>,
    path: &Path,
) -> Option<Value> {
    let mut keys = path.keys();
    let first = get(&keys.next()?)?.to_value();
    keys.try_fold(first, |value, key| match value {
        Value::Object(mut fields) => fields.remove(&*key),
        Value::Array(items) => items.into_iter().nth(key.parse().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{AccessDecision::*, *};

    fn claims(value: Value) -> Claims {
        value.try_into().unwrap()
    }

    /// Each rule with a user, its claims, the creator, and the object.
    #[test]
    fn rules_decide() {
        let ada = Some("ada");
        let any = || None;
        let owner = AccessRule::owner("userId");
        let members = AccessRule::members("/team/members");
        let editors = AccessRule::members_with("members", ["editor", "admin"]);
        let staff = AccessRule::claim("role", ["staff"]);
        let level = AccessRule::claim("/app/level", [2, 3]);
        let yes = true;
        let no = false;
        type Case<'a> =
            (&'a AccessRule, Option<&'a str>, Option<Value>, Option<&'a str>, Value, bool);
        let cases: Vec<Case<'_>> = vec![
            (&AccessRule::Everyone, None, any(), None, json!({}), yes),
            (&AccessRule::Nobody, ada, any(), ada, json!({}), no),
            (&AccessRule::Creator, ada, any(), ada, json!({}), yes),
            (&AccessRule::Creator, ada, any(), Some("bob"), json!({}), no),
            (&AccessRule::Creator, None, any(), None, json!({}), no),
            (&owner, ada, any(), None, json!({"userId": "ada"}), yes),
            (&owner, ada, any(), None, json!({"userId": "bob"}), no),
            (&owner, ada, any(), None, json!({"userId": ["ada"]}), no),
            (&owner, ada, any(), None, json!({}), no),
            (&owner, Some(""), any(), None, json!({"userId": ""}), no),
            (&owner, None, any(), None, json!({"userId": null}), no),
            (&owner, Some("1"), any(), None, json!({"userId": 1}), no),
            (&members, ada, any(), None, json!({"team": {"members": ["bob", "ada"]}}), yes),
            (&members, ada, any(), None, json!({"team": {"members": {"ada": true}}}), yes),
            (&members, ada, any(), None, json!({"team": {"members": {"ada": "x"}}}), yes),
            (&members, ada, any(), None, json!({"team": {"members": {"ada": null}}}), no),
            (&members, ada, any(), None, json!({"team": {"members": {"ada": false}}}), no),
            (&members, ada, any(), None, json!({"team": {"members": "ada"}}), no),
            (&members, ada, any(), None, json!({"team": ["ada"]}), no),
            (&editors, ada, any(), None, json!({"members": {"ada": "admin"}}), yes),
            (&editors, ada, any(), None, json!({"members": {"ada": ["a", "editor"]}}), yes),
            (&editors, ada, any(), None, json!({"members": {"ada": "reader"}}), no),
            (&editors, ada, any(), None, json!({"members": {"ada": true}}), no),
            (&editors, ada, any(), None, json!({"members": ["ada"]}), no),
            (&staff, None, Some(json!({"role": "staff"})), None, json!({}), yes),
            (&staff, ada, Some(json!({"role": ["a", "staff"]})), None, json!({}), yes),
            (&staff, ada, Some(json!({"role": "staffer"})), None, json!({}), no),
            (&staff, ada, Some(json!({})), None, json!({"role": "staff"}), no),
            (&level, ada, Some(json!({"app": {"level": 3}})), None, json!({}), yes),
            (&level, ada, Some(json!({"app": {"level": "3"}})), None, json!({}), no),
        ];
        for (rule, user, with, creator, object, expected) in cases {
            let with = with.map(claims);
            let subject = AccessSubject { user, claims: with.as_ref(), creator };
            let decision = rule.decide(&subject, |path| object.pointer(path.as_str()).cloned());
            let wanted = if expected { Allowed(rule) } else { Denied };
            assert_eq!(decision, wanted, "{rule} about {user:?} and {object}");
        }
    }

    #[test]
    fn a_list_waits_for_claims_only_if_no_other_rule_allows_it() {
        let (owner, staff) = (AccessRule::owner("owner"), AccessRule::claim("role", ["staff"]));
        let rule = AccessRule::Any(vec![staff.clone(), AccessRule::Any(vec![owner.clone()])]);
        let decide = |user, claims: Option<&Claims>| {
            let subject = AccessSubject { user: Some(user), claims, creator: None };
            rule.decide(&subject, |_| Some(json!("ada")))
        };
        assert_eq!(decide("ada", None), Allowed(&owner));
        assert_eq!(decide("bob", None), NeedsClaims);
        assert_eq!(decide("bob", Some(&Claims::default())), Denied);
        assert_eq!(decide("bob", Some(&claims(json!({"role": "staff"})))), Allowed(&staff));
    }

    #[test]
    fn rules_that_cannot_be_used_are_found() {
        let wrong = [
            AccessRule::owner(""),
            AccessRule::owner("/a~2"),
            AccessRule::members_with("a", [""]),
            AccessRule::claim("a", [Value::Null]),
            AccessRule::claim("a", [0; 0]),
            AccessRule::claim("", [1]),
            AccessRule::Any(vec![]),
            AccessRule::Any(vec![AccessRule::Any(vec![AccessRule::owner("")])]),
        ];
        for rule in wrong {
            assert!(rule.check().is_err(), "{rule}");
        }
        assert_eq!(AccessRule::owner("a/b~").check(), Ok(()), "the name of a field");
    }
}
