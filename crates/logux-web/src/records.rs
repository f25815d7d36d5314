//! The open lists of records.

use std::{collections::BTreeMap, sync::Arc};

use logux::{
    Json, Now,
    action::logux::SUBSCRIBED,
    client::{Client, DocumentStatus, NeededSubscriptions, Output, Subscription},
    crdt::{MatchingRecords, Records, SyncMaps},
    json::JsonObject,
    log::LogError,
    replay::TimelineSet,
    store::JournalStore,
    sync::State,
};
use serde::Serialize;

use crate::{call::CallError, turn::status_name};

type Machine = Client<JournalStore, TimelineSet>;

/// The open lists of records, by number. An open record is a list of one.
#[derive(Debug, Default)]
pub(crate) struct OpenRecords {
    last: u32,
    lists: BTreeMap<u32, OpenList>,
    /// What the lists need of the server, by the plurals of their records.
    needed: BTreeMap<Arc<str>, NeededSubscriptions>,
}

#[derive(Debug)]
struct OpenList {
    plural: Arc<str>,
    subscription: Subscription,
    /// The list as JavaScript has it.
    listed: MatchingRecords,
}

/// What has changed in a list since the last call.
#[derive(Debug, Serialize)]
struct ListChanges<'a> {
    status: &'a str,
    /// The records that are new or have changed, whole.
    changed: Vec<Json>,
    /// The ids of the records that have left the list.
    removed: Vec<Arc<str>>,
}

impl OpenRecords {
    /// Opens the records that match a filter. Returns the number of the list.
    pub(crate) fn open_list(
        &mut self,
        now: Now,
        client: &mut Machine,
        plural: &str,
        filter: &Json,
    ) -> Result<u32, CallError> {
        let filter = JsonObject::from_json(filter.as_str()).map_err(CallError::Filter)?;
        let text = Json::new(filter.to_json()).map_err(CallError::Filter)?;
        let subscription = Subscription { channel: plural.to_owned(), filter: Some(text) };
        Ok(self.open(now, client, plural, subscription, filter)?)
    }

    /// Opens one record. Returns the number of its list.
    pub(crate) fn open_record(
        &mut self,
        now: Now,
        client: &mut Machine,
        plural: &str,
        id: &str,
    ) -> Result<u32, CallError> {
        let mut filter = JsonObject::default();
        filter.set("id", Json::from_value(id)?);
        let subscription = Subscription::to(format!("{plural}/{id}"));
        Ok(self.open(now, client, plural, subscription, filter)?)
    }

    fn open(
        &mut self,
        now: Now,
        client: &mut Machine,
        plural: &str,
        subscription: Subscription,
        filter: JsonObject,
    ) -> Result<u32, LogError<core::convert::Infallible>> {
        client.open(SyncMaps::new(plural))?;
        let plural: Arc<str> = plural.into();
        let needed = self.needed.entry(plural.clone());
        let needed = needed.or_insert_with(|| NeededSubscriptions::new(plural.clone()));
        needed.need(&subscription);
        // The lists begin with the records of this device.
        needed.update_records(&records(client, &plural), false);
        client.request_needed(now, needed)?;
        self.last += 1;
        let listed = MatchingRecords::new(filter);
        self.lists.insert(self.last, OpenList { plural, subscription, listed });
        Ok(self.last)
    }

    /// Opens all lists again in another client, which has none of them.
    pub(crate) fn move_to(&mut self, now: Now, client: &mut Machine) -> Result<(), CallError> {
        self.needed.clear();
        for list in self.lists.values() {
            client.open(SyncMaps::new(&*list.plural))?;
            let needed = self.needed.entry(list.plural.clone());
            let needed = needed.or_insert_with(|| NeededSubscriptions::new(list.plural.clone()));
            needed.need(&list.subscription);
        }
        for (plural, needed) in &mut self.needed {
            needed.update_records(&records(client, plural), false);
            client.request_needed(now, needed)?;
        }
        Ok(())
    }

