//! The places of connections: so many in total, so many of one client. When they are taken, whoever has sat idle longest makes room for one who comes.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::address::Client;
use crate::admit::Activity;

/// A connection without a request is only taken for idle after this long: one that was just opened has its request on the way.
const YOUNG: Duration = Duration::from_secs(1);

/// All places.
#[derive(Debug)]
pub(crate) struct Places {
    total: usize,
    /// 0 is no limit.
    per_client: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: HashMap<u64, Seat>,
    /// How many of `seats` each client has.
    clients: HashMap<Client, usize>,
}

#[derive(Debug)]
struct Seat {
    client: Option<Client>,
    activity: Arc<Activity>,
    evicted: Evicted,
}

/// Tells a connection that it has to go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evicted(Arc<Notify>);

impl Evicted {
    pub(crate) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// A place that is taken until this is dropped, or its connection is asked to go.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    id: u64,
    pub(crate) evicted: Evicted,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(self.id);
    }
}

impl Places {
    pub(crate) fn new(total: usize, per_client: usize) -> Arc<Self> {
        Arc::new(Self { total, per_client, taken: Mutex::default() })
    }

    /// A place for a connection of `address`: a free one, or that of the one which has idled longest and is asked to go. `None` where all are busy. Without an address,
    /// as for a proxy's, it counts in total alone.
    ///
    /// Who is asked to go counts no more. No more than `total` are on their way out at once, for none of those that came meanwhile idles yet.
    pub(crate) fn take(self: &Arc<Self>, address: Option<IpAddr>, activity: &Arc<Activity>) -> Option<Place> {
        let client = address.map(Client::from);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = client.filter(|client| self.per_client > 0 && taken.clients.get(client).is_some_and(|count| *count >= self.per_client));
        if own.is_some() || taken.seats.len() >= self.total {
            let longest = taken.idle_longest(own)?;
            let seat = taken.remove(longest)?;
            seat.evicted.0.notify_one();
        }
        let (id, evicted) = (taken.next, Evicted::default());
        taken.next += 1;
        taken.seats.insert(id, Seat { client, activity: Arc::clone(activity), evicted: evicted.clone() });
        if let Some(client) = client {
            *taken.clients.entry(client).or_default() += 1;
        }
        Some(Place { places: Arc::clone(self), id, evicted })
    }
}

impl Taken {
    /// Of all, or of one client's.
    fn idle_longest(&self, of: Option<Client>) -> Option<u64> {
        let now = Instant::now();
        let idle = |seat: &Seat| seat.activity.idle_since().filter(|since| now.saturating_duration_since(*since) >= YOUNG);
        let among = self.seats.iter().filter(|(_, seat)| of.is_none() || seat.client == of);
        among.filter_map(|(id, seat)| Some((idle(seat)?, *id))).min().map(|(_, id)| id)
    }

    fn remove(&mut self, id: u64) -> Option<Seat> {
        let seat = self.seats.remove(&id)?;
        if let Some(client) = seat.client
            && let Some(count) = self.clients.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&client);
            }
        }
        Some(seat)
    }
}
