//! The ports of sources. They are bound before any source starts, and stay bound while a reload replaces a source: new
//! connections wait meanwhile.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};

use super::settings::{Settings, Sources};

/// Bound ports by address, and also by source if the address takes any free port.
#[derive(Debug, Default)]
pub struct Listeners(BTreeMap<Key, TcpListener>);

type Key = (SocketAddr, Option<String>);

/// A port could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("source.{name}.listen: binding {address}: {source}: {}", remedy(.source))]
pub struct BindError {
    name: String,
    address: SocketAddr,
    source: io::Error,
}

impl Listeners {
    /// Binds the ports that these sources need and frees all others. After an error nothing has changed.
    pub fn bind(&mut self, sources: &Sources) -> Result<(), BindError> {
        let wanted: Vec<_> = sources
            .iter()
            .filter_map(|(name, source)| Some((name, key(name, source)?)))
            .collect();
        let mut bound = BTreeMap::new();
        for (name, key) in &wanted {
            if !self.0.contains_key(key) {
                let listener = listen(key.0).map_err(|source| BindError {
                    name: (*name).clone(),
                    address: key.0,
                    source,
                })?;
                bound.insert(key.clone(), listener);
            }
        }
        self.0.retain(|key, _| wanted.iter().any(|(_, wanted)| wanted == key));
        self.0.append(&mut bound);
        Ok(())
    }

    /// Returns the port of a source; `None` if it has none or it is not bound.
    pub fn of(&self, name: &str, source: &Settings) -> Option<TcpListener> {
        self.0.get(&key(name, source)?)?.try_clone().ok()
    }

    /// Frees all ports; a source that still runs keeps its own.
    pub fn free(&mut self) {
        self.0.clear();
    }
}

fn key(name: &str, source: &Settings) -> Option<Key> {
    let address = source.listen?.0;
    Some((address, (address.port() == 0).then(|| name.to_owned())))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has that port, perhaps another temp-ingest; stop it, or write another port here"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 are for root; write a higher one",
        _ => "write an address of this machine, such as \"127.0.0.1:9185\"",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn sources(text: &str) -> Sources {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_port_stays_bound_while_a_source_wants_it() {
        let mut listeners = Listeners::default();
        let one = sources("a = { kind = \"http\", listen = \"127.0.0.1:0\" }\nb = { kind = \"stdin\" }");
        listeners.bind(&one).unwrap();
        let port = |listeners: &Listeners| listeners.of("a", &one["a"]).map(|port| port.local_addr().unwrap());
        let bound = port(&listeners).unwrap();
        assert!(listeners.of("b", &one["b"]).is_none());
        listeners.bind(&one).unwrap();
        assert_eq!(port(&listeners), Some(bound));
        // After a failed bind everything is as before.
        let taken = format!(
            "a = {{ kind = \"http\", listen = \"127.0.0.1:0\" }}\nc = {{ kind = \"http\", listen = \"{bound}\" }}"
        );
        let error = listeners.bind(&sources(&taken)).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("source.c.listen: binding {bound}: ")),
            "{error}"
        );
        assert!(error.ends_with("or write another port here"), "{error}");
        assert_eq!(port(&listeners), Some(bound));
        listeners.bind(&Sources::new()).unwrap();
        assert_eq!(port(&listeners), None);
        drop(TcpListener::bind(bound).unwrap());
    }
}
