//! How many connections there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts connections.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit {
    taken: Arc<Mutex<Taken>>,
    max: usize,
    max_of_address: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    connection_limit: ConnectionLimit,
    counts: bool,
    address: Option<IpAddr>,
}

impl ConnectionLimit {
    pub(crate) fn new(max: usize, max_of_address: Option<usize>) -> Self {
        Self { taken: Arc::default(), max, max_of_address: max_of_address.unwrap_or(max) }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing can panic between the two changes.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection, if there is one; the address counts if it is known.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> Option<ConnectionPermit> {
        self.take(true, address)
    }

    /// A place for a connection that has one already, now that its address is known.
    pub(crate) fn enter_again(&self, address: IpAddr) -> Option<ConnectionPermit> {
        self.take(false, Some(address))
    }

    fn take(&self, counts: bool, address: Option<IpAddr>) -> Option<ConnectionPermit> {
        let mut taken = self.taken();
        let of_address =
            address.and_then(|address| taken.by_address.get(&address).copied()).unwrap_or_default();
        if counts && taken.all >= self.max || address.is_some() && of_address >= self.max_of_address
        {
            return None;
        }
        taken.all += usize::from(counts);
        if let Some(address) = address {
            taken.by_address.insert(address, of_address + 1);
        }
        Some(ConnectionPermit { connection_limit: self.clone(), counts, address })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut taken = self.connection_limit.taken();
        taken.all -= usize::from(self.counts);
        let Some(address) = self.address else { return };
        if let Some(of_address) = taken.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_by_address() {
        let connection_limit = ConnectionLimit::new(3, Some(2));
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().ok());
        let first = connection_limit.enter(a).expect("room");
        let second = connection_limit.enter(a).expect("room");
        assert!(connection_limit.enter(a).is_none(), "two from one address");
        let third = connection_limit.enter(b).expect("room for others");
        assert!(connection_limit.enter(b).is_none(), "three in all");
        drop(first);
        assert!(connection_limit.enter(a).is_some());
        drop((second, third));
        let unknown = connection_limit.enter(None).expect("room");
        let known = b.and_then(|b| connection_limit.enter_again(b)).expect("room");
        assert_eq!(connection_limit.taken().all, 1, "one that is known later counts once");
        drop((unknown, known));
        assert!(
            connection_limit.taken().by_address.is_empty() && connection_limit.taken().all == 0,
            "nothing is left behind"
        );
    }
}
