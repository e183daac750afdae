//! The readings of a file or pipe: JSON lines in either form, or CSV. The first line that is not empty decides which.

use std::io::Read;
use std::sync::Arc;

use tokio::sync::mpsc;
use wire::Reading;
use wire::json::Decoder;

use super::lines::{Line, Lines, Position};
use super::table::{Described, Table};
use super::{Malformed, SourceError};

/// The most readings handed over together.
pub(super) const BATCH: usize = 256;
/// Readings that take more memory than this are not read ahead with others: long vectors, large events.
const CHUNK_BYTES: usize = 256 << 10;
/// The characters of an unusable header shown in the error.
const SHOWN_CHARS: usize = 60;

/// Readings that were read together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The readings, each with the position after its line.
    pub readings: Vec<(Reading, Position)>,
    /// The position after the last line, which may be malformed.
    pub end: Position,
}

/// Reads readings and skips malformed lines.
pub(super) struct Readings<R> {
    lines: Lines<R>,
    format: Format,
    described: Described,
    file: Arc<str>,
    malformed: Arc<Malformed>,
}

enum Format {
    Unknown,
    Json(Decoder),
    Csv(Box<Table>),
}

/// The result of reading a line.
enum Found {
    Reading(Reading),
    Nothing,
    End,
}

impl<R: Read> Readings<R> {
    /// Reads `file`, which messages name. CSV describes sensors by `described`.
    pub fn new(reader: R, file: Arc<str>, described: Described, malformed: Arc<Malformed>) -> Self {
        Self {
            lines: Lines::new(reader),
            format: Format::Unknown,
            described,
            file,
            malformed,
        }
    }

    /// Skips everything before `position`. False if the file's bytes before it differ.
    pub fn skip_to(&mut self, position: Position) -> Result<bool, SourceError> {
        while self.lines.position().bytes < position.bytes {
            match self.lines.next().map_err(|error| failed(&self.file, error))? {
                None => return Ok(false),
                Some(Line::Text(text)) if matches!(self.format, Format::Unknown) && !text.trim_ascii().is_empty() => {
                    let format = format(text, &self.described);
                    let Some(format) = format else { return Ok(false) };
                    self.format = format;
                }
                Some(_) => {}
            }
        }
        Ok(self.lines.position() == position)
    }

    /// Sends chunks until the end of the file, or until the receiver is gone. Waits for input only with nothing to
    /// send.
    pub fn feed(mut self, chunks: &mpsc::Sender<Result<Chunk, SourceError>>) {
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        loop {
            let found = self.next();
            chunk.end = self.lines.position();
            let end = matches!(found, Ok(Found::End) | Err(_));
            if let Ok(Found::Reading(reading)) = found {
                bytes += reading.memory_bytes();
                chunk.readings.push((reading, chunk.end));
            } else if let Err(error) = found {
                let _ = chunks.blocking_send(Ok(chunk));
                let _ = chunks.blocking_send(Err(error));
                return;
            }
            let full = chunk.readings.len() == BATCH || bytes >= CHUNK_BYTES;
            if end || full || !self.lines.has_line() {
                bytes = 0;
                let chunk = std::mem::take(&mut chunk);
                if chunks.blocking_send(Ok(chunk)).is_err() || end {
                    return;
                }
            }
        }
    }

    fn next(&mut self) -> Result<Found, SourceError> {
        let text = match self.lines.next().map_err(|error| failed(&self.file, error))? {
            None => return Ok(Found::End),
            Some(Line::Text(text)) => text.trim_ascii(),
            Some(Line::TooLong) => {
                let line = self.lines.position().line;
                self.malformed.record(&self.file, line, "longer than a mebibyte");
                return Ok(Found::Nothing);
            }
        };
        if text.is_empty() {
            return Ok(Found::Nothing);
        }
        let reading = match &mut self.format {
            Format::Json(decoder) => decoder
                .decode(text)
                .map(|decoded| decoded.reading)
                .map_err(|error| error.to_string()),
            Format::Csv(table) => table.read(text),
            Format::Unknown => {
                let found: String = String::from_utf8_lossy(text).chars().take(SHOWN_CHARS).collect();
                match format(text, &self.described) {
                    None => {
                        return Err(SourceError::Header {
                            file: self.file.to_string(),
                            line: self.lines.position().line,
                            found,
                        });
                    }
                    Some(Format::Json(mut decoder)) => {
                        let first = decoder.decode(text).map(|decoded| decoded.reading);
                        self.format = Format::Json(decoder);
                        first.map_err(|error| error.to_string())
                    }
                    Some(format) => {
                        self.format = format;
                        return Ok(Found::Nothing);
                    }
                }
            }
        };
        match reading {
            Ok(reading) => Ok(Found::Reading(reading)),
            Err(reason) => {
                self.malformed.record(&self.file, self.lines.position().line, &reason);
                Ok(Found::Nothing)
            }
        }
    }
}

/// Returns the format that the first line shows, or `None`.
fn format(first: &[u8], described: &Described) -> Option<Format> {
    match first.trim_ascii_start().starts_with(b"{") {
        true => Some(Format::Json(Decoder::new())),
        false => Table::new(first, described.clone()).map(Box::new).map(Format::Csv),
    }
}

