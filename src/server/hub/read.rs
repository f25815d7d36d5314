//! Reading the log for the application.

use core::ops::ControlFlow;

use super::Hub;
use crate::{
    action::ActionId,
    log::LogError,
    server::{
        LogPage, LogQuery,
        inbox::is_waiting,
        log_query::{MAX_PAGE_BYTES, MAX_VISITED},
        retention::is_retained,
    },
    store::{Entry, Store},
};

impl<S: Store> Hub<S> {
    /// Returns the entry of an action, if it is in the log. O(log n).
    ///
    /// # Errors
    /// If the store fails.
    pub fn entry(&self, id: &ActionId) -> Result<Option<Entry>, LogError<S::Error>> {
        self.log.by_id(id)
    }

    /// Returns the application's value with this name: see
    /// [`Input::SetValue`](crate::server::Input::SetValue).
    ///
    /// # Errors
    /// If the store fails.
    pub fn value(&self, name: &str) -> Result<Option<String>, LogError<S::Error>> {
        self.log.value(&application_value(name))
    }

    /// Returns a page of the log. O(log n + visited entries), of which there are at most 1,000.
    ///
    /// # Errors
    /// If the store fails.
    pub fn page(&self, query: &LogQuery) -> Result<LogPage, LogError<S::Error>> {
        let mut page = LogPage { entries: Vec::new(), next: None };
        let (mut visited, mut bytes, mut last) = (0, 0, 0);
        self.log.walk(&query.query, |entry| {
            if visited == MAX_VISITED
                || page.entries.len() == query.limit
                || bytes >= MAX_PAGE_BYTES
            {
                page.next = Some(query.clone().after(last));
                return ControlFlow::Break(());
            }
            visited += 1;
            last = entry.meta.added.unwrap_or_default();
            let is_selected = !query.is_kept
                || (is_retained(&entry.meta)
                    && !entry.meta.reasons.iter().any(|reason| is_waiting(reason)));
            if is_selected {
                bytes += entry.action.as_json().len();
                page.entries.push(entry.clone());
            }
            ControlFlow::Continue(())
        })?;
        Ok(page)
    }
}

/// Returns the name of a value of the application in the store, apart from those of the hub.
pub(super) fn application_value(name: &str) -> String {
    format!("application/{name}")
}
