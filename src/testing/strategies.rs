//! Proptest strategies for random values of the engine's types.
//!
//! Ids, times, reasons and indexes come from small sets, so that values are often equal: the same
//! id twice, one time for several actions. The sets contain error-prone values: characters that
//! UTF-8 and UTF-16 order differently, control characters, the ends of the range of times.

use std::sync::Arc;

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    action::{Action, ActionId, IdGenerator, Meta, NameList, NodeId, Stamp, Subprotocol},
    json::{Json, JsonObject},
    store::{Criteria, Direction, Entry, MetaChange, Order, Query},
    time::WallTime,
    wire::{CompactId, Connect, Connected, ErrorMessage, Message, Sync, SyncEntry},
};

/// Node ids, some of which the order of Rust's `str` would order incorrectly.
pub fn node_id() -> impl Strategy<Value = NodeId> {
    select(
        &[
            "a",
            "ab",
            "10:b:c",
            "a\u{0}",
            "a\u{1f}",
            "a!",
            "\u{d7ff}",
            "\u{e000}",
            "\u{ffff}",
            "\u{1f600}",
        ][..],
    )
    .prop_map(|text| NodeId::new(text).expect("a node id"))
}

/// Times, mostly from a few values, sometimes from the whole range.
pub fn wall_time() -> impl Strategy<Value = WallTime> {
    prop_oneof![
        8 => (0..6_i64).prop_map(WallTime::from_millis),
        1 => select(vec![WallTime::MIN, WallTime::from_millis(-1), WallTime::MAX]),
        1 => (WallTime::MIN.as_millis()..=WallTime::MAX.as_millis()).prop_map(WallTime::from_millis),
    ]
}

/// Action ids that are often equal.
pub fn action_id() -> impl Strategy<Value = ActionId> {
    let sequence = prop_oneof![6 => 0..2_u32, 1 => select(&[255, 256, 65_536, u32::MAX][..])];
    (wall_time(), node_id(), sequence)
        .prop_map(|(time, node, sequence)| ActionId::new(time, node, sequence))
}

/// Stamps. Half of them have the time of the id.
pub fn stamp() -> impl Strategy<Value = Stamp> {
    (option::of(wall_time()), action_id())
        .prop_map(|(time, id)| Stamp::new(time.unwrap_or(id.time()), id))
}

/// JSON values, some of which `serde_json::Value` cannot represent exactly.
pub fn json() -> impl Strategy<Value = Json> {
    let texts = [
        "null",
        "true",
        "9007199254740993",
        "0.30000000000000004",
        r#""\ud83d""#,
        r#""a \" é""#,
        r#"[1,{"b":[]}]"#,
        "{}",
    ];
    select(texts.map(|text| Json::new(text).expect("JSON")).to_vec())
}

