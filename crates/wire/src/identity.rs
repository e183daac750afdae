//! Who packed a record, and its number under that producer.

use std::fmt;
use std::str::FromStr;

/// Drawn at random by each start of a daemon. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub u64);

/// What tells a record that is sent again from a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The start of a daemon that packed the record.
    pub producer: ProducerId,
    /// Rises from record to record of one lane under that producer. A lane that was forgotten and made anew leaves a gap.
    pub number: u64,
}

/// Text that is not the 16 lower-case hexadecimal digits of a producer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a producer id is 16 lower-case hexadecimal digits, such as 00000000075bcd15")]
pub struct NotAProducerId;

impl ProducerId {
    /// As it is written, in ASCII.
    pub fn digits(self) -> [u8; 16] {
        let mut shift = 64;
        [0; 16].map(|_: u8| {
            shift -= 4;
            b"0123456789abcdef"[(self.0 >> shift) as usize & 0xf]
        })
    }
}

impl Identity {
    /// The identity written in two texts, as a record carries it; `None` where they are not of our making.
    pub(crate) fn read(producer: &str, number: &str) -> Option<Self> {
        let canonical = !number.starts_with(['+', '0']);
        Some(Self {
            producer: producer.parse().ok()?,
            number: number.parse().ok().filter(|_| canonical)?,
        })
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ProducerId {
    type Err = NotAProducerId;

    fn from_str(text: &str) -> Result<Self, NotAProducerId> {
        let canonical = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match u64::from_str_radix(text, 16) {
            Ok(id) if canonical => Ok(Self(id)),
            _ => Err(NotAProducerId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_id_is_sixteen_digits() {
        for (id, text) in [
            (0, "0000000000000000"),
            (123_456_789, "00000000075bcd15"),
            (u64::MAX, "ffffffffffffffff"),
        ] {
            assert_eq!(ProducerId(id).to_string(), text);
            assert_eq!(ProducerId(id).digits(), text.as_bytes());
            assert_eq!(text.parse(), Ok(ProducerId(id)));
        }
        for text in [
            "",
            "75bcd15",
            "00000000075BCD15",
            "+0000000075bcd15",
            "00000000075bcd150",
            "00000000075bcd1g",
        ] {
            assert_eq!(text.parse::<ProducerId>(), Err(NotAProducerId), "{text}");
        }
    }

    #[test]
    fn an_identity_not_of_our_making_is_none() {
        let read = |number| Identity::read("00000000075bcd15", number).map(|identity| identity.number);
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("18446744073709551615"), Some(u64::MAX));
        for number in ["", "0", "07", "+7", "-7", "7.0", "18446744073709551616"] {
            assert_eq!(read(number), None, "{number}");
        }
        assert_eq!(Identity::read("acme", "7"), None);
    }
}