fn failed(file: &str, error: std::io::Error) -> SourceError {
    SourceError::File {
        doing: "reading",
        file: file.into(),
        source: error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn readings(text: &[u8]) -> (Readings<&[u8]>, Arc<Malformed>) {
        let malformed = Arc::new(Malformed::default());
        let described = Described {
            sensor: "s".into(),
            datatype: "value".into(),
            unit: None,
            group: None,
        };
        (
            Readings::new(text, "test".into(), described, Arc::clone(&malformed)),
            malformed,
        )
    }

    /// The chunks of a text, and the error that ended it.
    fn chunks(readings: Readings<&[u8]>) -> (Vec<Chunk>, Option<SourceError>) {
        let (sender, mut receiver) = mpsc::channel(1 << 10);
        readings.feed(&sender);
        let mut chunks = Vec::new();
        while let Ok(chunk) = receiver.try_recv() {
            match chunk {
                Ok(chunk) => chunks.push(chunk),
                Err(error) => return (chunks, Some(error)),
            }
        }
        (chunks, None)
    }

    /// The time and the number of the line of each reading.
    fn found(chunks: &[Chunk]) -> Vec<(String, u64)> {
        let all = chunks.iter().flat_map(|chunk| &chunk.readings);
        all.map(|(reading, end)| (reading.time().to_string(), end.line))
            .collect()
    }

    const CSV: &[u8] =
        b"timestamp,value\n2024-05-01 10:00:00,1\nno reading\n\n2024-05-01 10:00:01,2\n2024-05-01 10:00:02,x\n";

    #[test]
    fn malformed_lines_are_counted_and_passed_over_and_lines_keep_their_numbers() {
        let (csv, malformed) = readings(CSV);
        let (chunks, error) = chunks(csv);
        assert!(error.is_none());
        assert_eq!(malformed.count(), 2);
        assert_eq!(
            found(&chunks),
            [
                ("2024-05-01T10:00:00.000000Z".into(), 2),
                ("2024-05-01T10:00:01.000000Z".into(), 5)
            ]
        );
        assert_eq!(chunks.last().unwrap().end.bytes, CSV.len() as u64);
    }

    #[test]
    fn json_lines_come_in_both_forms() {
        let text = br#"
{"sensor":"a","time":"2024-05-01T10:00:00Z","kind":"k","value":1}
{"timestamp":"2024-05-01 10:00:01","datatype":"Temperature","value":97.3,"deviceid":"DHT_001","date":"2024-05-01","lowest_temp":96,"highest_temp":101}
timestamp,value
{"sensor":"a","time":"2024-05-01T10:00:02Z","kind":"k","value":[1,2],"producer":"00000000000000ff","number":7}"#;
        let (json, malformed) = readings(text);
        let (chunks, error) = chunks(json);
        assert!(error.is_none());
        assert_eq!(malformed.count(), 1);
        assert_eq!(
            found(&chunks).iter().map(|(_, line)| *line).collect::<Vec<_>>(),
            [2, 3, 5]
        );
    }

    #[test]
    fn a_first_line_that_is_neither_names_the_remedy() {
        let (csv, _) = readings(b"\n2014-04-10 00:02:00,14.01\n");
        let (chunks, error) = chunks(csv);
        assert_eq!(found(&chunks), []);
        let error = error.unwrap().to_string();
        assert!(
            error.contains("test, line 2") && error.contains("put the header on top"),
            "{error}"
        );
    }

    #[test]
    fn a_chunk_does_not_wait_for_lines_that_are_not_there() {
        struct Slow<'a>(Vec<&'a [u8]>);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let Some(part) = self.0.pop() else { return Ok(0) };
                buffer[..part.len()].copy_from_slice(part);
                Ok(part.len())
            }
        }
        let slow = Slow(vec![
            b"024-05-01 10:00:02,3\n",
            b"timestamp,value\n2024-05-01 10:00:00,1\n2024-05-01 10:00:01,2\n2",
        ]);
        let described = readings(b"").0.described;
        let (sender, mut receiver) = mpsc::channel(10);
        Readings::new(slow, "pipe".into(), described, Arc::default()).feed(&sender);
        let sizes: Vec<usize> = std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|chunk| chunk.unwrap().readings.len())
            .filter(|readings| *readings > 0)
            .collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[test]
    fn a_file_that_differs_before_the_position_is_told_apart() {
        let (all, _) = readings(CSV);
        let (chunks_of_all, _) = chunks(all);
        let after_first = chunks_of_all[0].readings[0].1;
        for (text, same) in [
            (CSV.to_vec(), true),
            ([CSV, b"2024-05-01 10:00:03,4\n"].concat(), true),
            (CSV[..after_first.bytes as usize].to_vec(), true),
            (CSV[..after_first.bytes as usize - 1].to_vec(), false),
            (
                String::from_utf8_lossy(CSV).replacen(",1\n", ",7\n", 1).into_bytes(),
                false,
            ),
            (b"something else\n".repeat(20), false),
            (Vec::new(), false),
        ] {
            let (mut again, _) = readings(&text);
            assert_eq!(
                again.skip_to(after_first).unwrap(),
                same,
                "{}",
                String::from_utf8_lossy(&text)
            );
        }
    }

    proptest! {
        #[test]
        fn reading_in_two_runs_gives_what_one_run_gives(
            lines in proptest::collection::vec(prop_oneof![Just("2024-05-01 10:00:00,1.5"), Just("bad"), Just("")], 0..40),
            stop in any::<prop::sample::Index>(),
        ) {
            let text = format!("timestamp,value\n{}", lines.join("\n"));
            let whole = chunks(readings(text.as_bytes()).0).0;
            let whole: Vec<_> = whole.into_iter().flat_map(|chunk| chunk.readings).collect();
            prop_assume!(!whole.is_empty());
            let stop = stop.index(whole.len());
            let (mut rest, _) = readings(text.as_bytes());
            prop_assert!(rest.skip_to(whole[stop].1).unwrap());
            let rest: Vec<_> = chunks(rest).0.into_iter().flat_map(|chunk| chunk.readings).collect();
            prop_assert_eq!(&whole[stop + 1..], &rest[..]);
        }
    }
}
