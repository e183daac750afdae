//! A load with nothing left open.

use serde::Serialize;

/// A load that holds, nothing left open.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Readings a second.
    pub rate: f64,
    /// Bytes of a reading as JSON.
    pub size: u32,
    /// Sensors.
    pub sensors: f64,
    /// Lanes.
    pub lanes: u32,
    /// Milliseconds a reading may wait.
    pub linger_ms: u32,
    /// Most records an invocation.
    pub batch_size: u32,
    /// Seconds that records are gathered.
    pub batch_window: u32,
    /// Invocations of a shard at once.
    pub parallelization: u32,
    /// Memory of a function, in MB.
    pub memory: u32,
    /// Anomalies a day.
    pub anomalies_per_day: f64,
    /// Subscriptions by email.
    pub emails: u32,
    /// Subscriptions by SMS.
    pub sms: u32,
    /// How many days every reading is kept.
    pub readings_days: u32,
}
