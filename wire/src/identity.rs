//! Who packed a record, and its number under that producer.

use std::fmt;

/// Drawn at random by each start of a daemon. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub u64);

/// What tells a record that is sent again from a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The start of a daemon that packed the record.
    pub producer: ProducerId,
    /// Counts the records of one lane under that producer, from 1.
    pub number: u64,
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
