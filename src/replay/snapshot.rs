//! A stored timeline, with its position in the log.

use core::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use super::{Reducer, Timeline, TimelineConfig};
use crate::{
    action::{ActionId, Stamp, push_once},
    json::{MAX_DEPTH, parse_nested},
    log::Log,
    store::{Criteria, Entry, MetaChange, Query, Store},
    time::WallTime,
};

/// A reducer whose state can be saved.
pub trait Saved: Reducer<State: Serialize + DeserializeOwned> {
    /// The name of the reducer; only a reducer with the same name reads the state.
    const NAME: &'static str;
    /// The version of the reducer. Increase it when the same actions give another state, or the
    /// state is serialized in another way.
    const VERSION: u32;
}

/// A saved timeline: the state up to a position in the order, and the entries of its log, by
/// arrival, that it includes.
///
/// The text is one JSON object:
///
/// - `format`: `"logux timeline"`; `version`: 3, in which the states of types that merge are
///   strings.
/// - `reducer`, `reducerVersion`: the reducer.
/// - `added`: the last `added` number of the store that is included.
/// - `anchor`: an entry that identifies the store, as its id and `added` number, or `null`.
/// - `horizon`: the stamp up to which the state goes, as `{"id", "time"}`, or `null`.
/// - `undos`: the undos whose targets are not part of the state, as pairs of undo and target.
/// - `state`: the state.
///
/// ```
/// # use logux::{Action, Log, MemoryStore, NodeId, Stamp, WallTime, log::Draft};
/// use logux::replay::{Malformed, TimelineConfig, Reducer, Saved, Snapshot, Timeline};
///
/// struct Count;
/// impl Reducer for Count {
///     type Action = ();
///     type State = u64;
///     fn read(&self, action: &Action) -> Result<Option<()>, Malformed> { Ok(Some(())) }
///     fn initial(&self) -> u64 { 0 }
///     fn apply(&self, state: &mut u64, (): &(), _: &Stamp) { *state += 1; }
/// }
/// impl Saved for Count {
///     const NAME: &'static str = "count";
///     const VERSION: u32 = 1;
/// }
///
/// let node = NodeId::new("10:client:tab")?;
/// let mut log = Log::with_observer(node.clone(), MemoryStore::new(), Timeline::new(Count))?;
/// for ms in 0..500 {
///     log.add(WallTime::from_millis(ms), Action::new(r#"{"type":"a"}"#)?, Draft::default())?;
/// }
/// let text = Snapshot::of(&mut log)?.to_string();
///
/// // Later: the snapshot, and the entries that the log has after it.
/// let timeline = text.parse::<Snapshot>()?.open(Count, TimelineConfig::default(), log.store())?;
/// assert_eq!(*timeline.state(), 500);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    format: String,
    version: u32,
    reducer: String,
    reducer_version: u32,
    added: u64,
    anchor: Option<(String, u64)>,
    horizon: Option<StampJson>,
    undos: Vec<(String, String)>,
    state: StateText,
}

/// The JSON text of a state.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct StateText(Box<RawValue>);

impl PartialEq for StateText {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

/// A stamp in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StampJson {
    id: String,
    time: i64,
}

const FORMAT: &str = "logux timeline";
const VERSION: u32 = 3;
/// The limit on the nesting depth of a state: that of a value in it, and more for the state itself.
const MAX_STATE_DEPTH: usize = MAX_DEPTH + 64;
/// The number of latest actions that a snapshot leaves out, so that slightly late actions can still
/// be inserted.
const MARGIN: usize = 100;

/// The reason for which the log keeps the anchor of its latest snapshot.
const ANCHOR: &str = "snapshot";

impl Snapshot {
    /// Creates the snapshot of a log's timeline. It leaves out the latest 100 actions where it can,
    /// so that slightly late actions can still be inserted after a restart. The log keeps the entry
    /// that identifies it.
    ///
    /// # Errors
    /// If the store fails, or the state cannot be represented in JSON.
    pub fn of<S: Store, R: Saved>(log: &mut Log<S, Timeline<R>>) -> Result<Self, SnapshotError> {
        let newest = log.store().page(&Query::added(), 1).map_err(store_failed)?.entries.pop();
        if let Some(entry) = &newest {
            let mut reasons = entry.meta.reasons.clone();
            push_once(&mut reasons, ANCHOR.into());
            let change = MetaChange { reasons: Some(reasons), extra: Vec::new() };
            log.change_meta(&entry.meta.id, &change).map_err(store_failed)?;
            let before = entry.meta.added.and_then(|added| added.checked_sub(1));
            let earlier = Criteria { max_added: Some(before.unwrap_or(0)), ..Criteria::default() };
            log.remove_reason(ANCHOR, &earlier).map_err(store_failed)?;
        }
        log.timeline().snapshot(newest.as_ref(), log.store())
    }

