//! HTTP/1.1 ports that hostile clients cannot exhaust: the HTTP source and the dashboard are served by this. The number of
//! connections is bounded in all and per client address, and so is how long each client may keep the daemon waiting. A
//! client that was not admitted yet makes room for a new one. Nothing here knows what is asked.
//!
//! - `port`: accepts connections, and closes them in order
//! - `limit`: which connections may stay
//! - `activity`: what a connection is doing
//! - `connection`: serves one connection, within its timeouts
//! - `body`: the body of a request, as it arrives

mod activity;
mod body;
mod connection;
mod limit;
mod port;

pub use self::activity::Activity;
pub use self::body::RequestBody;
pub use self::connection::{Protocol, Timeouts, serve};
pub use self::limit::{BEYOND_LIMIT, ConnectionLimit, ConnectionPermit, LimitReached};
pub use self::port::Port;

/// What `/healthz` says; `doctor` knows a running daemon by it.
pub const ALIVE: &str = "temp-ingest is alive\n";
