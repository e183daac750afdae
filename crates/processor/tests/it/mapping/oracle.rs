//! What should come of a stream: every reading folded once, in order, partition by partition, without batches and
//! without faults.

use std::collections::{BTreeMap, BTreeSet};

use detect::{Event, Journal, Partition, Settings};
use wire::Identity;

use super::stream::{Record, Truth};

#[derive(Debug, Default)]
pub struct Oracle {
    pub partitions: BTreeMap<String, Partition>,
    /// Of each partition, in order; partitions without events are not there.
    pub events: BTreeMap<String, Vec<Event>>,
    /// Readings that move their partition.
    pub fresh: u64,
}

/// Folds a stream. A record of ours counts the first time its identity is seen.
pub fn fold(shards: &[Vec<Record>], settings: &Settings) -> Oracle {
    let mut oracle = Oracle::default();
    let mut seen: BTreeSet<(String, Identity)> = BTreeSet::new();
    let mut last: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for record in shards.iter().flatten() {
        match &record.truth {
            Truth::Own(identity, readings) => {
                let key = record.partition_key.clone();
                if !seen.insert((key.clone(), *identity)) {
                    continue;
                }
                let number = last.entry((key.clone(), identity.producer.0)).or_default();
                assert!(identity.number > *number, "lanes are in order");
                *number = identity.number;
                let partition = oracle.partitions.entry(key.clone()).or_default();
                partition.advance(*identity, record.arrival, &mut Journal::new());
                for reading in readings {
                    oracle.reading(&key, reading, settings);
                }
            }
            Truth::Foreign(readings) => {
                for reading in readings {
                    oracle.reading(&format!("series/{}", reading.sensor().id()), reading, settings);
                }
            }
            Truth::DecodeFailures => {}
        }
    }
    oracle.events.retain(|_, events| !events.is_empty());
    oracle
}

impl Oracle {
    fn reading(&mut self, partition: &str, reading: &wire::Reading, settings: &Settings) {
        let events = self.events.entry(partition.to_owned()).or_default();
        let partition = self.partitions.entry(partition.to_owned()).or_default();
        let folded = partition.fold(reading, settings, &mut Journal::new(), events);
        self.fresh += u64::from(folded.disposition == detect::Disposition::Fresh);
    }
}
