//! A record as the spool stores it: its bytes compressed where that makes them fewer.

use delivery::record::Record;
use zstd::bulk::Compressor;

use super::footprint::cost;

/// The last level that searches hash chains. Of 140 bytes of a reading in a full record it leaves 8 to 13, level 1 leaves
/// 10 to 16; above it zstd is slower than the disk and saves little.
const LEVEL: i32 = 9;
/// What is smaller repeats too little to pay for its compression.
const LEAST_BYTES: usize = 256;

/// A record and the bytes that are stored of it.
#[derive(Debug)]
pub(super) struct Packed {
    pub record: Record,
    /// `None` where the record's data is stored as it is.
    pub compressed: Option<Vec<u8>>,
}

/// Compresses records one at a time, so that each row can be salvaged alone; keeps its tables between them.
pub(super) struct Packer(Compressor<'static>);

impl Packed {
    /// What the column `data` holds.
    pub fn stored(&self) -> &[u8] {
        self.compressed.as_deref().unwrap_or(&self.record.data)
    }

    /// What the column `raw_bytes` holds: the size of the data where it is compressed, else 0.
    pub fn raw_bytes(&self) -> u32 {
        // The largest record of a stream is 10 MiB.
        self.compressed.as_ref().map_or(0, |_| self.record.data.len() as u32)
    }

    /// The bytes it counts against the spool's limit.
    pub fn cost(&self) -> u64 {
        cost(self.stored().len() as u64, self.record.lane.name.len() as u64)
    }
}

impl Packer {
    pub fn new() -> Self {
        Self(Compressor::new(LEVEL).expect("zstd has this level"))
    }

    pub fn pack(&mut self, record: Record) -> Packed {
        let compressed = (record.data.len() >= LEAST_BYTES)
            .then(|| self.0.compress(&record.data).ok())
            .flatten()
            .filter(|compressed| compressed.len() < record.data.len());
        Packed { record, compressed }
    }
}

/// The bytes of a record from what the columns `data` and `raw_bytes` hold; `None` where they do not fit together.
pub(super) fn unpack(stored: &[u8], raw_bytes: u32) -> Option<Vec<u8>> {
    let data = zstd::bulk::decompress(stored, raw_bytes as usize).ok()?;
    (data.len() == raw_bytes as usize).then_some(data)
}
