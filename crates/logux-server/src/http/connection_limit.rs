//! The limits on open connections, in total and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts open connections.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit {
    counts: Arc<Mutex<Counts>>,
    max: usize,
    max_of_address: usize,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The permission for one connection; dropping it releases its share of the limits.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    connection_limit: ConnectionLimit,
    counts_in_total: bool,
    address: Option<IpAddr>,
}

impl ConnectionLimit {
    pub(crate) fn new(max: usize, max_of_address: Option<usize>) -> Self {
        Self { counts: Arc::default(), max, max_of_address: max_of_address.unwrap_or(max) }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing can panic between the two changes.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a permit unless a limit is reached. A known address counts too.
    pub(crate) fn try_acquire(&self, address: Option<IpAddr>) -> Option<ConnectionPermit> {
        self.acquire(true, address)
    }

    /// Returns a permit for the address of a connection that already counts in total.
    pub(crate) fn try_acquire_for_address(&self, address: IpAddr) -> Option<ConnectionPermit> {
        self.acquire(false, Some(address))
    }

    fn acquire(&self, counts_in_total: bool, address: Option<IpAddr>) -> Option<ConnectionPermit> {
        let mut counts = self.counts();
        let of_address = address
            .and_then(|address| counts.by_address.get(&address).copied())
            .unwrap_or_default();
        if counts_in_total && counts.total >= self.max
            || address.is_some() && of_address >= self.max_of_address
        {
            return None;
        }
        counts.total += usize::from(counts_in_total);
        if let Some(address) = address {
            counts.by_address.insert(address, of_address + 1);
        }
        Some(ConnectionPermit { connection_limit: self.clone(), counts_in_total, address })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut counts = self.connection_limit.counts();
        counts.total -= usize::from(self.counts_in_total);
        let Some(address) = self.address else { return };
        if let Some(of_address) = counts.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_in_total_and_by_address() {
        let connection_limit = ConnectionLimit::new(3, Some(2));
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().ok());
        let first = connection_limit.try_acquire(a).expect("a permit");
        let second = connection_limit.try_acquire(a).expect("a permit");
        assert!(connection_limit.try_acquire(a).is_none(), "the limit of one address is two");
        let third = connection_limit.try_acquire(b).expect("a permit for another address");
        assert!(connection_limit.try_acquire(b).is_none(), "the total limit is three");
        drop(first);
        assert!(connection_limit.try_acquire(a).is_some());
        drop((second, third));
        let unknown = connection_limit.try_acquire(None).expect("a permit");
        let known = b.and_then(|b| connection_limit.try_acquire_for_address(b)).expect("a permit");
        assert_eq!(
            connection_limit.counts().total,
            1,
            "a connection whose address is known later counts once"
        );
        drop((unknown, known));
        assert!(
            connection_limit.counts().by_address.is_empty() && connection_limit.counts().total == 0,
            "dropped permits leave nothing"
        );
    }
}
