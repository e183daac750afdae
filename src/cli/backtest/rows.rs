//! The rows of a history, whatever it is written as: a table, or readings as JSON lines. Which one, and how, is decided
//! on its first rows; only they are held in memory.

use std::io::{self, Cursor, Read};

use csv::ByteRecord;

use super::columns::{Columns, Unclear, Wanted};
use super::lines::Lines;
use super::row::Row;
use super::table::{Described, Table};
use super::time_format::Zone;

/// Looked at before anything is decided.
const FIRST_BYTES: usize = 64 << 10;
/// Looked at where less leaves two readings of a time open.
const MOST_BYTES: usize = 4 << 20;

/// The rows of a history.
pub(super) enum Rows<R> {
    Table(Box<Table<Input<R>>>),
    Lines(Box<Lines<Input<R>>>),
}

/// What was looked at, then the rest.
pub(super) type Input<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Why there are no rows.
#[derive(Debug)]
pub(super) enum Unopened {
    Read(io::Error),
    Unclear { line: u64, problem: String },
}

impl<R: Read> Rows<R> {
    /// Decides how `input` is to be read.
    pub fn open(mut input: R, wanted: &Wanted, zone: &Zone, described: &Described) -> Result<Self, Unopened> {
        let mut head = Vec::new();
        let mut size = FIRST_BYTES;
        loop {
            let missing = (size - head.len()) as u64;
            input
                .by_ref()
                .take(missing)
                .read_to_end(&mut head)
                .map_err(Unopened::Read)?;
            let ended = head.len() < size;
            let start = Start::of(&head);
            let unclear = |problem: &str| {
                Err(Unopened::Unclear {
                    line: start.line,
                    problem: problem.into(),
                })
            };
            if let Some(problem) = start.foreign {
                return unclear(problem);
            }
            let text = &head[start.bytes..];
            if text.trim_ascii_start().starts_with(b"{") {
                return match wanted.time.is_empty() && wanted.value.is_empty() && wanted.sensor.is_none() {
                    true => Ok(Self::Lines(Box::new(Lines::new(
                        Cursor::new(head.split_off(start.bytes)).chain(input),
                    )))),
                    false => unclear(
                        "these are readings as JSON lines, which have no columns: leave --time, --value and --sensor out",
                    ),
                };
            }
            // Half a row says nothing.
            let whole = text.iter().rposition(|byte| *byte == b'\n').filter(|_| !ended);
            let wanted = Wanted {
                delimiter: wanted.delimiter.or(start.delimiter),
                ..wanted.clone()
            };
            match Columns::find(&text[..whole.unwrap_or(text.len())], &wanted) {
                Ok(columns) => {
                    let input = Cursor::new(head.split_off(start.bytes)).chain(input);
                    let table = Table::new(input, columns, start.line, zone.clone(), described);
                    return Ok(Self::Table(Box::new(table)));
                }
                Err(Unclear {
                    more_may_help: true, ..
                }) if !ended && size < MOST_BYTES => size *= 4,
                Err(Unclear { problem, .. }) => return unclear(&problem),
            }
        }
    }

    /// The names of what is shown of a row, and of what is found.
    pub fn header(&self) -> ByteRecord {
        let mut header = ByteRecord::from(vec!["timestamp"]);
        if self.named() {
            header.push_field(b"sensor");
        }
        match self {
            Self::Table(table) if table.columns().values.len() > 1 => {
                self.values().iter().for_each(|name| header.push_field(name.as_bytes()));
            }
            _ => header.push_field(b"value"),
        }
        header.push_field(b"anomaly_score");
        header.push_field(b"incident");
        header
    }

    /// What the values of a row are called, where they are called anything.
    pub fn values(&self) -> Vec<String> {
        match self {
            Self::Table(table) => {
                let columns = table.columns();
                columns
                    .values
                    .iter()
                    .map(|column| columns.names[*column].clone())
                    .collect()
            }
            Self::Lines(_) => Vec::new(),
        }
    }

    /// True where rows name their sensors.
    pub fn named(&self) -> bool {
        match self {
            Self::Table(table) => table.columns().sensor.is_some(),
            Self::Lines(_) => true,
        }
    }

    /// How they are read, in words.
    pub fn read_as(&self, zone: &Zone) -> String {
        match self {
            Self::Table(table) => table.columns().read_as(zone),
            Self::Lines(_) => "readings in JSON lines".into(),
        }
    }

    /// Reads the next row; `shown` becomes what is written of it: its time, its sensor where there are several, its values.
    pub fn next(&mut self, shown: &mut ByteRecord) -> io::Result<Option<Row>> {
        match self {
            Self::Table(table) => table.next(shown),
            Self::Lines(lines) => lines.next(shown),
        }
    }

    /// How many bytes were read so far.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Table(table) => table.bytes(),
            Self::Lines(lines) => lines.bytes(),
        }
    }
}

/// How a file begins, before its first row.
struct Start {
    /// Bytes of a byte order mark, of a first line that names the delimiter, and of comments.
    bytes: usize,
    /// The line of the first row.
    line: u64,
    delimiter: Option<u8>,
    /// It is nothing that can be read here.
    foreign: Option<&'static str>,
}

impl Start {
    fn of(head: &[u8]) -> Self {
        let foreign = match head {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                Some("it is UTF-16: save it as UTF-8, or: iconv -f UTF-16 -t UTF-8 FILE | temp-ingest backtest -")
            }
            [0x1f, 0x8b, ..] => Some("it is compressed: gunzip -c FILE | temp-ingest backtest -"),
            [b'P', b'K', 3, 4, ..] => Some("it is a zip archive or a workbook: save the sheet as CSV"),
            [b'P', b'A', b'R', b'1', ..] => Some("it is a Parquet file: write it as CSV"),
            [b'[', ..] => {
                Some("it is a JSON array: write one reading a line, as with: jq -c '.[]' FILE | temp-ingest backtest -")
            }
            _ => None,
        };
        let mark = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut start = Self {
            bytes: mark,
            line: 1,
            delimiter: None,
            foreign,
        };
        // Some spreadsheets say so what they put between columns.
        if let Some([delimiter, rest @ ..]) = head[mark..].strip_prefix(b"sep=") {
            let end = [&b"\r\n"[..], b"\n"].into_iter().find(|end| rest.starts_with(end));
            if let Some(end) = end {
                start.bytes += b"sep=".len() + 1 + end.len();
                start.line = 2;
                start.delimiter = Some(*delimiter);
            }
        }
        while head[start.bytes..].starts_with(b"#") {
            let comment = head[start.bytes..].iter().position(|byte| *byte == b'\n');
            start.bytes = comment.map_or(head.len(), |end| start.bytes + end + 1);
            start.line += 1;
        }
        start
    }
}
