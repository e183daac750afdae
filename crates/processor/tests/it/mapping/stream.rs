//! Streams as our daemons and others fill them: ordered lanes, records sent twice, late readings, decode failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use processor::KinesisRecord;
use wire::aggregate::Aggregate;
use wire::{Bounds, Fields, Identity, LaneName, ProducerId, Reading, Sensor, Timestamp, Value, json};

use super::random::Random;

/// Lanes of the daemons.
const LANES: u32 = 4;

/// What a shard holds.
#[derive(Clone, Debug)]
pub struct Record {
    pub shard: &'static str,
    pub sequence: u128,
    pub partition_key: String,
    pub arrival: Timestamp,
    pub data: Arc<[u8]>,
    /// What is in it, for the oracle: which never looks into `data`.
    pub truth: Truth,
}

impl Record {
    /// As the event source hands it over.
    pub fn event(&self) -> KinesisRecord<'_> {
        KinesisRecord {
            shard: self.shard,
            sequence: self.sequence.into(),
            partition_key: &self.partition_key,
            arrival: self.arrival,
            data: &self.data,
        }
    }
}

#[derive(Clone, Debug)]
pub enum Truth {
    /// Of one of our daemons.
    Own(Identity, Vec<Reading>),
    /// Of others.
    Foreign(Vec<Reading>),
    /// Cannot be read at all.
    DecodeFailures,
}

/// Draws a stream of so many records by shard: one, which is split half way where `split`, parent first.
pub fn draw(random: &mut Random, records: usize, split: bool) -> Vec<Vec<Record>> {
    let mut drawing = Drawing {
        random,
        numbers: BTreeMap::new(),
        clocks: BTreeMap::new(),
    };
    let mut sent: Vec<Record> = Vec::new();
    let mut shards = vec![Vec::new()];
    for sequence in 0..records {
        if split && sequence == records / 2 {
            shards.push(Vec::new());
            shards.push(Vec::new());
        }
        let mut record = match sent.last() {
            // The reply was lost, so the daemon has sent it again; now and then an old one turns up late.
            Some(last) if drawing.random.percent(10) && matches!(last.truth, Truth::Own(..)) => last.clone(),
            Some(_) if drawing.random.percent(5) => {
                let old = drawing.random.below(sent.len());
                sent[old].clone()
            }
            _ => drawing.record(),
        };
        record.sequence = 1_000 + sequence as u128;
        record.arrival = at(sequence as i64 * 1_000_000);
        let place = match shards.len() {
            1 => 0,
            _ => 1 + record.partition_key.bytes().map(usize::from).sum::<usize>() % 2,
        };
        record.shard = ["parent", "left", "right"][place];
        sent.push(record.clone());
        shards[place].push(record);
    }
    shards
}

struct Drawing<'a> {
    random: &'a mut Random,
    /// The last number of each producer in each lane.
    numbers: BTreeMap<(u64, u32), u64>,
    /// The last time of each sensor, in seconds.
    clocks: BTreeMap<String, i64>,
}

