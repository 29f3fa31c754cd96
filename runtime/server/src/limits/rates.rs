//! Requests a second, of each client: a token bucket whose memory is bounded.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::address::Client;

/// Clients within a second that have a bucket of their own; those beyond share one. Twice as many entries of some 40 bytes are kept at most.
const CLIENTS: usize = 1 << 16;
/// A bucket is full again after this long, which is as good as none.
const SECOND: Duration = Duration::from_secs(1);

/// The buckets of all clients. One holds as many requests as its client may send in a second, so that many may come at once.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Requests a second; 0 is no limit.
    rate: u32,
    clients: usize,
    buckets: Mutex<Buckets>,
}

/// Two generations: clients of this second, and those of the one before, who are forgotten with it.
#[derive(Debug)]
struct Buckets {
    since: Instant,
    recent: HashMap<Client, Bucket>,
    before: HashMap<Client, Bucket>,
    others: Bucket,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: u32, at: Instant) -> Self {
        Self { left: f64::from(rate), at }
    }

    /// Takes one; how long to wait where there is none.
    fn take(&mut self, rate: u32, now: Instant) -> Result<(), Duration> {
        let rate = f64::from(rate);
        self.left = (self.left + now.saturating_duration_since(self.at).as_secs_f64() * rate).min(rate);
        self.at = now;
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / rate));
        }
        self.left -= 1.0;
        Ok(())
    }
}

impl Rates {
    pub(crate) fn new(rate: u32) -> Self {
        Self::with_clients(rate, CLIENTS)
    }

    fn with_clients(rate: u32, clients: usize) -> Self {
        let now = Instant::now();
        let buckets = Buckets { since: now, recent: HashMap::new(), before: HashMap::new(), others: Bucket::full(rate, now) };
        Self { rate, clients, buckets: Mutex::new(buckets) }
    }

    /// Counts a request of `address`.
    ///
    /// # Errors
    /// How long the client has to wait.
    pub(crate) fn take(&self, address: IpAddr) -> Result<(), Duration> {
        self.take_at(address, Instant::now())
    }

    fn take_at(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.rate == 0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = &mut *buckets;
        let age = now.saturating_duration_since(buckets.since);
        if age >= SECOND {
            buckets.before = std::mem::take(&mut buckets.recent);
            if age >= 2 * SECOND {
                buckets.before.clear();
            }
            buckets.since = now;
        }
        let client = Client::from(address);
        if let Some(bucket) = buckets.recent.get_mut(&client) {
            return bucket.take(self.rate, now);
        }
        let mut bucket = buckets.before.remove(&client).unwrap_or_else(|| Bucket::full(self.rate, now));
        if buckets.recent.len() >= self.clients {
            return buckets.others.take(self.rate, now);
        }
        let taken = bucket.take(self.rate, now);
        buckets.recent.insert(client, bucket);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + last).into())
    }

    #[test]
    fn a_client_has_its_rate_and_no_more() {
        let rates = Rates::new(10);
        let start = Instant::now();
        let allowed = |at: u64| (0..100).filter(|_| rates.take_at(address(1), start + Duration::from_millis(at)).is_ok()).count();
        assert_eq!(allowed(0), 10);
        assert_eq!(allowed(500), 5);
        assert_eq!(allowed(1100), 6, "across the change of generations");
        assert_eq!(allowed(60_000), 10, "no more is saved up than a second's");
        assert_eq!(rates.take_at(address(2), start), Ok(()), "another client");
        let wait = rates.take_at(address(1), start + Duration::from_secs(60)).unwrap_err();
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
    }

    #[test]
    fn many_clients_take_bounded_memory_and_then_share() {
        let rates = Rates::with_clients(10, 1000);
        let start = Instant::now();
        let allowed = (0..5000).filter(|at| rates.take_at(address(*at), start).is_ok()).count();
        assert_eq!(allowed, 1010, "a bucket each, and one for all others");
        let buckets = rates.buckets.lock().unwrap();
        assert!(buckets.recent.len() <= 1000);
    }

    #[test]
    fn zero_is_no_limit() {
        let rates = Rates::new(0);
        assert!((0..10_000).all(|_| rates.take(address(1)).is_ok()));
    }
}