    /// Restores the timeline, and adds the actions that its log has received since.
    ///
    /// # Errors
    /// [`SnapshotError::AnotherVersion`], [`SnapshotError::AnotherReducer`] and
    /// [`SnapshotError::AnotherLog`] if the snapshot does not fit, [`SnapshotError::LateActions`]
    /// and [`SnapshotError::LateUndo`] if the log has received an action or an undo since that
    /// belongs before the end of the snapshot, and other errors if the snapshot is damaged or the
    /// store fails. [`Timeline::read`] can then compute the state from the whole log.
    pub fn open<R: Saved, S: Store>(
        &self,
        reducer: R,
        config: TimelineConfig,
        store: &S,
    ) -> Result<Timeline<R>, SnapshotError> {
        self.check::<R>()?;
        self.check_store(store)?;
        let state =
            parse_nested(self.state.0.get(), MAX_STATE_DEPTH).map_err(SnapshotError::State)?;
        let horizon = self.horizon.as_ref().map(StampJson::stamp).transpose()?;
        // Entries that arrived since but are older than the horizon: undos, and late actions, which
        // can be applied here only if the reducer commutes.
        let mut older = Vec::new();
        if let Some(horizon) = &horizon {
            let since = Query::added().oldest_first().after_added(self.added);
            store
                .walk(&since, &mut |entry: &Entry| {
                    if entry.meta.stamp() <= *horizon {
                        older.push(entry.clone());
                    }
                    core::ops::ControlFlow::Continue(())
                })
                .map_err(store_failed)?;
        }
        let is_late = |entry: &&Entry| matches!(reducer.read(&entry.action), Ok(Some(_)));
        if !reducer.commutes()
            && let Some(late) = older.iter().find(is_late)
        {
            return Err(SnapshotError::LateActions(late.meta.id.clone()));
        }
        let mut timeline = Timeline::from_base(reducer, config, state, horizon.clone());
        for (undo, target) in &self.undos {
            let ids =
                (undo.parse().map_err(|_| damaged())?, target.parse().map_err(|_| damaged())?);
            timeline.change_undos(|undos, toggled| undos.add(&ids.0, ids.1, toggled));
        }
        let created = Query::created().oldest_first();
        let tail =
            horizon.map_or_else(|| created.clone(), |horizon| created.clone().after_stamp(horizon));
        timeline.read_query(store, &tail).map_err(store_failed)?;
        timeline.extend(&older);
        // An undo of an action that is part of the saved state.
        if timeline.is_incomplete() {
            return Err(SnapshotError::LateUndo);
        }
        Ok(timeline)
    }

    fn check<R: Saved>(&self) -> Result<(), SnapshotError> {
        if self.format != FORMAT || self.version != VERSION {
            return Err(SnapshotError::AnotherVersion { found: self.version });
        }
        if self.reducer != R::NAME || self.reducer_version != R::VERSION {
            let found = format!("{} version {}", self.reducer, self.reducer_version);
            return Err(SnapshotError::AnotherReducer {
                expected: format!("{} version {}", R::NAME, R::VERSION),
                found,
            });
        }
        Ok(())
    }

    fn check_store<S: Store>(&self, store: &S) -> Result<(), SnapshotError> {
        let is_same = match &self.anchor {
            _ if store.last_added().map_err(store_failed)? < self.added => false,
            None => true,
            Some((id, added)) => {
                let id: ActionId = id.parse().map_err(|_| damaged())?;
                store
                    .by_id(&id)
                    .map_err(store_failed)?
                    .is_some_and(|entry| entry.meta.added == Some(*added))
            }
        };
        if is_same { Ok(()) } else { Err(SnapshotError::AnotherLog { added: self.added }) }
    }
}

