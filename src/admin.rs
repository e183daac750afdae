//! What operators ask over HTTP: metrics, liveness, readiness.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Deserializer, Serialize};

/// The `[admin]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The address and port of `/metrics`, `/healthz` and `/readyz`. Port 0 takes any free one.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9184).into(),
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!(
            "{text:?} is not an address with a port; write one such as \"127.0.0.1:9184\", or \"0.0.0.0:9184\" to be reached from elsewhere"
        ))
    })
}
