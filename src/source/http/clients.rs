//! Who is connected: bounded over all, and for each client address, so that no client takes the place of another.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections over a limit that are told so at once; further ones are closed without a word.
const TOLD: usize = 32;

/// All connections of one source.
#[derive(Debug, Default)]
pub struct Clients {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    admitted: usize,
    told: usize,
    clients: HashMap<IpAddr, Client>,
}

#[derive(Debug, Default)]
struct Client {
    connections: usize,
    bytes: Arc<AtomicUsize>,
}

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// In all.
    pub all: usize,
    /// Of one client address.
    pub client: usize,
}

/// One connection, counted until it is dropped.
#[derive(Debug)]
pub struct Visit {
    clients: Arc<Clients>,
    address: IpAddr,
    /// Bytes of all bodies under way of this client.
    pub bytes: Arc<AtomicUsize>,
    /// Which limit it is over; `None` where it is let in.
    pub over: Option<Over>,
}

/// The limit a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// There are too many in all.
    #[error("there are max_connections = {0} connections: come again later")]
    All(usize),
    /// There are too many of this client.
    #[error("your address has max_client_connections = {0} connections: use one again for the next request")]
    Client(usize),
}

impl Clients {
    /// Lets a connection in, or says why not; `None` where nobody is left to say it.
    pub fn admit(self: &Arc<Self>, address: IpAddr, places: Places) -> Option<Visit> {
        // The same client, whichever socket it comes through.
        let address = address.to_canonical();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let own = table.clients.get(&address).map_or(0, |client| client.connections);
        let over = match () {
            () if own >= places.client => Some(Over::Client(places.client)),
            () if table.admitted >= places.all => Some(Over::All(places.all)),
            () => None,
        };
        let bytes = match over {
            Some(_) if table.told >= TOLD => return None,
            Some(_) => {
                table.told += 1;
                Arc::default()
            }
            None => {
                table.admitted += 1;
                let client = table.clients.entry(address).or_default();
                client.connections += 1;
                client.bytes.clone()
            }
        };
        Some(Visit {
            clients: self.clone(),
            address,
            bytes,
            over,
        })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut table = self.clients.table.lock().unwrap_or_else(PoisonError::into_inner);
        if self.over.is_some() {
            table.told -= 1;
            return;
        }
        table.admitted -= 1;
        if let Some(client) = table.clients.get_mut(&self.address) {
            client.connections -= 1;
            if client.connections == 0 {
                table.clients.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn one_client_cannot_take_all_places() {
        let clients = Arc::new(Clients::default());
        let places = Places { all: 3, client: 2 };
        let (one, mapped): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "::ffff:192.0.2.1".parse().unwrap());
        let (other, third) = ("192.0.2.2".parse().unwrap(), "192.0.2.3".parse().unwrap());
        let over = |address| clients.admit(address, places).unwrap().over;
        let first = clients.admit(one, places).unwrap();
        let second = clients.admit(mapped, places).unwrap();
        assert_eq!((first.over, second.over), (None, None));
        assert_eq!(over(one), Some(Over::Client(2)));
        let last = clients.admit(other, places).unwrap();
        assert_eq!(last.over, None);
        assert_eq!(over(third), Some(Over::All(3)));
        drop(first);
        assert_eq!(over(third), None);
        drop((second, last));
        assert!(clients.table.lock().unwrap().clients.is_empty());
    }

    #[test]
    fn only_so_many_are_told_at_once() {
        let clients = Arc::new(Clients::default());
        let (address, places) = ("192.0.2.1".parse().unwrap(), Places { all: 0, client: 1 });
        let told: Vec<_> = std::iter::from_fn(|| clients.admit(address, places)).collect();
        assert_eq!(told.len(), TOLD);
        drop(told);
        assert!(clients.admit(address, places).is_some());
    }
}
