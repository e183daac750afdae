//! How much a handler does before it writes, and how much it keeps in memory.

use detect::{SENSOR_BYTES, Settings};

use crate::partition::{Growth, MAX_ENTRIES};

/// Memory of the function where nothing else is set, in MiB.
const FUNCTION_MEBIBYTES: usize = 256;

/// How much a handler does before it writes, and how much it keeps in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An entry is closed after the record that brings it to this many bytes. DynamoDB takes items of 400 KB, which
    /// leaves 100 KB for that record: four times the size of the records our daemon packs.
    pub entry_bytes: usize,
    /// A checkpoint is written once the entries since the last one cost this many times as much, in bytes rounded up to
    /// [`UNIT_BYTES`](crate::partition::UNIT_BYTES) each. With a ratio of 4 checkpoints add a quarter to what is
    /// written.
    pub checkpoint_ratio: usize,
    /// No checkpoint before this many entries,
    pub checkpoint_entries: usize,
    /// and at the latest after this many bytes of journal, which a cold start has to read and fold.
    pub checkpoint_bytes: usize,
    /// The most entries after a checkpoint. From half of it on, a partition is not folded before a checkpoint is
    /// written.
    pub max_entries: usize,
    /// Memory for warm partitions, in bytes.
    pub warm_bytes: usize,
    /// Memory for the partitions that are folded together, in bytes: further partitions of an invocation wait until
    /// these are appended. One partition is folded however large it is.
    pub open_bytes: usize,
    /// How often a partition is folded again after a conflict before it fails.
    pub tries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self::within(FUNCTION_MEBIBYTES)
    }
}

impl Limits {
    /// For a process with this much memory: an eighth of it for warm partitions, three sixteenths for those being
    /// folded. The rest is for the program, the records, and a checkpoint while it is read or written.
    pub fn within(mebibytes: usize) -> Self {
        Self {
            entry_bytes: 300_000,
            checkpoint_ratio: 4,
            checkpoint_entries: 64,
            checkpoint_bytes: 4 * 1024 * 1024,
            max_entries: MAX_ENTRIES,
            warm_bytes: (mebibytes << 20) / 8,
            open_bytes: (mebibytes << 20) / 16 * 3,
            tries: 5,
        }
    }

    /// The weight above which a stored partition is refused rather than read. What `settings` permit is always read.
    pub fn most_weight(&self, settings: &Settings) -> u64 {
        let permitted = 2 * u64::from(settings.max_sensors_per_partition.get());
        permitted.max((self.open_bytes / SENSOR_BYTES) as u64)
    }

    /// True if a checkpoint is worth its cost.
    pub(super) fn wants_checkpoint(&self, growth: &Growth) -> bool {
        let paid = growth.written_bytes >= growth.checkpoint_bytes.saturating_mul(self.checkpoint_ratio);
        paid && growth.entries >= self.checkpoint_entries || growth.journal_bytes >= self.checkpoint_bytes
    }
}