impl<R: Saved> Timeline<R> {
    fn snapshot<S: Store>(
        &self,
        newest: Option<&Entry>,
        store: &S,
    ) -> Result<Snapshot, SnapshotError> {
        // Actions that were removed from the log cannot be read again, so the snapshot has to
        // include them.
        let cleaned_count =
            self.steps.iter().rposition(|step| step.cleaned).map_or(0, |index| index + 1);
        let count = self.steps.len().saturating_sub(MARGIN).max(cleaned_count);
        let horizon =
            count.checked_sub(1).and_then(|last| self.steps.get(last)).map(|step| &step.stamp);
        let horizon = horizon.or(self.horizon.as_ref());
        let is_in_state =
            |id: &ActionId| self.steps.index_of(id).is_some_and(|index| index < count);
        let remaining = self.undos.iter().filter(|(_, target)| !is_in_state(target));
        let mut undos: Vec<_> =
            remaining.map(|(undo, target)| (undo.to_string(), target.to_string())).collect();
        undos.sort();
        Ok(Snapshot {
            format: FORMAT.into(),
            version: VERSION,
            reducer: R::NAME.into(),
            reducer_version: R::VERSION,
            added: store.last_added().map_err(store_failed)?,
            anchor: newest.and_then(|entry| Some((entry.meta.id.to_string(), entry.meta.added?))),
            horizon: horizon.map(|stamp| StampJson {
                id: stamp.id().to_string(),
                time: stamp.time().as_millis(),
            }),
            undos,
            state: StateText(to_raw_value(&self.state_after(count)).map_err(SnapshotError::State)?),
        })
    }
}

impl StampJson {
    fn stamp(&self) -> Result<Stamp, SnapshotError> {
        let time = WallTime::checked_from_millis(self.time).ok_or_else(damaged)?;
        Ok(Stamp::new(time, self.id.parse().map_err(|_| damaged())?))
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl core::str::FromStr for Snapshot {
    type Err = SnapshotError;

    /// Parses the JSON of a snapshot.
    fn from_str(text: &str) -> Result<Self, SnapshotError> {
        serde_json::from_str(text).map_err(SnapshotError::NotASnapshot)
    }
}

fn store_failed(error: impl core::error::Error + Send + Sync + 'static) -> SnapshotError {
    SnapshotError::Store(Box::new(error))
}

fn damaged() -> SnapshotError {
    SnapshotError::Damaged
}

/// The reason why a snapshot cannot be used. The log is unchanged: [`Timeline::read`] computes the
/// state from it.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The text is not the JSON of a snapshot.
    NotASnapshot(serde_json::Error),
    /// The snapshot has another version of the format.
    AnotherVersion {
        /// The version of the snapshot.
        found: u32,
    },
    /// The snapshot was created by another reducer, or by another version of this one.
    AnotherReducer {
        /// The expected reducer and its version.
        expected: String,
        /// The reducer of the snapshot and its version.
        found: String,
    },
    /// The snapshot belongs to another log.
    AnotherLog {
        /// The highest `added` number of that log when the snapshot was created.
        added: u64,
    },
    /// This action arrived after the snapshot was created, and belongs before its end.
    LateActions(ActionId),
    /// An undo arrived after the snapshot was created, and its action may be part of the state.
    LateUndo,
    /// An id or a time in the snapshot is malformed.
    Damaged,
    /// The state does not have the shape of the reducer's state.
    State(serde_json::Error),
    /// The store failed.
    Store(Box<dyn core::error::Error + Send + Sync>),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASnapshot(error) => write!(f, "expected the JSON of a snapshot: {error}"),
            Self::AnotherVersion { found } => {
                write!(
                    f,
                    "expected a snapshot in version {VERSION} of the format, got version {found}; read the whole log"
                )
            }
            Self::AnotherReducer { expected, found } => {
                write!(
                    f,
                    "expected a snapshot of {expected}, got one of {found}; read the whole log"
                )
            }
            Self::AnotherLog { added } => write!(
                f,
                "the snapshot belongs to another log, which has had {added} entries; read the whole log"
            ),
            Self::LateUndo => f.write_str(
                "an undo arrived after the snapshot, of an action that may be part of it; read the whole log",
            ),
            Self::LateActions(id) => {
                write!(
                    f,
                    "action {id} arrived after the snapshot and belongs before its end; read the whole log"
                )
            }
            Self::Damaged => {
                f.write_str("an id or a time in the snapshot is malformed; read the whole log")
            }
            Self::State(error) => {
                write!(
                    f,
                    "the state in the snapshot does not fit the reducer: {error}; read the whole log"
                )
            }
            Self::Store(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl core::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotASnapshot(error) | Self::State(error) => Some(error),
            Self::Store(error) => Some(&**error),
            _ => None,
        }
    }
}