impl Drawing<'_> {
    fn record(&mut self) -> Record {
        match self.random.below(10) {
            0 => self.garbage(),
            1 | 2 => self.foreign(),
            3 => self.plain(),
            _ => self.aggregate(),
        }
    }

    /// Many readings of one lane, now and then with garbage between them.
    fn aggregate(&mut self) -> Record {
        let lane = self.random.below(LANES as usize) as u32;
        let name = LaneName::of(u128::from(lane) << 126, LANES);
        let identity = self.identity(lane);
        let key = name.to_string();
        let mut aggregate = Aggregate::new(&key, *name.slice().start(), 25_600, identity);
        let mut readings = Vec::new();
        for _ in 0..1 + self.random.below(8) {
            if self.random.percent(4) {
                let garbage: [&[u8]; 4] = [b"", b"\xff\xfe", b"{\"sensor\":1}", b"[1,2,3]"];
                aggregate.push(garbage[self.random.below(4)]).unwrap();
                continue;
            }
            let sensor = format!("lane{lane}-{}", self.random.below(3));
            let reading = match self.random.percent(8) {
                true => self.event(&format!("lane{lane}-site")),
                false => self.reading(&sensor),
            };
            let mut bytes = Vec::new();
            json::encode(&reading, None, &mut bytes);
            aggregate.push(&bytes).unwrap();
            readings.push(reading);
        }
        record(&key, aggregate.seal(), Truth::Own(identity, readings))
    }

    /// One reading of ours by itself, as for consumers that cannot unpack.
    fn plain(&mut self) -> Record {
        let index = self.random.below(2) as u32;
        let sensor = format!("plain-{index}");
        let identity = self.identity(100 + index);
        let reading = self.reading(&sensor);
        let mut bytes = Vec::new();
        json::encode(&reading, Some(identity), &mut bytes);
        record(&sensor, bytes, Truth::Own(identity, vec![reading]))
    }

    /// One reading that a device has put by itself.
    fn foreign(&mut self) -> Record {
        let sensor = format!("device-{}", self.random.below(2));
        let reading = self.reading(&sensor);
        let mut bytes = Vec::new();
        json::encode(&reading, None, &mut bytes);
        record(&sensor, bytes, Truth::Foreign(vec![reading]))
    }

    fn garbage(&mut self) -> Record {
        let mut aggregate = Aggregate::new(
            "k",
            0,
            25_600,
            Identity {
                producer: ProducerId(1),
                number: 1,
            },
        );
        aggregate.push(b"{}").unwrap();
        let mut broken = aggregate.seal();
        let last = broken.len() - 1;
        broken[last] ^= 1;
        let garbage = [b"not json".to_vec(), broken, Vec::new(), b"{\"sensor\":\"x\"}".to_vec()];
        let which = self.random.below(4);
        record("garbage", garbage[which].clone(), Truth::DecodeFailures)
    }

    fn identity(&mut self, lane: u32) -> Identity {
        let producer = 7 + self.random.below(2) as u64;
        let number = self.numbers.entry((producer, lane)).or_default();
        *number += 1;
        Identity {
            producer: ProducerId(producer),
            number: *number,
        }
    }

    /// Now and then within the second of the last, out of order, or too late.
    fn event(&mut self, sensor: &str) -> Reading {
        let clock = self.clocks.entry(sensor.to_owned()).or_insert(100);
        *clock += self.random.below(3) as i64;
        let time = *clock
            - if self.random.percent(8) {
                self.random.below(12) as i64
            } else {
                0
            };
        let action = ["Click", "Impression", "Impression"][self.random.below(3)];
        let fields = Fields::parse(&format!("{{\"action\":\"{action}\"}}")).unwrap();
        let sensor = Arc::new(Sensor::new(sensor, "clickstream"));
        Reading::new(sensor, at(time * 1_000_000), Value::Event(fields)).unwrap()
    }

    /// Mostly within bounds and one second after the last; now and then out of them, late, or after a pause.
    fn reading(&mut self, sensor: &str) -> Reading {
        let bounds = Bounds {
            lowest: 0.0,
            highest: 10.0,
        };
        let described = Sensor::new(sensor, "temperature").with_bounds(bounds);
        let clock = self.clocks.entry(sensor.to_owned()).or_insert(100);
        *clock += if self.random.percent(8) { 40 } else { 1 };
        let time = if self.random.percent(6) { *clock - 5 } else { *clock };
        let value = match self.random.below(10) {
            0 => 50.0 + self.random.below(200) as f64,
            1 => -30.0,
            _ => 4.0 + self.random.below(300) as f64 / 100.0,
        };
        Reading::new(Arc::new(described), at(time * 1_000_000), Value::Scalar(value)).unwrap()
    }
}

fn record(partition_key: &str, data: Vec<u8>, truth: Truth) -> Record {
    Record {
        shard: "",
        sequence: 0,
        partition_key: partition_key.to_owned(),
        arrival: at(0),
        data: data.into(),
        truth,
    }
}

/// So many microseconds after midnight of 1 May 2024.
pub fn at(micros: i64) -> Timestamp {
    let midnight: Timestamp = "2024-05-01 00:00:00".parse().unwrap();
    midnight.saturating_add_micros(micros)
}
