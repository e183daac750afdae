//! HTTP/1.1 ports that hostile clients cannot exhaust, used by the HTTP source and the dashboard. The number of
//! connections is bounded in total and per client address, and so is the time a client may keep the daemon waiting. A
//! client that is not yet admitted makes room for a new one. Nothing here depends on the content of requests.
//!
//! - `port`: accepts connections, and closes them in an orderly way
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

/// The answer of `/healthz`, by which `doctor` recognises a running daemon.
pub const ALIVE: &str = "temp-ingest is alive\n";
