//! What a handler did, for metrics.

use std::collections::BTreeMap;

/// What a handler did. A reading counts once all entries of its partition are appended: what fails is not counted, and
/// what is delivered again counts as repeated. Nothing counts twice; where only some of the entries were appended,
/// their readings do not count at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings that moved their partition.
    pub readings: u64,
    /// Readings not newer than the last one of their sensor.
    pub late: u64,
    /// Readings that were not judged because their partition is full.
    pub refused: u64,
    /// Readings that are events: no numbers.
    pub events: u64,
    /// Readings derived from events.
    pub derived: u64,
    /// Records that their partition had folded before.
    pub repeated_records: u64,
    /// Readings, or whole records, that cannot be decoded, by reason.
    pub decode_failures: BTreeMap<&'static str, u64>,
    /// Readings that are anomalies.
    pub anomalies: u64,
    /// Transitions of incidents.
    pub transitions: u64,
    /// Entries appended.
    pub entries: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Partitions folded again because another invocation had moved them.
    pub conflicts: u64,
    /// Partitions that failed and will be tried again.
    pub failed_partitions: u64,
}

impl Counts {
    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        self.readings += other.readings;
        self.late += other.late;
        self.refused += other.refused;
        self.events += other.events;
        self.derived += other.derived;
        self.repeated_records += other.repeated_records;
        for (reason, count) in &other.decode_failures {
            *self.decode_failures.entry(reason).or_default() += count;
        }
        self.anomalies += other.anomalies;
        self.transitions += other.transitions;
        self.entries += other.entries;
        self.checkpoints += other.checkpoints;
        self.conflicts += other.conflicts;
        self.failed_partitions += other.failed_partitions;
    }
}