/// Actions of a few types with one field.
pub fn action() -> impl Strategy<Value = Action> {
    (select(&["a", "users/rename", "é"][..]), json()).prop_map(|(kind, value)| {
        Action::new(format!(r#"{{"type":"{kind}","value":{value}}}"#)).expect("an action")
    })
}

/// Reasons, from a few values.
pub fn reason() -> impl Strategy<Value = Arc<str>> {
    select(&["a", "b", "users/10/name"][..]).prop_map(Arc::from)
}

/// Indexes, from a few values.
pub fn index() -> impl Strategy<Value = Arc<str>> {
    select(&["i", "j"][..]).prop_map(Arc::from)
}

/// Lists of up to three different names.
pub fn names(name: impl Strategy<Value = Arc<str>>) -> impl Strategy<Value = NameList> {
    vec(name, 0..4).prop_map(|names| {
        let mut different = NameList::new();
        for name in names {
            crate::action::push_once(&mut different, name);
        }
        different
    })
}

/// Extra keys of a meta.
pub fn extra() -> impl Strategy<Value = JsonObject> {
    vec((select(&["k", "l", "m\""][..]), json()), 0..3).prop_map(|pairs| {
        let mut extra = JsonObject::default();
        for (key, value) in pairs {
            extra.set(key, value);
        }
        extra
    })
}

/// Metas without an added number.
pub fn meta() -> impl Strategy<Value = Meta> {
    let subprotocol = prop_oneof![
        Just(None),
        any::<u32>().prop_map(|number| Some(Subprotocol::Number(number))),
        Just(Subprotocol::from_number(1.5)),
        Just(Some(Subprotocol::SemVer("1.0.0".into()))),
    ];
    (
        stamp(),
        subprotocol,
        names(reason()),
        names(index()),
        option::weighted(0.1, reason()),
        extra(),
    )
        .prop_map(|(stamp, subprotocol, reasons, indexes, keep_last, extra)| Meta {
            id: stamp.id().clone(),
            time: stamp.time(),
            added: None,
            subprotocol,
            reasons,
            indexes,
            keep_last,
            extra,
        })
}

/// Entries without an added number.
pub fn entry() -> impl Strategy<Value = Entry> {
    (action(), meta()).prop_map(|(action, meta)| Entry { action, meta })
}

/// Histories of at most `max_len` entries of `nodes` nodes, in the order of real time. Each node
/// has a clock that is wrong by up to 1,000 ms; several entries can have the same real time. The
/// ids of one node increase strictly; those of different nodes overlap.
pub fn history(
    nodes: usize,
    max_len: usize,
    actions: impl Strategy<Value = Action>,
) -> impl Strategy<Value = Vec<Entry>> {
    let skews = vec(-1_000..1_000_i64, nodes.max(1));
    let drafts = vec((0..nodes.max(1), 0..3_i64, actions), 0..=max_len);
    (skews, drafts).prop_map(|(skews, drafts)| {
        let id = |n: usize| NodeId::new(format!("{}:client:tab", (n + 1) * 10)).expect("a node id");
        let mut ids: Vec<IdGenerator> = (0..skews.len()).map(|n| IdGenerator::new(id(n))).collect();
        let mut now = 1_564_508_138_460;
        let entry = |(node, delay, action): (usize, i64, Action)| {
            now += delay;
            let id = ids[node].next(WallTime::from_millis(now + skews[node]));
            Entry::new(action, Meta::new(id))
        };
        drafts.into_iter().map(entry).collect()
    })
}

/// Orders of arrival of these entries: any order, some entries twice.
pub fn arrivals(entries: Vec<Entry>) -> impl Strategy<Value = Vec<Entry>> {
    let repeated = proptest::sample::subsequence(entries.clone(), 0..=entries.len());
    (Just(entries), repeated).prop_flat_map(|(mut all, repeated)| {
        all.extend(repeated);
        Just(all).prop_shuffle()
    })
}

/// Changes of reasons and extra keys.
pub fn meta_change() -> impl Strategy<Value = MetaChange> {
    let pair = (select(&["k", "l", "n"][..]).prop_map(Arc::from), option::of(json()));
    (option::of(names(reason())), vec(pair, 0..3))
        .prop_map(|(reasons, extra)| MetaChange { reasons, extra })
}

/// Added numbers, mostly small, sometimes larger than those of all entries.
pub fn added() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..20_u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

/// Criteria with few conditions.
pub fn criteria() -> impl Strategy<Value = Criteria> {
    let rarely = 0.25;
    (
        option::weighted(rarely, action_id()),
        option::weighted(rarely, stamp()),
        option::weighted(rarely, stamp()),
        option::weighted(rarely, added()),
        option::weighted(rarely, added()),
        option::weighted(rarely, index()),
    )
        .prop_map(|(id, older_than, younger_than, min_added, max_added, index)| Criteria {
            id,
            older_than,
            younger_than,
            min_added,
            max_added,
            index,
        })
}

/// Queries in both orders and directions, from any position, some within an index.
pub fn query() -> impl Strategy<Value = Query> {
    let order = prop_oneof![
        option::of(stamp()).prop_map(|after| Order::Created { after }),
        option::of(added()).prop_map(|after| Order::Added { after }),
    ];
    (order, select(&[Direction::NewestFirst, Direction::OldestFirst][..]), option::of(index()))
        .prop_map(|(order, direction, index)| Query { order, direction, index })
}

/// Relative times of the wire, in milliseconds: mostly small, sometimes the largest difference of
/// two times.
pub fn relative_time() -> impl Strategy<Value = i64> {
    let widest = WallTime::MAX.since(WallTime::MIN);
    prop_oneof![8 => -6..6_i64, 1 => select(vec![-widest, widest]), 1 => -widest..=widest]
}

/// Ids in all three forms of the wire.
pub fn compact_id() -> impl Strategy<Value = CompactId> {
    prop_oneof![
        relative_time().prop_map(CompactId::Time),
        (relative_time(), any::<u32>()).prop_map(|(time, sequence)| CompactId::Own(time, sequence)),
        (relative_time(), node_id(), any::<u32>())
            .prop_map(|(time, node, sequence)| CompactId::Full(time, node, sequence)),
    ]
}

/// Subprotocols of both forms, or none.
pub fn subprotocol() -> impl Strategy<Value = Option<Subprotocol>> {
    prop_oneof![
        Just(None),
        any::<u32>().prop_map(|number| Some(Subprotocol::Number(number))),
        Just(Subprotocol::from_number(1.5)),
        any::<String>().prop_map(|text| Some(Subprotocol::SemVer(text.into()))),
    ]
}

/// Messages of all kinds.
pub fn message() -> impl Strategy<Value = Message> {
    let count =
        || prop_oneof![8 => 0..20_u64, 1 => Just(1 << 53), 1 => 0..=i64::MAX.unsigned_abs()];
    let options = || (option::of(any::<String>()), subprotocol());
    let connect = (any::<u32>(), node_id(), count(), options()).prop_map(
        |(protocol, node, synced, (token, subprotocol))| {
            Message::Connect(Connect { protocol, node, synced, token, subprotocol })
        },
    );
    let times = (relative_time(), relative_time());
    let connected = (any::<u32>(), node_id(), times, options()).prop_map(
        |(protocol, node, (received, sent), (token, subprotocol))| {
            Message::Connected(Connected { protocol, node, received, sent, token, subprotocol })
        },
    );
    let entry = (action(), compact_id(), relative_time(), subprotocol(), extra()).prop_map(
        |(action, id, time, subprotocol, extra)| SyncEntry { action, id, time, subprotocol, extra },
    );
    let sync = (count(), vec(entry, 0..4))
        .prop_map(|(added, entries)| Message::Sync(Sync { added, entries, refused: Vec::new() }));
    let error = (any::<String>(), option::of(json()))
        .prop_map(|(kind, options)| Message::Error(ErrorMessage { kind, options }));
    prop_oneof![
        1 => connect,
        1 => connected,
        3 => sync,
        1 => count().prop_map(|added| Message::Ping { added }),
        1 => count().prop_map(|added| Message::Pong { added }),
        1 => count().prop_map(|added| Message::Synced { added }),
        1 => error,
        1 => any::<String>().prop_map(|text| Message::Debug { text }),
        1 => extra().prop_map(|extra| Message::Headers { headers: Json::new(extra.to_json()).expect("JSON") }),
    ]
}
