//! How many of something there may be at once: so many in all, and so many for one address, so that nobody who has but one
//! address can take every place.
//!
//! An IPv6 address is counted by its first 64 bits: whoever has one of them has all of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places that are handed out.
#[derive(Debug)]
pub(crate) struct Places {
    all_max: usize,
    one_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub(crate) fn new(all_max: usize, one_address_max: usize) -> Arc<Self> {
        Arc::new(Self {
            all_max,
            one_address_max,
            taken: Mutex::default(),
        })
    }

    /// A place for this address; none when it has its share, or all are taken.
    pub(crate) fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let address = counted_as(ip);
        let mut taken = self.lock();
        if taken.all >= self.all_max {
            return None;
        }
        let own = taken.by_address.entry(address).or_default();
        if *own >= self.one_address_max {
            return None;
        }
        *own += 1;
        taken.all += 1;
        Some(Place {
            places: Arc::clone(self),
            address,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(1);
        let own = taken.by_address.entry(self.address).or_default();
        *own = own.saturating_sub(1);
        if *own == 0 {
            taken.by_address.remove(&self.address);
        }
    }
}

/// The address that stands for everybody who is counted together with this one.
pub(crate) fn counted_as(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_gets_its_share_and_all_together_get_no_more_than_there_is() {
        let places = Places::new(3, 2);
        let first = places.take(ip("192.0.2.1")).unwrap();
        let second = places.take(ip("192.0.2.1")).unwrap();
        assert!(places.take(ip("192.0.2.1")).is_none());
        let third = places.take(ip("192.0.2.2")).unwrap();
        assert!(places.take(ip("192.0.2.3")).is_none(), "there is no fourth place");
        drop((first, third));
        assert!(places.take(ip("192.0.2.1")).is_some());
        drop(second);
        assert!(places.lock().by_address.is_empty(), "an address without a place is forgotten");
    }

    #[test]
    fn an_address_is_counted_by_what_its_owner_holds() {
        assert_eq!(counted_as(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(counted_as(ip("2001:db8:1:2::1")), counted_as(ip("2001:db8:1:2:ffff::1")));
        assert_ne!(counted_as(ip("2001:db8:1:3::1")), counted_as(ip("2001:db8:1:2::1")));
        assert_eq!(counted_as(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_ne!(counted_as(ip("192.0.2.1")), counted_as(ip("192.0.2.2")));
    }
}
