//! Many readings in one text: one object, an array of objects, or an object a line. All of them are taken, or none.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{DecodeError, Decoder};
use crate::Reading;

/// How a text holds its readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One object, or an array of objects.
    Document,
    /// An object a line; empty lines do not count.
    Lines,
    /// What the text looks like.
    Any,
}

/// How much a text may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// How many readings.
    pub readings: usize,
    /// How many bytes of JSON a reading.
    pub reading_bytes: usize,
}

/// Where in its text a reading stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole text.
    Whole,
    /// In an array, counted from 0.
    Index(usize),
    /// In lines, counted from 1; empty ones count too.
    Line(usize),
}

/// A reading that is none, and where.
#[derive(Debug)]
pub struct Misread {
    /// Where.
    pub place: Place,
    /// Why.
    pub error: DecodeError,
}

/// Why no reading of a text was taken.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// It holds none.
    #[error("there is no reading in it: send an object, an array of objects, or an object a line")]
    Empty,
    /// It is no text.
    #[error("it is not UTF-8 from byte {0} on: send UTF-8")]
    NotUtf8(usize),
    /// The array itself is not JSON.
    #[error("it is not well-formed: {0}: send an array of objects, or an object a line as application/x-ndjson")]
    Malformed(serde_json::Error),
    /// It holds more than it may.
    #[error("there are more than {limit} readings in it: send at most {limit} at once")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// A reading takes more bytes than it may.
    #[error("{place} takes {bytes} bytes, and a reading may take {limit}: send less of it")]
    TooLarge {
        /// Which.
        place: Place,
        /// What it takes.
        bytes: usize,
        /// What it may take.
        limit: usize,
    },
    /// Some are no readings.
    #[error("{}", told(.first, *.more))]
    Wrong {
        /// The first of them, at most [`TOLD`].
        first: Vec<Misread>,
        /// How many follow.
        more: usize,
    },
}

/// So many wrong readings of a text are told.
pub const TOLD: usize = 10;

/// Reads all readings of `text`, in their order.
pub fn decode_batch(
    decoder: &mut Decoder,
    text: &[u8],
    layout: Layout,
    limits: BatchLimits,
) -> Result<Vec<Reading>, BatchError> {
    let mut gathered = Gathered {
        decoder,
        limits,
        seen: 0,
        readings: Vec::new(),
        first: Vec::new(),
        more: 0,
    };
    let lines = match layout {
        Layout::Lines => true,
        Layout::Document => false,
        Layout::Any => are_lines(text),
    };
    if lines {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if !line.is_empty() {
                gathered.add(Place::Line(index + 1), line)?;
            }
        }
    } else if text.trim_ascii_start().starts_with(b"[") {
        gathered.add_array(text)?;
    } else if !text.trim_ascii().is_empty() {
        gathered.add(Place::Whole, text.trim_ascii())?;
    }
    gathered.end()
}

/// Lines are told from an object that is spread over several by the first of them, which is an object by itself.
fn are_lines(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.len() < text.len() && first.starts_with(b"{") && serde_json::from_slice::<&RawValue>(first).is_ok()
}

fn told(first: &[Misread], more: usize) -> String {
    let mut told: Vec<_> = first.iter().map(Misread::to_string).collect();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join("\n")
}

struct Gathered<'d> {
    decoder: &'d mut Decoder,
    limits: BatchLimits,
    seen: usize,
    readings: Vec<Reading>,
    first: Vec<Misread>,
    more: usize,
}

impl Gathered<'_> {
    /// An error ends the whole; a reading that is none is noted, so that several are told at once.
    fn add(&mut self, place: Place, json: &[u8]) -> Result<(), BatchError> {
        let limits = self.limits;
        if self.seen == limits.readings {
            return Err(BatchError::TooMany { limit: limits.readings });
        }
        if json.len() > limits.reading_bytes {
            return Err(BatchError::TooLarge {
                place,
                bytes: json.len(),
                limit: limits.reading_bytes,
            });
        }
        self.seen += 1;
        match self.decoder.decode(json) {
            Ok(decoded) if self.first.is_empty() => self.readings.push(decoded.reading),
            // Nothing of it is taken any more.
            Ok(_) => {}
            Err(error) if self.first.len() < TOLD => self.first.push(Misread { place, error }),
            Err(_) => self.more += 1,
        }
        Ok(())
    }

    fn add_array(&mut self, text: &[u8]) -> Result<(), BatchError> {
        let text = std::str::from_utf8(text).map_err(|error| BatchError::NotUtf8(error.valid_up_to()))?;
        let mut ended = None;
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json.deserialize_seq(Elements {
            gathered: self,
            ended: &mut ended,
        });
        let read = read.and_then(|()| json.end());
        match ended {
            Some(error) => Err(error),
            None => read.map_err(BatchError::Malformed),
        }
    }

    fn end(self) -> Result<Vec<Reading>, BatchError> {
        match (self.first.is_empty(), self.readings.is_empty()) {
            (true, true) => Err(BatchError::Empty),
            (true, false) => Ok(self.readings),
            (false, _) => Err(BatchError::Wrong {
                first: self.first,
                more: self.more,
            }),
        }
    }
}

/// Hands each element of an array on as it comes, so that an array that is too long is not read to its end.
struct Elements<'g, 'd> {
    gathered: &'g mut Gathered<'d>,
    /// Why it was not read to its end.
    ended: &'g mut Option<BatchError>,
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of readings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(element) = elements.next_element::<&'de RawValue>()? {
            if let Err(error) = self.gathered.add(Place::Index(index), element.get().as_bytes()) {
                *self.ended = Some(error);
                return Err(A::Error::custom("ended early"));
            }
            index += 1;
        }
        Ok(())
    }
}

impl BatchError {
    /// True where it is one of the limits that was passed, not what the text says.
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::TooMany { .. } | Self::TooLarge { .. })
    }
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Whole => write!(f, "{}", self.error),
            place => write!(f, "{place}: {}", self.error),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the reading"),
            Self::Index(index) => write!(f, "reading [{index}]"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}
