//! The lines of a file or pipe with their positions, in bounded memory.

use std::io::{self, BufRead, BufReader, Read};

use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

/// A reading's line has some hundred bytes; a line longer than this is not a reading and is not kept in memory.
const MAX_LINE_BYTES: usize = 1 << 20;
const BUFFER_BYTES: usize = 64 << 10;

/// A position between two lines, with a digest of everything before it, by which the same file is recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Bytes before it.
    pub bytes: u64,
    /// Lines before it: the number of the line that ends here.
    pub line: u64,
    /// CRC-32 of the bytes before it.
    pub crc: u32,
}

/// The current line of a [`Lines`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its text, without its line end.
    Text(&'a [u8]),
    /// It exceeds the limit and was skipped.
    TooLong,
}

pub(super) struct Lines<R> {
    reader: BufReader<R>,
    text: Vec<u8>,
    digest: Hasher,
    bytes: u64,
    line: u64,
}

impl<R: Read> Lines<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, reader),
            text: Vec::new(),
            digest: Hasher::new(),
            bytes: 0,
            line: 0,
        }
    }

    /// Returns the next line, with or without a line end; `None` after the last.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.text.clear();
        let start = self.bytes;
        let mut too_long = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            if taken == 0 && self.bytes == start {
                return Ok(None);
            }
            self.digest.update(&buffer[..taken]);
            too_long |= self.text.len() + taken > MAX_LINE_BYTES;
            if !too_long {
                self.text.extend_from_slice(&buffer[..end.unwrap_or(taken)]);
            }
            self.reader.consume(taken);
            self.bytes += taken as u64;
            if end.is_some() || taken == 0 {
                break;
            }
        }
        self.line += 1;
        if too_long {
            self.text = Vec::new();
            return Ok(Some(Line::TooLong));
        }
        let text = self.text.strip_suffix(b"\r").unwrap_or(&self.text);
        // Some editors put a byte order mark before the first line.
        let text = match self.line {
            1 => text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text),
            _ => text,
        };
        Ok(Some(Line::Text(text)))
    }

    /// Returns the position after the line that was read last.
    pub fn position(&self) -> Position {
        Position {
            bytes: self.bytes,
            line: self.line,
            crc: self.digest.clone().finalize(),
        }
    }

    /// True if the next line is buffered, so that reading it does not wait.
    pub fn has_line(&self) -> bool {
        self.reader.buffer().contains(&b'\n')
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn texts(bytes: &[u8]) -> Vec<Option<String>> {
        let mut lines = Lines::new(bytes);
        let mut texts = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            texts.push(match line {
                Line::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                Line::TooLong => None,
            });
        }
        texts
    }

    #[test]
    fn lines_end_with_either_end_or_none() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            texts(b"\xEF\xBB\xBFa\r\nb\n\nc"),
            [some("a"), some("b"), some(""), some("c")]
        );
        assert_eq!(texts(b""), []);
        assert_eq!(texts(b"\n"), [some("")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_counted_as_one() {
        let mut bytes = vec![b'x'; MAX_LINE_BYTES + 1];
        bytes.extend_from_slice(b"\nnext\n");
        assert_eq!(texts(&bytes), [None, Some("next".into())]);
    }

    proptest! {
        #[test]
        fn positions_lead_to_the_end_and_digest_all_before_them(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300)) {
            let mut lines = Lines::new(&*bytes);
            let mut last = 0;
            while lines.next().unwrap().is_some() {
                let position = lines.position();
                prop_assert!(position.bytes > last);
                last = position.bytes;
                let before = &bytes[..last as usize];
                prop_assert_eq!(position.crc, crc32fast::hash(before));
                let ends = before.iter().filter(|byte| **byte == b'\n').count() as u64;
                prop_assert_eq!(position.line, ends + u64::from(!before.ends_with(b"\n")));
            }
            prop_assert_eq!(last, bytes.len() as u64);
        }
    }
}
