//! Many readings of one lane in one Kinesis record, in the format of the Kinesis Producer Library, exact to the byte:
//! <https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md>. Knows nothing of readings:
//! user records are bytes.
//!
//! A record is the magic number, a protobuf message and the MD5 of that message:
//!
//! ```text
//! message AggregatedRecord { repeated string partition_key_table = 1;
//!                            repeated string explicit_hash_key_table = 2;
//!                            repeated Record records = 3; }
//! message Record           { required uint64 partition_key_index = 1;
//!                            optional uint64 explicit_hash_key_index = 2;
//!                            required bytes data = 3;
//!                            repeated Tag tags = 4; }
//! message Tag              { required string key = 1; optional string value = 2; }
//! ```

mod deaggregate;
mod protobuf;

use md5::{Digest, Md5};

pub use deaggregate::{AggregateError, Deaggregated, Tags, UserRecord, UserRecordError, deaggregate};

use crate::Identity;

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const DIGEST_BYTES: usize = 16;
const PARTITION_KEYS: u64 = 1;
const EXPLICIT_HASH_KEYS: u64 = 2;
const RECORDS: u64 = 3;
const DATA: u64 = 3;
const TAGS: u64 = 4;
const TAG_KEY: u64 = 1;
const TAG_VALUE: u64 = 2;
const PRODUCER: &str = "producer";
const NUMBER: &str = "number";

/// Partition key 0 and explicit hash key 0: there is one of each.
const KEY_INDICES: [u8; 4] = [0x08, 0, 0x10, 0];

/// A Kinesis record being packed. All its user records share one partition key and one explicit hash key.
#[derive(Debug)]
pub struct Aggregate {
    bytes: Vec<u8>,
    limit_bytes: usize,
    identity: Identity,
    count: u32,
}

/// The user record does not fit into what is left of an aggregate's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user record of {data_bytes} bytes does not fit into the {free_bytes} bytes left: seal the aggregate first")]
pub struct Full {
    /// The size of what was refused.
    pub data_bytes: usize,
    /// What was left for user records, with their framing.
    pub free_bytes: usize,
}

impl Aggregate {
    /// An empty one, whose sealed bytes will number at most `limit_bytes`. `identity` goes into its first user record.
    pub fn new(partition_key: &str, explicit_hash_key: u128, limit_bytes: usize, identity: Identity) -> Self {
        let mut bytes = Vec::from(MAGIC);
        protobuf::put_bytes(PARTITION_KEYS, partition_key.as_bytes(), &mut bytes);
        let hash_key = itoa::Buffer::new().format(explicit_hash_key).len();
        protobuf::open_bytes(EXPLICIT_HASH_KEYS, hash_key, &mut bytes);
        bytes.extend_from_slice(itoa::Buffer::new().format(explicit_hash_key).as_bytes());
        Self {
            bytes,
            limit_bytes,
            identity,
            count: 0,
        }
    }

    /// Has room for so many sealed bytes, as far as its limit allows, so that it need not grow on the way there.
    pub fn reserve(&mut self, bytes: usize) {
        let room = bytes.min(self.limit_bytes).saturating_sub(self.bytes.len());
        self.bytes.reserve_exact(room);
    }

    /// True where a user record of so many bytes can be pushed.
    pub fn fits(&self, data_len: usize) -> bool {
        self.len()
            .saturating_add(protobuf::bytes_len(self.record_len(data_len)))
            <= self.limit_bytes
    }

    /// Takes a user record; refuses it, unchanged, where the sealed bytes would pass the limit.
    pub fn push(&mut self, data: &[u8]) -> Result<(), Full> {
        if !self.fits(data.len()) {
            return Err(Full {
                data_bytes: data.len(),
                free_bytes: self.limit_bytes.saturating_sub(self.len()),
            });
        }
        protobuf::open_bytes(RECORDS, self.record_len(data.len()), &mut self.bytes);
        self.bytes.extend_from_slice(&KEY_INDICES);
        protobuf::put_bytes(DATA, data, &mut self.bytes);
        if self.count == 0 {
            let number = self.identity.number;
            tag(PRODUCER, &self.identity.producer.digits(), &mut self.bytes);
            tag(NUMBER, itoa::Buffer::new().format(number).as_bytes(), &mut self.bytes);
        }
        self.count += 1;
        Ok(())
    }

    /// The bytes it would have if it were sealed now.
    #[expect(clippy::len_without_is_empty, reason = "even without user records it has bytes")]
    pub fn len(&self) -> usize {
        self.bytes.len() + DIGEST_BYTES
    }

    /// The user records in it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The bytes Kinesis gets.
    pub fn seal(mut self) -> Vec<u8> {
        let digest = Md5::digest(&self.bytes[MAGIC.len()..]);
        self.bytes.reserve_exact(DIGEST_BYTES);
        self.bytes.extend_from_slice(&digest);
        self.bytes
    }

    /// The bytes of the next user record's message.
    fn record_len(&self, data_len: usize) -> usize {
        let tags = if self.count == 0 {
            let number = itoa::Buffer::new().format(self.identity.number).len();
            tag_len(PRODUCER, 16) + tag_len(NUMBER, number)
        } else {
            0
        };
        protobuf::bytes_len(data_len).saturating_add(KEY_INDICES.len() + tags)
    }
}

fn tag(key: &str, value: &[u8], out: &mut Vec<u8>) {
    let content = protobuf::bytes_len(key.len()) + protobuf::bytes_len(value.len());
    protobuf::open_bytes(TAGS, content, out);
    protobuf::put_bytes(TAG_KEY, key.as_bytes(), out);
    protobuf::put_bytes(TAG_VALUE, value, out);
}

fn tag_len(key: &str, value: usize) -> usize {
    protobuf::bytes_len(protobuf::bytes_len(key.len()) + protobuf::bytes_len(value))
}
