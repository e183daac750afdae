//! What goes into the stream: records, their bytes, and the shards they need.

use serde::Serialize;
use wire::aggregate::Aggregate;
use wire::{Identity, LaneName, ProducerId, Reading, Sensor, Timestamp, Value, json};

use super::plan::Plan;
use super::table::grouped;
use super::{Mode, Way};
use crate::config::Kinesis;

/// Records a shard takes in a second.
/// <https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>
const SHARD_RECORDS: f64 = 1_000.0;
/// Bytes a shard takes in a second, partition keys included; from the same page.
const SHARD_BYTES: f64 = 1_000_000.0;
/// A stream on demand begins with this many shards; from the same page.
const LEAST_ON_DEMAND: f64 = 4.0;
/// A stream on demand keeps room for twice what came in; from the same page.
const ROOM_ON_DEMAND: f64 = 2.0;
/// What provisioned streams count a record's bytes in. <https://aws.amazon.com/kinesis/data-streams/pricing/>
const PUT_UNIT_BYTES: f64 = 25.0 * 1024.0;
/// The largest record of a stream whose limit was not raised.
const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// A sensor's id, which is the partition key of its plain records.
const SENSOR_ID_BYTES: f64 = 10.0;
/// What a record is numbered with; a producer that has run for long has such numbers.
const IDENTITY: Identity = Identity {
    producer: ProducerId(u64::MAX),
    number: 1_000_000,
};

/// What goes into the stream, spread evenly over partition keys.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Traffic {
    /// Partition keys, and so pages: lanes that have a sensor, or sensors.
    pub keys: f64,
    /// Records a second.
    pub records: f64,
    /// Readings in a record.
    pub readings: f64,
    /// Bytes of a record, with its partition key.
    pub bytes: f64,
}

impl Traffic {
    pub fn of(way: Way, plan: &Plan) -> Self {
        match way {
            Way::Aggregated => Self::aggregated(plan),
            Way::Plain => Self::plain(plan),
            Way::Stateless => Self::single(plan, 0.0),
        }
    }

    /// A record of a lane is open from its first reading until it is full or has lingered.
    pub fn aggregated(plan: &Plan) -> Self {
        let packing = Packing::of(plan);
        let keys = f64::from(plan.lanes).min(plan.sensors);
        let lingered = 1.0 + plan.rate / keys * f64::from(plan.linger_ms) / 1_000.0;
        let readings = lingered.min(packing.capacity);
        Self {
            keys,
            records: plan.rate / readings,
            readings,
            bytes: packing.first + (readings - 1.0) * packing.further,
        }
    }

    /// One reading a record, with its identity.
    pub fn plain(plan: &Plan) -> Self {
        Self::single(plan, identity_bytes())
    }

    fn single(plan: &Plan, more_bytes: f64) -> Self {
        Self {
            keys: plan.sensors,
            records: plan.rate,
            readings: 1.0,
            bytes: f64::from(plan.size) + more_bytes + SENSOR_ID_BYTES,
        }
    }

    pub fn bytes_a_second(&self) -> f64 {
        self.records * self.bytes
    }

    /// Partition keys that one shard can serve: all records of a key go to one.
    pub fn keys_a_shard(&self) -> f64 {
        let of_key = self.keys / (self.records / SHARD_RECORDS).max(self.bytes_a_second() / SHARD_BYTES);
        // Seven tenths of ten are less than seven to a computer.
        (of_key + 1e-9).floor().min(self.keys)
    }

    /// Shards that take all of it, however its keys fall.
    pub fn least_shards(&self) -> f64 {
        (self.records / SHARD_RECORDS)
            .max(self.bytes_a_second() / SHARD_BYTES)
            .ceil()
            .max(1.0)
    }

    /// Shards of a stream for it.
    pub fn shards(&self, mode: Mode) -> f64 {
        let needed = (self.keys / self.keys_a_shard()).ceil();
        match mode {
            Mode::Provisioned => needed,
            Mode::OnDemand => (ROOM_ON_DEMAND * needed).max(LEAST_ON_DEMAND),
        }
    }

    /// PUT payload units of a record.
    pub fn put_units(&self) -> f64 {
        (self.bytes / PUT_UNIT_BYTES).ceil()
    }

    /// What a stream on demand counts for a record: whole KB.
    pub fn billed_bytes(&self) -> f64 {
        (self.bytes / 1024.0).ceil() * 1024.0
    }
}

/// How readings fill an aggregated record: measured on the very code that packs.
struct Packing {
    capacity: f64,
    /// Bytes of a record with one reading, its partition key included.
    first: f64,
    /// Bytes each further reading adds.
    further: f64,
}

impl Packing {
    fn of(plan: &Plan) -> Self {
        let reading = vec![b'0'; plan.size as usize];
        let lane = LaneName::all(plan.lanes).last().expect("there is at least one lane");
        let name = lane.to_string();
        let empty = |limit| Aggregate::new(&name, *lane.slice().start(), limit, IDENTITY);
        let mut limit = Kinesis::default().target_bytes.get() - name.len();
        if !empty(limit).fits(reading.len()) {
            // So do lanes with readings above the size they pack to.
            limit = MAX_RECORD_BYTES - name.len();
        }
        let mut aggregate = empty(limit);
        let mut lengths = Vec::new();
        while lengths.len() < 2 && aggregate.push(&reading).is_ok() {
            lengths.push(aggregate.len());
        }
        let first = lengths[0];
        let further = lengths.get(1).map_or(0, |second| second - first);
        let capacity = 1 + (limit - first).checked_div(further).unwrap_or(0);
        Self {
            capacity: capacity as f64,
            first: (first + name.len()) as f64,
            further: further as f64,
        }
    }
}

/// What the identity adds to a plain record.
fn identity_bytes() -> f64 {
    let sensor = Sensor::new("a", "b").into();
    let reading = Reading::new(sensor, Timestamp::default(), Value::Scalar(0.0)).expect("zero is a number");
    let length = |identity| {
        let mut bytes = Vec::new();
        json::encode(&reading, identity, &mut bytes);
        bytes.len()
    };
    (length(Some(IDENTITY)) - length(None)) as f64
}

pub(super) fn assumptions(plan: &Plan) -> Vec<String> {
    let packing = Packing::of(plan);
    vec![
        format!(
            "{} sensors spread evenly over {} lanes; a record takes up to {} readings of {} bytes and lingers {} ms \
             (--sensors, --lanes, --linger)",
            grouped(plan.sensors, 0),
            plan.lanes,
            packing.capacity,
            plan.size,
            plan.linger_ms
        ),
        "readings come steadily: no shard is held ready for peaks, but a stream on demand has four shards, and twice what \
         is needed"
            .to_owned(),
    ]
}
