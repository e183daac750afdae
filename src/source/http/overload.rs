//! What there can be too little of for a request.

/// What a request found too little of: it was not taken, and may come again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Memory and spool are full.
    Blocked,
    /// Its turn to be decoded and handed over did not come in time.
    Late,
    /// All bodies under way take as many bytes as they may.
    Bodies,
    /// All bodies under way of its client do.
    ClientBodies,
    /// As many requests with an Idempotency-Key are under way as may be.
    Keys,
    /// Some of its sensors are new, and no more are admitted now.
    NewSensors,
    /// There are as many connections as may be.
    Connections,
    /// There are as many connections of its client as may be.
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
