//! A record as the spool stores it: compressed if that makes it smaller.

use delivery::record::Record;
use zstd::bulk::Compressor;

use super::footprint::cost;

/// The last level that searches hash chains. It leaves 8 to 13 of a reading's 140 bytes in a full record; level 1
/// leaves 10 to 16. Higher levels are slower than the disk and save little.
const LEVEL: i32 = 9;
/// Smaller data repeats too little to be worth compressing.
const LEAST_BYTES: usize = 256;

/// A record and the bytes stored for it.
#[derive(Debug)]
pub(super) struct Packed {
    pub record: Record,
    /// `None` if the record's data is stored uncompressed.
    pub compressed: Option<Vec<u8>>,
}

/// Compresses records one at a time, so that each row can be salvaged alone. Reuses its tables between records.
pub(super) struct Packer(Compressor<'static>);

impl Packed {
    /// The content of the column `data`.
    pub fn stored(&self) -> &[u8] {
        self.compressed.as_deref().unwrap_or(&self.record.data)
    }

    /// The content of the column `raw_bytes`: the uncompressed size of compressed data, else 0.
    pub fn raw_bytes(&self) -> u32 {
        // The largest record of a stream is 10 MiB.
        self.compressed.as_ref().map_or(0, |_| self.record.data.len() as u32)
    }

    /// The size that counts against the spool's limit.
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

/// The data of a record from the columns `data` and `raw_bytes`; `None` if they do not match.
pub(super) fn unpack(stored: &[u8], raw_bytes: u32) -> Option<Vec<u8>> {
    let data = zstd::bulk::decompress(stored, raw_bytes as usize).ok()?;
    (data.len() == raw_bytes as usize).then_some(data)
}
