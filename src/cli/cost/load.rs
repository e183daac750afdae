//! What is asked: a load, its ranges, and what follows where something is left open.

use std::fmt::Display;
use std::ops::RangeInclusive;

use wire::lane::MAX_LANES;

use super::plan::Plan;
use super::traffic::Traffic;

/// A load as a person describes it.
#[derive(Clone, Debug)]
pub struct Load {
    /// Readings a second, of all sensors together.
    pub rate: f64,
    /// Bytes of a reading as JSON.
    pub size: u32,
    /// Sensors; without it each gives a reading a second.
    pub sensors: Option<u64>,
    /// Lanes; without it as many as the shards can be shared out by.
    pub lanes: Option<u32>,
    /// Milliseconds a reading may wait for others to share its record.
    pub linger_ms: u32,
    /// Most records an invocation.
    pub batch_size: u32,
    /// Seconds that records are gathered for an invocation.
    pub batch_window: u32,
    /// Invocations of a shard at once.
    pub parallelization: u32,
    /// Memory of a function, in MB.
    pub memory: u32,
    /// Anomalies of all sensors together a day; without it one a sensor.
    pub anomalies_per_day: Option<f64>,
    /// Subscriptions of the topic by email.
    pub emails: u32,
    /// Subscriptions of the topic by SMS.
    pub sms: u32,
    /// How many days every reading is kept in a table; 0: none is.
    pub readings_days: u32,
}

/// A load that cannot be, and what can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// Lanes where fewer do.
const LEAST_LANES: u32 = 16;
/// So many lanes to a shard share a stream out evenly enough.
const LANES_A_SHARD: u32 = 4;
const DAY_SECONDS: f64 = 86_400.0;

impl Default for Load {
    fn default() -> Self {
        Self {
            rate: 1.0,
            size: 100,
            sensors: None,
            lanes: None,
            linger_ms: 500,
            batch_size: 100,
            batch_window: 1,
            parallelization: 1,
            memory: 256,
            anomalies_per_day: None,
            emails: 1,
            sms: 0,
            readings_days: 0,
        }
    }
}

impl Load {
    /// Checks each number by itself and all of them together, and fills in what is left open.
    pub fn plan(&self) -> Result<Plan, Refused> {
        within("--rate", self.rate, 0.001..=10_000_000.0, "readings a second")?;
        within("--size", self.size, 1..=1_000_000, "bytes")?;
        let sensors = self.sensors.unwrap_or(self.rate.ceil() as u64);
        within("--sensors", sensors, 1..=100_000_000, "sensors")?;
        within("--linger", self.linger_ms, 1..=60_000, "milliseconds")?;
        within("--batch-size", self.batch_size, 1..=10_000, "records")?;
        within("--batch-window", self.batch_window, 0..=300, "seconds")?;
        within(
            "--parallelization",
            self.parallelization,
            1..=10,
            "invocations of a shard at once",
        )?;
        within("--memory", self.memory, 128..=10_240, "MB")?;
        within("--emails", self.emails, 0..=1_000, "subscriptions")?;
        within("--sms", self.sms, 0..=1_000, "subscriptions")?;
        within("--readings-days", self.readings_days, 0..=3_650, "days")?;
        let most_anomalies = self.rate * DAY_SECONDS;
        let anomalies_per_day = self.anomalies_per_day.unwrap_or((sensors as f64).min(most_anomalies));
        let unit = "anomalies a day: no more than there are readings";
        within("--anomalies-per-day", anomalies_per_day, 0.0..=most_anomalies, unit)?;
        let mut plan = Plan {
            rate: self.rate,
            size: self.size,
            sensors: sensors as f64,
            lanes: LEAST_LANES,
            linger_ms: self.linger_ms,
            batch_size: self.batch_size,
            batch_window: self.batch_window,
            parallelization: self.parallelization,
            memory: self.memory,
            anomalies_per_day,
            emails: self.emails,
            sms: self.sms,
            readings_days: self.readings_days,
        };
        match self.lanes {
            None => plan.choose_lanes()?,
            Some(lanes) => plan.set_lanes(lanes)?,
        }
        plan.check_sensors()?;
        Ok(plan)
    }
}

impl Plan {
    fn choose_lanes(&mut self) -> Result<(), Refused> {
        let mut lanes = LEAST_LANES;
        loop {
            self.lanes = lanes;
            let shards = Traffic::aggregated(self).least_shards();
            if shards * f64::from(LANES_A_SHARD) <= f64::from(lanes) {
                return Ok(());
            }
            if lanes == MAX_LANES {
                return Err(Refused(format!(
                    "--rate {} and --size {}: together they need {shards} shards; a daemon's lanes serve up to {}: lower one, \
                     or ask for each of several streams by itself",
                    self.rate,
                    self.size,
                    MAX_LANES / LANES_A_SHARD
                )));
            }
            lanes *= 2;
        }
    }

    fn set_lanes(&mut self, lanes: u32) -> Result<(), Refused> {
        if !lanes.is_power_of_two() || lanes > MAX_LANES {
            return Err(Refused(format!(
                "--lanes {lanes}: write a power of two from 1 to {MAX_LANES}"
            )));
        }
        self.lanes = lanes;
        let traffic = Traffic::aggregated(self);
        if traffic.keys_a_shard() >= 1.0 || f64::from(lanes) >= self.sensors {
            return Ok(());
        }
        Err(Refused(format!(
            "--lanes {lanes}: all records of a lane go through one shard, which takes 1,000 records and 1 MB a second; this \
             load needs {} shards: write at least as many lanes, a power of two",
            traffic.least_shards()
        )))
    }

    /// All readings of a sensor go through one shard.
    fn check_sensors(&self) -> Result<(), Refused> {
        let needed = [Traffic::aggregated(self), Traffic::plain(self)]
            .iter()
            .filter(|traffic| traffic.keys_a_shard() < 1.0)
            .map(Traffic::least_shards)
            .fold(0.0, f64::max);
        if needed == 0.0 {
            return Ok(());
        }
        Err(Refused(format!(
            "--sensors {}: at {} readings of {} bytes a second in all, each would give more than one shard takes, 1,000 \
             records and 1 MB a second: write at least {needed} sensors",
            self.sensors, self.rate, self.size
        )))
    }
}

fn within<T: PartialOrd + Display>(
    option: &str,
    given: T,
    range: RangeInclusive<T>,
    unit: &str,
) -> Result<(), Refused> {
    if range.contains(&given) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(Refused(format!(
        "{option} {given}: write a number from {least} to {most} {unit}"
    )))
}
