//! The claims of logins: what the issuer of a token says about its user.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use logux::NodeId;
use serde_json::{Map, Value};
use tokio::sync::Notify;

/// The claims of a login, a JSON object, such as those of a JSON Web Token. Rules of access decide
/// by them. They may be secret, so the output of `Debug` omits them. Cheap to clone.
///
/// ```
/// use logux_server::Claims;
/// use serde_json::json;
///
/// let claims: Claims = json!({"role": "editor", "realm": {"teams": ["a"]}}).try_into()?;
/// assert_eq!(claims.get("role"), Some(&json!("editor")));
/// assert_eq!(claims.get("/realm/teams"), Some(&json!(["a"])));
/// assert_eq!(format!("{claims:?}"), "Claims(…)");
/// # Ok::<(), logux_server::NotAnObject>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Claims(Arc<Map<String, Value>>);

/// Claims are not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a JSON object with claims")]
pub struct NotAnObject;

impl Claims {
    /// Returns a claim by its name or, if that begins with a slash, by its JSON pointer. `None` if
    /// there is no such claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let Some(pointer) = name.strip_prefix('/') else { return self.0.get(name) };
        let mut keys = pointer.split('/').map(|key| key.replace("~1", "/").replace("~0", "~"));
        let first = self.0.get(&keys.next()?)?;
        keys.try_fold(first, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            value => value.get(&key),
        })
    }

    fn bytes(&self) -> usize {
        serde_json::to_string(&*self.0).map_or(0, |json| json.len())
    }
}

impl From<Map<String, Value>> for Claims {
    fn from(claims: Map<String, Value>) -> Self {
        Self(Arc::new(claims))
    }
}

impl TryFrom<Value> for Claims {
    type Error = NotAnObject;

    fn try_from(claims: Value) -> Result<Self, NotAnObject> {
        match claims {
            Value::Object(claims) => Ok(claims.into()),
            _ => Err(NotAnObject),
        }
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(…)")
    }
}

/// A rule needs the claims of an author who has left, and who has not logged in since the start of
/// the server, or long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the claims of the author are known when it connects again")]
pub(crate) struct UnknownClaims;

/// The largest number of authors whose claims are remembered.
const MAX_AUTHORS: usize = 10_000;
/// The largest size of the remembered claims, in bytes of their JSON.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The claims of the latest login of each user: an action may be decided after its author has left.
#[derive(Debug, Default)]
pub(crate) struct KnownClaims {
    known: Mutex<Remembered>,
    recorded: Notify,
}

#[derive(Debug, Default)]
struct Remembered {
    by_author: HashMap<Arc<str>, Login>,
    /// The authors by the numbers of their logins.
    order: BTreeMap<u64, Arc<str>>,
    last_login: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Login {
    claims: Claims,
    number: u64,
    bytes: usize,
}

impl KnownClaims {
    fn known(&self) -> MutexGuard<'_, Remembered> {
        // A poisoned lock is consistent: nothing in it panics.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the claims of a login. The oldest logins are forgotten beyond the bounds. O(log
    /// n).
    pub(crate) fn record(&self, node: &NodeId, claims: &Claims) {
        self.known().record(author(node), claims.clone());
        self.recorded.notify_waiters();
    }

    /// Returns the claims of the latest login of the user.
    pub(crate) fn find(&self, node: &NodeId) -> Option<Claims> {
        self.known().by_author.get(&*author(node)).map(|login| login.claims.clone())
    }

    /// Waits until the claims of the user are known.
    pub(crate) fn wait(&self, node: &NodeId) -> impl Future<Output = ()> + Send {
        let author = author(node);
        async move {
            loop {
                let recorded = self.recorded.notified();
                if self.known().by_author.contains_key(&author) {
                    return;
                }
                recorded.await;
            }
        }
    }
}

/// Returns the key of the author of a node: its user, or the client if there is none. The colon
/// keeps the two apart.
fn author(node: &NodeId) -> Arc<str> {
    node.user_id().map_or_else(|| node.client_id().into(), |user| format!("{user}:").into())
}

impl Remembered {
    fn record(&mut self, author: Arc<str>, claims: Claims) {
        self.forget(&author);
        self.last_login += 1;
        let (number, bytes) = (self.last_login, claims.bytes() + author.len());
        self.bytes += bytes;
        self.order.insert(number, author.clone());
        self.by_author.insert(author, Login { claims, number, bytes });
        while self.by_author.len() > MAX_AUTHORS || self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, author: &str) {
        if let Some(login) = self.by_author.remove(author) {
            self.order.remove(&login.number);
            self.bytes -= login.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(id: &str) -> NodeId {
        id.parse().unwrap()
    }

    #[test]
    fn the_latest_login_of_a_user_counts() {
        let known = KnownClaims::default();
        let claims = |role: &str| Claims::try_from(json!({ "role": role })).unwrap();
        known.record(&node("ada:phone:1"), &claims("reader"));
        known.record(&node("ada:laptop:1"), &claims("editor"));
        assert_eq!(known.find(&node("ada:phone:2")), Some(claims("editor")));
        // A client without a user is another author than the user with its name.
        assert_eq!(known.find(&node("ada")), None);
    }

    #[test]
    fn the_claims_have_bounds() {
        let known = KnownClaims::default();
        let user = |n: usize| node(&format!("u{n}:a:a"));
        for n in 0..MAX_AUTHORS + 10 {
            known.record(&user(n), &Claims::default());
        }
        assert_eq!((known.find(&user(9)), known.find(&user(10))), (None, Some(Claims::default())));
        let large = Claims::try_from(json!({ "x": "x".repeat(MAX_BYTES / 4) })).unwrap();
        for n in 0..4 {
            known.record(&user(n), &large);
        }
        assert_eq!((known.find(&user(0)), known.find(&user(3))), (None, Some(large)));
        let known = known.known();
        assert!(known.bytes <= MAX_BYTES);
        assert_eq!(known.order.len(), known.by_author.len());
    }

    #[test]
    fn pointers_go_through_arrays_and_escapes() {
        let claims = Claims::try_from(json!({"a/b": [{"c~": 1}], "": {"": 2}})).unwrap();
        assert_eq!(claims.get("/a~1b/0/c~0"), Some(&json!(1)));
        assert_eq!(claims.get("//"), Some(&json!(2)));
        assert_eq!((claims.get("/a~1b/1"), claims.get("/x")), (None, None));
    }
}
