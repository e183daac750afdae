//! Packets cut out of the bytes of a connection, in bounded memory: of a message that is too large only the beginning is kept.

/// The first four bits of a PUBLISH.
const PUBLISH: u8 = 3;

/// Bytes that came and are not yet taken.
#[derive(Debug)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// Where what is not taken begins.
    start: usize,
    /// So many bytes of what follows belong to a message that is too large.
    skip: usize,
    max_bytes: usize,
}

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A whole one.
    Packet {
        /// Its type and flags.
        first: u8,
        /// All behind its length.
        body: &'a [u8],
    },
    /// A message that is larger than one may be; its payload is passed over.
    TooLarge {
        topic: String,
        /// What it is acknowledged by, where it is.
        id: Option<u16>,
        bytes: usize,
    },
}

/// Bytes that are no MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotMqtt(pub &'static str);

impl Frames {
    /// For messages of at most `max_bytes` of topic and payload.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            skip: 0,
            max_bytes,
        }
    }

    /// From the next packet on messages may have so many bytes.
    pub fn limit(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Takes what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(&bytes[skipped..]);
    }

    /// The next packet, where it is whole.
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, NotMqtt> {
        let bytes = &self.bytes[self.start..];
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let Some((length, digits)) = length(rest)? else {
            return Ok(None);
        };
        let header = 1 + digits;
        if length <= self.max_bytes {
            let end = self.start + header + length;
            if self.bytes.len() < end {
                return Ok(None);
            }
            let begin = std::mem::replace(&mut self.start, end) + header;
            return Ok(Some(Frame::Packet {
                first,
                body: &self.bytes[begin..end],
            }));
        }
        if first >> 4 != PUBLISH {
            return Err(NotMqtt("it sent a packet that is larger than any but a message may be"));
        }
        let Some((topic, id, taken)) = beginning(first, &bytes[header..])? else {
            return Ok(None);
        };
        if taken > length {
            return Err(NotMqtt("it sent a message whose topic is longer than the message"));
        }
        let here = bytes.len().min(header + length);
        self.start += here;
        self.skip = header + length - here;
        Ok(Some(Frame::TooLarge {
            topic,
            id,
            bytes: length,
        }))
    }
}

/// The length of what follows, and how many bytes tell it.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, NotMqtt> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((length, index + 1)));
        }
    }
    match bytes.len() {
        0..4 => Ok(None),
        _ => Err(NotMqtt("it sent a packet whose length has more than four bytes")),
    }
}

/// The topic of a message, what it is acknowledged by, and how many bytes tell both.
fn beginning(first: u8, body: &[u8]) -> Result<Option<(String, Option<u16>, usize)>, NotMqtt> {
    let number = |at: usize| Some(u16::from_be_bytes(*body.get(at..)?.first_chunk()?));
    let Some(topic_bytes) = number(0) else {
        return Ok(None);
    };
    let end = 2 + usize::from(topic_bytes);
    let Some(topic) = body.get(2..end) else {
        return Ok(None);
    };
    let topic = str::from_utf8(topic).map_err(|_| NotMqtt("it sent a topic that is not UTF-8"))?;
    match first >> 1 & 3 {
        0 => Ok(Some((topic.into(), None, end))),
        _ => Ok(number(end).map(|id| (topic.into(), Some(id), end + 2))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn publish(topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
        let mut body = (topic.len() as u16).to_be_bytes().to_vec();
        body.extend_from_slice(topic.as_bytes());
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(payload);
        let mut packet = vec![0x32];
        let mut length = body.len();
        while length > 0x7f {
            packet.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        packet.push(length as u8);
        packet.extend(body);
        packet
    }

    /// What comes of these bytes, fed in pieces of this size.
    fn frames(bytes: &[u8], piece: usize, max_bytes: usize) -> Vec<String> {
        let mut frames = Frames::new(max_bytes);
        let mut found = Vec::new();
        for piece in bytes.chunks(piece) {
            frames.feed(piece);
            while let Some(frame) = frames.next().unwrap() {
                found.push(format!("{frame:?}"));
            }
            assert!(frames.bytes.len() - frames.start <= max_bytes + 65_600 + piece.len());
        }
        found
    }

    #[test]
    fn a_message_that_is_too_large_is_passed_over_and_the_next_is_found() {
        let mut bytes = publish("a/b", 7, &[b'x'; 70_000]);
        bytes.extend(publish("c", 8, b"21.5"));
        bytes.extend([0xd0, 0]);
        for piece in [1, 1_000, bytes.len()] {
            let found = frames(&bytes, piece, 1_000);
            assert_eq!(found.len(), 3, "{found:?}");
            assert_eq!(found[0], "TooLarge { topic: \"a/b\", id: Some(7), bytes: 70007 }");
            assert!(
                found[1].starts_with("Packet { first: 50") && found[2].contains("208"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_is_no_mqtt_is_refused() {
        for bytes in [
            &[0x30, 0xff, 0xff, 0xff, 0xff][..],
            &[0x20, 0xff, 0xff, 0xff, 0x7f],
            &[0x30, 0xff, 0x7f, 0, 1, 0xff],
        ] {
            let mut frames = Frames::new(1_000);
            frames.feed(bytes);
            assert!(frames.next().is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn packets_are_the_same_however_they_come_in(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..8),
            piece in 1_usize..400,
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| publish("t", 1, payload)).collect();
            let whole = frames(&bytes, bytes.len(), 200);
            prop_assert_eq!(whole.len(), payloads.len());
            prop_assert_eq!(frames(&bytes, piece, 200), whole);
        }
    }
}