    /// Closes a list. With the last one of a kind, its records close; their actions stay in the
    /// log.
    pub(crate) fn close(
        &mut self,
        now: Now,
        client: &mut Machine,
        number: u32,
    ) -> Result<(), CallError> {
        let Some(OpenList { plural, subscription, .. }) = self.lists.remove(&number) else {
            return Ok(());
        };
        if let Some(needed) = self.needed.get_mut(&plural) {
            needed.leave(&subscription);
            client.request_needed(now, needed)?;
        }
        if !self.lists.values().any(|list| list.plural == plural) {
            self.needed.remove(&plural);
            client.close(&plural);
        }
        Ok(())
    }

    /// Returns the name of the timeline of open records.
    pub(crate) fn name(&self, plural: &str) -> Option<Arc<str>> {
        self.needed.get_key_value(plural).map(|(name, _)| name.clone())
    }

    /// Returns what has changed in a list since the last call. O(changes · log n).
    pub(crate) fn changes(&mut self, client: &Machine, number: u32) -> Result<Json, CallError> {
        let list = self.lists.get_mut(&number).ok_or(CallError::NoList(number))?;
        let now = records(client, &list.plural);
        let (mut changed, mut removed) = (Vec::new(), Vec::new());
        list.listed.update(&now, |id, is_listed| match now.json(id).filter(|_| is_listed) {
            Some(record) => changed.push(record),
            None => removed.push(id.clone()),
        });
        let needed = self.needed.get(&list.plural);
        let state = needed.and_then(|needed| needed.state(&list.subscription));
        let status = state.map_or(DocumentStatus::Loading, DocumentStatus::from);
        Ok(Json::from_value(&ListChanges { status: status_name(&status), changed, removed })?)
    }

    /// Takes over an output. Returns the plural of the records whose lists have another status.
    pub(crate) fn output(&mut self, client: &Machine, output: &Output) -> Option<Arc<str>> {
        match output {
            Output::Subscription(subscription, state) => {
                // The channel of one record begins with its plural.
                let channel = &*subscription.channel;
                let plural = channel.split_once('/').map_or(channel, |(plural, _)| plural);
                let name = self.name(channel).or_else(|| self.name(plural))?;
                // It may have been requested again since.
                let is_old = |now| now != *state;
                if !client.subscription_state(subscription).is_some_and(is_old) {
                    self.needed.get_mut(&name)?.set(subscription, state);
                }
                Some(name)
            }
            Output::Added(entry) if entry.action.kind() == SUBSCRIBED => {
                let channel = entry.action.str_field("channel")?;
                let (plural, _) = channel.split_once('/')?;
                self.needed.get_mut(plural)?.cover(&*channel);
                None
            }
            Output::State(State::Disconnected) => {
                self.needed.values_mut().for_each(NeededSubscriptions::disconnected);
                None
            }
            _ => None,
        }
    }

    /// Takes over changes of records, and makes the requests to the server that follow. `is_own`:
    /// only the user has changed them. Returns the plurals whose lists have too many records.
    pub(crate) fn update(
        &mut self,
        now: Now,
        client: &mut Machine,
        changed: &[Arc<str>],
        is_own: bool,
    ) -> Result<Vec<Arc<str>>, CallError> {
        let mut exceeding = Vec::new();
        for (plural, needed) in &mut self.needed {
            if changed.contains(plural) {
                needed.update_records(&records(client, plural), is_own);
            }
            client.request_needed(now, needed)?;
            if needed.take_excess() {
                exceeding.push(plural.clone());
            }
        }
        Ok(exceeding)
    }
}

/// Returns the records of a kind that is open.
fn records(client: &Machine, plural: &str) -> Records {
    let timeline = client.log().observer().timeline::<SyncMaps>(plural);
    timeline.map_or_else(Records::default, |timeline| timeline.state().clone())
}
