//! The limit on files and connections that the process may have open at once. Ports that used all of them would leave
//! none for the spool and the sink, so their limits are checked against the system's before they are bound.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::http_server::BEYOND_LIMIT;
use crate::source;

/// Reserved for files of the spool, state, logs and sources, and for connections to AWS and brokers. At most a hundred
/// are in use; the rest covers those being closed.
const RESERVED: u64 = 256;

/// The process's limit on open files, and the part of it that is not for the ports of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// Files and connections that may be open at once.
    pub limit: u64,
    /// Connections of the dashboard's port.
    pub dashboard: u32,
    /// Concurrent requests to the sink, each on its own connection.
    pub sink_requests: u32,
}

/// The ports may accept more connections than the system allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "too many connections for the limit of open files, which is {limit}: {connections} need {needed} with what the spool \
     and the sink need: lower a max_connections, or raise the limit (LimitNOFILE= of the systemd unit, `ulimit -n` of a \
     shell)"
)]
pub struct TooManyConnections {
    limit: u64,
    needed: u64,
    connections: Connections,
}

/// The connection limits of all ports, by configuration key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Connections(Vec<(String, u32)>);

/// Raises the limit of open files as far as this process may, and returns it. Shells and containers often set a low
/// soft limit that every process may raise.
pub fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let unlimited = u64::MAX;
    if current == maximum {
        return current.unwrap_or(unlimited);
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum.unwrap_or(unlimited),
        Err(error) => {
            warn!(%error, "cannot raise the limit of open files");
            current.unwrap_or(unlimited)
        }
    }
}

impl OpenFiles {
    /// Checks that the ports of these sources leave enough for everything else.
    pub fn check(&self, sources: &source::Sources) -> Result<(), TooManyConnections> {
        let mut connections = vec![("dashboard.max_connections".to_owned(), self.dashboard)];
        for (name, source) in sources {
            if let Some(count) = source.max_connections() {
                connections.push((format!("source.{name}.max_connections"), count));
            }
        }
        let ports = connections
            .iter()
            .map(|(_, count)| u64::from(*count) + BEYOND_LIMIT as u64);
        let needed = ports.sum::<u64>() + u64::from(self.sink_requests) + RESERVED;
        match needed <= self.limit {
            true => Ok(()),
            false => Err(TooManyConnections {
                limit: self.limit,
                needed,
                connections: Connections(connections),
            }),
        }
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (key, count)) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { " and " };
            write!(f, "{separator}{key} = {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn ports_leave_files_to_everything_else() {
        let files = OpenFiles {
            limit: 1024,
            dashboard: 64,
            sink_requests: 4,
        };
        let sources = |connections| -> source::Sources {
            toml::from_str(&format!(
                "posts = {{ kind = \"http\", listen = \"127.0.0.1:0\", max_connections = {connections} }}\n\
                 pipe = {{ kind = \"stdin\" }}"
            ))
            .unwrap()
        };
        let room = 1024 - RESERVED - 4 - 64 - 2 * BEYOND_LIMIT as u64;
        assert_eq!(files.check(&sources(room)), Ok(()));
        let error = files.check(&sources(room + 1)).unwrap_err().to_string();
        let expected = format!(
            "which is 1024: dashboard.max_connections = 64 and source.posts.max_connections = {} need 1025 ",
            room + 1
        );
        assert!(error.contains(&expected), "{error}");
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        assert_eq!(raise_limit(), maximum.unwrap_or(u64::MAX));
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
