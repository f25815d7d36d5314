//! What an application says about an action that it adds: who gets it, and the keys of its meta.

use serde::Deserialize;

use crate::{action::NameList, log::Draft, server::Recipients, time::WallTime};

/// Meta of an added action, as an application writes it: `{"clients": ["10:a"], "time": 1564508138460}`. Keys of the protocol that a server
/// does not need, such as `status`, are passed over.
#[derive(Debug, Default)]
pub struct AddedMeta {
    /// Who gets the action.
    pub to: Recipients,
    /// What its meta says.
    pub draft: Draft,
}

impl<'de> Deserialize<'de> for AddedMeta {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Keys { id, time, reasons, indexes, keep_last, address } =
            Keys::deserialize(deserializer)?;
        let id = id.map(|id| id.parse().map_err(serde::de::Error::custom)).transpose()?;
        let names = |texts: Option<Texts>| texts.map(Texts::into_names).unwrap_or_default();
        let draft = Draft {
            id,
            #[allow(
                clippy::cast_possible_truncation,
                reason = "fractions of a millisecond are none"
            )]
            time: time.map(|ms| WallTime::from_millis(ms as i64)),
            reasons: names(reasons),
            indexes: names(indexes),
            keep_last: keep_last.map(Into::into),
            ..Draft::default()
        };
        Ok(Self { to: address.into_recipients(), draft })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    id: Option<String>,
    time: Option<f64>,
    reasons: Option<Texts>,
    indexes: Option<Texts>,
    keep_last: Option<String>,
    #[serde(flatten)]
    address: RecipientFields,
}

/// Who gets an action, in all the ways in which applications write it: one name or a list, under the singular or the plural. An object stands for
/// what it says itself: `logux-django` writes `{"channels": {"channel": "counter"}}`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RecipientFields {
    channels: Option<Texts>,
    channel: Option<Texts>,
    users: Option<Texts>,
    user: Option<Texts>,
    clients: Option<Texts>,
    client: Option<Texts>,
    nodes: Option<Texts>,
    node: Option<Texts>,
    exclude_clients: Option<Texts>,
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
        for (texts, names) in fields {
            for texts in texts.into_iter().flatten() {
                match texts {
                    Texts::One(name) => names.push(name.into()),
                    Texts::Many(all) => names.extend(all.into_iter().map(Into::into)),
                    Texts::Nested(address) => nested.push(*address),
                }
            }
        }
        for address in nested {
            to.extend(address.into_recipients());
        }
        to
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
    Nested(Box<RecipientFields>),
}

impl Texts {
    fn into_names(self) -> NameList {
        match self {
            Self::One(name) => [name.into()].into_iter().collect(),
            Self::Many(names) => names.into_iter().map(Into::into).collect(),
            Self::Nested(_) => NameList::new(),
        }
    }
}
