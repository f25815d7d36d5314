//! The meta of an action that the application adds, and its recipients.

use serde::Deserialize;

use crate::{action::NameList, log::Draft, server::Recipients, time::WallTime};

/// The meta of an action that the application adds, such as
/// `{"clients": ["10:a"], "time": 1564508138460}`. Unknown keys, and keys of the protocol that a
/// server does not need, such as `status`, are ignored.
#[derive(Debug, Default)]
pub struct AddedMeta {
    /// The recipients of the action.
    pub to: Recipients,
    /// The other keys of the meta.
    pub draft: Draft,
}

impl<'de> Deserialize<'de> for AddedMeta {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let MetaFields { id, time, reasons, indexes, keep_last, recipients } =
            MetaFields::deserialize(deserializer)?;
        let id = id.map(|id| id.parse().map_err(serde::de::Error::custom)).transpose()?;
        let names = |names: Option<OneOrMany>| names.map(OneOrMany::into_names).unwrap_or_default();
        let draft = Draft {
            id,
            #[allow(
                clippy::cast_possible_truncation,
                reason = "fractions of a millisecond are dropped"
            )]
            time: time.map(|ms| WallTime::from_millis(ms as i64)),
            reasons: names(reasons),
            indexes: names(indexes),
            keep_last: keep_last.map(Into::into),
            ..Draft::default()
        };
        Ok(Self { to: recipients.into_recipients(), draft })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetaFields {
    id: Option<String>,
    time: Option<f64>,
    reasons: Option<OneOrMany>,
    indexes: Option<OneOrMany>,
    keep_last: Option<String>,
    #[serde(flatten)]
    recipients: RecipientFields,
}

/// The recipients of an action, in all forms that applications use: one name or a list, under the
/// singular or the plural key. A nested object has the same keys: `logux-django` writes
/// `{"channels": {"channel": "counter"}}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RecipientFields {
    channels: Option<OneOrMany>,
    channel: Option<OneOrMany>,
    users: Option<OneOrMany>,
    user: Option<OneOrMany>,
    clients: Option<OneOrMany>,
    client: Option<OneOrMany>,
    nodes: Option<OneOrMany>,
    node: Option<OneOrMany>,
    exclude_clients: Option<OneOrMany>,
}

impl RecipientFields {
    pub(super) fn into_recipients(self) -> Recipients {
        let mut to = Recipients::default();
        let fields = [
            ([self.channels, self.channel], &mut to.channels),
            ([self.users, self.user], &mut to.users),
            ([self.clients, self.client], &mut to.clients),
            ([self.nodes, self.node], &mut to.nodes),
            ([self.exclude_clients, None], &mut to.exclude_clients),
        ];
        let mut nested = Vec::new();
        for (values, names) in fields {
            for value in values.into_iter().flatten() {
                match value {
                    OneOrMany::One(name) => names.push(name.into()),
                    OneOrMany::Many(all) => names.extend(all.into_iter().map(Into::into)),
                    OneOrMany::Nested(fields) => nested.push(*fields),
                }
            }
        }
        for fields in nested {
            to.extend(fields.into_recipients());
        }
        to
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
    Nested(Box<RecipientFields>),
}

impl OneOrMany {
    fn into_names(self) -> NameList {
        match self {
            Self::One(name) => [name.into()].into_iter().collect(),
            Self::Many(names) => names.into_iter().map(Into::into).collect(),
            Self::Nested(_) => NameList::new(),
        }
    }
}
