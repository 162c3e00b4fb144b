//! How often one address may try to sign in: verifying a token costs far more than sending one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::limits::{SIGN_IN_ADDRESSES_MAX, SIGN_INS_A_SECOND, SIGN_INS_BURST};
use crate::places::counted_as;

/// A token bucket per address.
#[derive(Debug, Default)]
pub(super) struct SignInRate {
    buckets: Mutex<HashMap<Option<IpAddr>, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl SignInRate {
    /// Takes one try; false when there is none left.
    pub(super) fn take(&self, ip: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some(counted_as(ip));
        if !buckets.contains_key(&key) && buckets.len() >= SIGN_IN_ADDRESSES_MAX {
            buckets.retain(|_, bucket| bucket.refilled(now) < SIGN_INS_BURST);
            if buckets.len() >= SIGN_IN_ADDRESSES_MAX {
                key = None;
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            tokens: SIGN_INS_BURST,
            filled: now,
        });
        bucket.tokens = bucket.refilled(now);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

impl Bucket {
    fn refilled(&self, now: Instant) -> f64 {
        (self.tokens + now.saturating_duration_since(self.filled).as_secs_f64() * SIGN_INS_A_SECOND).min(SIGN_INS_BURST)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_that_floods_is_held_back_and_others_are_not() {
        let rate = SignInRate::default();
        let now = Instant::now();
        let flood: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
        let passed = (0..1000).filter(|_| rate.take(flood, now)).count();
        assert_eq!(passed, 200);
        assert!(rate.take(Ipv4Addr::new(192, 0, 2, 2).into(), now));
        assert!(rate.take(flood, now + Duration::from_secs(1)));
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_one_count() {
        let rate = SignInRate::default();
        let now = Instant::now();
        let of = |host: u128| Ipv6Addr::from_bits((0x2001_0db8_0001_0002_u128 << 64) | host).into();
        let passed = (0..1000_u128).filter(|host| rate.take(of(*host), now)).count();
        assert_eq!(passed, 200);
        assert!(
            rate.take("2001:db8:1:3::1".parse().unwrap(), now),
            "another network is another address"
        );
    }

    #[test]
    fn more_addresses_than_are_remembered_share_one_count() {
        let rate = SignInRate::default();
        let now = Instant::now();
        let passed = (0..20_000_u32).filter(|i| rate.take(Ipv4Addr::from(*i).into(), now)).count();
        assert_eq!(passed, SIGN_IN_ADDRESSES_MAX + 200);
    }
}
