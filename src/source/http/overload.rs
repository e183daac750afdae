//! The limits that can be reached temporarily.

/// The limit that a request met: it was not accepted, and may be sent again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Memory and spool are full.
    Blocked,
    /// It did not get a decoding slot and capacity in time.
    Late,
    /// All bodies being received have reached their limit.
    Bodies,
    /// The bodies of its client have reached their limit.
    ClientBodies,
    /// The limit of pending requests with an Idempotency-Key is reached.
    Keys,
    /// Some of its sensors are new, and no more are admitted for now.
    NewSensors,
    /// The limit of connections is reached.
    Connections,
    /// The limit of its client's connections is reached.
    ClientConnections,
}

impl Overload {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Blocked,
        Self::Late,
        Self::Bodies,
        Self::ClientBodies,
        Self::Keys,
        Self::NewSensors,
        Self::Connections,
        Self::ClientConnections,
    ];

    /// The metric label.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Late => "reply_timeout",
            Self::Bodies => "max_bodies",
            Self::ClientBodies => "client_bodies",
            Self::Keys => "idempotency_keys",
            Self::NewSensors => "max_new_sensors_per_hour",
            Self::Connections => "max_connections",
            Self::ClientConnections => "max_client_connections",
        }
    }
}
