//! Which connections may stay: bounded in total and per client address, so that no client can use up another's share. A
//! new connection does not wait for silent ones to time out: the connection of a client that is not admitted and has
//! gone longest without completing a request is closed in its favour.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::activity::Activity;

/// Connections beyond a limit that are accepted only to be told so; further ones are closed at once.
const MAX_REFUSALS: usize = 32;

/// Connections that are being closed in favour of others and are no longer counted.
const MAX_CLOSING: usize = 32;

/// Connections that a port may briefly have beyond its limit.
pub const BEYOND_LIMIT: usize = MAX_REFUSALS + MAX_CLOSING;

/// One connection in this many is reserved for clients on this machine, so that the daemon can be inspected locally
/// under any load.
const LOOPBACK_SHARE: usize = 16;

/// The connection limits of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// In total.
    pub all: usize,
    /// From one client address; an IPv6 network of 64 bits counts as one.
    pub per_address: usize,
}

/// The limit that a connection exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitReached {
    /// There are too many connections in total.
    #[error("the limit max_connections = {0} is reached: try again later")]
    All(usize),
    /// There are too many from this address.
    #[error("your address has reached max_client_connections = {0}: reuse a connection for the next request")]
    Address(usize),
}

/// All connections of a port.
#[derive(Debug, Default)]
pub(super) struct ConnectionTable {
    table: Mutex<Table>,
    released: Notify,
}

#[derive(Debug, Default)]
struct Table {
    count: usize,
    refusals: usize,
    closing: usize,
    networks: HashMap<Network, Clients>,
}

/// The connections from one network.
#[derive(Debug, Default)]
struct Clients {
    connections: Vec<Arc<Activity>>,
    body_bytes: Arc<AtomicUsize>,
}

/// The unit that counts as one client: an IPv4 address, or the /64 network of an IPv6 address, which one customer
/// usually has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(IpAddr);

/// One connection, counted until this is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    table: Arc<ConnectionTable>,
    network: Network,
    /// What the connection is doing.
    pub activity: Arc<Activity>,
    /// Bytes of all request bodies being received from its address.
    pub body_bytes: Arc<AtomicUsize>,
    /// The limit it exceeds, which is all its client is told; `None` if it is to be served.
    pub refused: Option<LimitReached>,
}

/// What to do with a new connection.
#[derive(Debug)]
pub(super) enum Decision {
    /// It may stay.
    Admit(ConnectionPermit),
    /// Another connection is being closed in its favour: decide again.
    Evicted,
    /// It may stay, but only to be told that this limit is reached.
    Refuse(ConnectionPermit, LimitReached),
    /// It is to be closed.
    Close(LimitReached),
    /// It has to wait until this instant, or until a connection is closed.
    Wait(Option<Instant>),
}

impl LimitReached {
    /// The metric label.
    pub fn reason(self) -> &'static str {
        match self {
            Self::All(_) => "max_connections",
            Self::Address(_) => "max_client_connections",
        }
    }
}

impl ConnectionTable {
    /// Decides on a new connection from `address`.
    pub(super) fn decide(self: &Arc<Self>, address: IpAddr, limit: ConnectionLimit) -> Decision {
        let network = Network::of(address);
        let mut table = self.table();
        let Some(reached) = table.limit_reached(network, limit) else {
            return Decision::Admit(self.admit(&mut table, network));
        };
        match table.candidate(network, reached) {
            Some((_, evictable, _)) if evictable > Instant::now() => Decision::Wait(Some(evictable)),
            Some(_) if table.closing >= MAX_CLOSING => Decision::Wait(None),
            Some((of, _, activity)) => {
                activity.evict();
                table.remove(of, &activity);
                table.closing += 1;
                Decision::Evicted
            }
            None if table.refusals >= MAX_REFUSALS => Decision::Close(reached),
            None => {
                table.refusals += 1;
                let permit = self.permit(network, Arc::new(Activity::new()), Arc::default(), Some(reached));
                Decision::Refuse(permit, reached)
            }
        }
    }

    /// Returns after a connection was closed.
    pub(super) async fn released(&self) {
        self.released.notified().await;
    }

    fn admit(self: &Arc<Self>, table: &mut Table, network: Network) -> ConnectionPermit {
        let activity = Arc::new(Activity::new());
        table.count += 1;
        let clients = table.networks.entry(network).or_default();
        clients.connections.push(activity.clone());
        self.permit(network, activity, clients.body_bytes.clone(), None)
    }

    fn permit(
        self: &Arc<Self>,
        network: Network,
        activity: Arc<Activity>,
        body_bytes: Arc<AtomicUsize>,
        refused: Option<LimitReached>,
    ) -> ConnectionPermit {
        ConnectionPermit {
            table: self.clone(),
            network,
            activity,
            body_bytes,
            refused,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn limit_reached(&self, network: Network, limit: ConnectionLimit) -> Option<LimitReached> {
        let own = self
            .networks
            .get(&network)
            .map_or(0, |clients| clients.connections.len());
        let reserved = match network.0.is_loopback() {
            true => 0,
            false => limit.all / LOOPBACK_SHARE,
        };
        if own >= limit.per_address {
            return Some(LimitReached::Address(limit.per_address));
        }
        (self.count >= limit.all - reserved).then_some(LimitReached::All(limit.all))
    }

    /// The connection to close for another, its network, and when it becomes evictable: of the same address if that
    /// address is at its limit, else of the address with the most connections.
    fn candidate(&self, network: Network, reached: LimitReached) -> Option<(Network, Instant, Arc<Activity>)> {
        let mut longest: Option<(Reverse<usize>, Instant, Network, &Arc<Activity>)> = None;
        for (other, clients) in &self.networks {
            if matches!(reached, LimitReached::Address(_)) && *other != network {
                continue;
            }
            let size = Reverse(clients.connections.len());
            for activity in &clients.connections {
                if let Some(evictable) = activity.evictable_from()
                    && longest.is_none_or(|(most, first, ..)| (size, evictable) < (most, first))
                {
                    longest = Some((size, evictable, *other, activity));
                }
            }
        }
        longest.map(|(_, evictable, network, activity)| (network, evictable, activity.clone()))
    }

    fn remove(&mut self, network: Network, activity: &Arc<Activity>) {
        self.count -= 1;
        if let Some(clients) = self.networks.get_mut(&network) {
            clients.connections.retain(|other| !Arc::ptr_eq(other, activity));
            if clients.connections.is_empty() {
                self.networks.remove(&network);
            }
        }
    }
}

impl Network {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                let network = address.to_bits() >> 64 << 64;
                Ipv6Addr::from_bits(network).into()
            }
            address => address,
        })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut table = self.table.table();
        match self.refused {
            Some(_) => table.refusals -= 1,
            None if self.activity.is_evicted() => table.closing -= 1,
            None => table.remove(self.network, &self.activity),
        }
        drop(table);
        self.table.released.notify_one();
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
