//! Which columns of a table are times, values and sensors, by its header and its first rows. It knows no file.

use std::str;

use csv::{ByteRecord, ReaderBuilder};

use super::number::{Cell, Decimal};
use super::time_format::{TimeFormat, Zone};
use super::time_guess::{Guess, guess};

/// Names that time columns go by, likelier ones first; compared without case, spaces and underscores.
const TIMES: [&str; 22] = [
    "timestamp",
    "datetime",
    "time",
    "date",
    "ts",
    "timestamputc",
    "timestampms",
    "timeutc",
    "datetimeutc",
    "utc",
    "unixtime",
    "unix",
    "epoch",
    "eventtime",
    "recordedat",
    "measuredat",
    "createdat",
    "lastchanged",
    "lastupdated",
    "zeit",
    "datum",
    "zeitstempel",
];
/// Pairs of columns, a date and a time of day, that are a time together.
const PAIRS: [(&str, &str); 2] = [("date", "time"), ("datum", "uhrzeit")];
const VALUE: &str = "value";
const SENSORS: [&str; 6] = ["sensor", "sensorid", "device", "deviceid", "entityid", "sensorname"];

/// What a person says of the columns; nothing where they are to be found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The columns of the time, joined by a space.
    pub time: Vec<String>,
    /// The columns of the value; several are one vector.
    pub value: Vec<String>,
    /// The column of the sensor's name.
    pub sensor: Option<String>,
    /// The column of the group of the sensor.
    pub group: Option<String>,
    /// What stands between columns.
    pub delimiter: Option<u8>,
    /// How times are written.
    pub time_format: Option<TimeFormat>,
}

/// Where everything stands in a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    pub delimiter: u8,
    pub decimal: Decimal,
    /// The first row names the columns.
    pub header: bool,
    /// As the header names them, else by their number.
    pub names: Vec<String>,
    pub time: Vec<usize>,
    pub values: Vec<usize>,
    pub sensor: Option<usize>,
    pub group: Option<usize>,
    pub format: TimeFormat,
}

/// Why the columns cannot be told, with a remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unclear {
    pub problem: String,
    /// More rows may make it clear.
    pub more_may_help: bool,
}

/// The first rows of a table.
struct Rows {
    delimiter: u8,
    rows: Vec<ByteRecord>,
    header: bool,
    names: Vec<String>,
}

impl Columns {
    /// Of the table that begins with these lines.
    pub fn find(lines: &[u8], wanted: &Wanted) -> Result<Self, Unclear> {
        let delimiter = wanted.delimiter.unwrap_or_else(|| delimiter(lines));
        let rows = Rows::read(lines, delimiter);
        let Some(first) = rows.names.first() else {
            return unclear("there is nothing in it: it needs rows of a time and a value".into());
        };
        if rows.names.len() == 1 {
            return unclear(format!(
                "one column, {first:?}, is not enough: it needs a time and a value, with a comma, a semicolon, a tab \
                 or a bar between them, or what --delimiter says"
            ));
        }
        let (time, format) = rows.time(wanted)?;
        let sensor = match &wanted.sensor {
            Some(name) => Some(rows.named(name, "--sensor")?),
            None => rows.known(&SENSORS).filter(|column| !time.contains(column)),
        };
        let group = wanted
            .group
            .as_ref()
            .map(|name| rows.named(name, "--group"))
            .transpose()?;
        let others = |column: &usize| !time.contains(column) && Some(*column) != sensor && Some(*column) != group;
        let values = if wanted.value.is_empty() {
            vec![rows.value(others)?]
        } else {
            let named = wanted.value.iter().map(|name| rows.named(name, "--value"));
            named.collect::<Result<_, _>>()?
        };
        let decimal = rows.decimal(&values);
        Ok(Self {
            delimiter,
            decimal,
            header: rows.header,
            names: rows.names,
            time,
            values,
            sensor,
            group,
            format,
        })
    }

    /// How a table is read, in words.
    pub fn read_as(&self, zone: &Zone) -> String {
        let names = |columns: &[usize]| {
            let names: Vec<_> = columns.iter().map(|column| self.names[*column].as_str()).collect();
            names.join(" + ")
        };
        let zone = match self.format {
            TimeFormat::Unix(_) => String::new(),
            _ => format!(", {zone} where it names no zone"),
        };
        let (time, values) = (names(&self.time), names(&self.values));
        let mut text = format!("time {time} ({}{zone}), value {values}", self.format);
        for (what, column) in [("sensor", self.sensor), ("group", self.group)] {
            text += &column.map_or(String::new(), |column| format!(", {what} {}", self.names[column]));
        }
        text += match self.delimiter {
            b',' => "; separated by commas",
            b';' => "; separated by semicolons",
            b'\t' => "; separated by tabs",
            b'|' => "; separated by bars",
            _ => "",
        };
        text += if self.header { "" } else { ", no header" };
        text += if self.decimal == Decimal::Comma {
            ", decimal comma"
        } else {
            ""
        };
        text
    }

    /// What the values are called, without a unit; and the unit, where the header says it as `name (unit)` or `name [unit]`.
    pub fn name_and_unit(&self, column: usize) -> (&str, Option<&str>) {
        let name = &self.names[column];
        let unit = |open, close| {
            let (name, unit) = name.strip_suffix(close)?.rsplit_once(open)?;
            (!unit.is_empty()).then(|| (name.trim_end(), Some(unit)))
        };
        unit('(', ')').or_else(|| unit('[', ']')).unwrap_or((name, None))
    }
}

impl Rows {
    fn read(lines: &[u8], delimiter: u8) -> Self {
        let rows: Vec<_> = records(lines, delimiter).collect();
        let cells: Vec<_> = rows
            .first()
            .map_or(Vec::new(), |first| first.iter().map(text).collect());
        let time = |cell: &&str| !matches!(guess([*cell].into_iter()), Guess::None);
        let number = |cell: &&str| matches!(Decimal::Either.read(cell), Cell::Number(_));
        let named = cells.iter().any(|cell| TIMES.contains(&plain(cell).as_str()));
        let header = !cells.iter().any(time) && (named || !cells.iter().any(number));
        let numbered = (1..=cells.len()).map(|number| format!("column {number}"));
        let names = match header {
            true => cells.iter().map(|cell| (*cell).to_owned()).collect(),
            false => numbered.collect(),
        };
        Self {
            delimiter,
            rows,
            header,
            names,
        }
    }

    /// The rows that hold readings.
    fn data(&self) -> impl Iterator<Item = &ByteRecord> + Clone {
        self.rows.iter().skip(usize::from(self.header))
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> + Clone {
        self.data().map(move |row| row.get(column).map_or("", text))
    }

    fn empty(&self) -> bool {
        self.data().next().is_none()
    }

    /// The column of this name: exactly so, else without case, else by its number from 1.
    fn named(&self, name: &str, flag: &str) -> Result<usize, Unclear> {
        let by = |same: &dyn Fn(&str) -> bool| self.names.iter().position(|known| same(known));
        by(&|known| known == name)
            .or_else(|| by(&|known| plain(known) == plain(name)))
            .or_else(|| {
                name.parse::<usize>()
                    .ok()?
                    .checked_sub(1)
                    .filter(|column| *column < self.names.len())
            })
            .ok_or(())
            .or_else(|()| {
                unclear(format!(
                    "{flag} {name:?} names no column: there are {}, or their numbers from 1",
                    self.listed(0..self.names.len())
                ))
            })
    }

    /// The column of the likeliest of these names.
    fn known(&self, names: &[&str]) -> Option<usize> {
        let with = |known: &&str| self.names.iter().position(|name| self.header && plain(name) == *known);
        names.iter().find_map(with)
    }

    fn listed(&self, columns: impl IntoIterator<Item = usize>) -> String {
        let names: Vec<_> = columns
            .into_iter()
            .map(|column| format!("{:?}", self.names[column]))
            .collect();
        names.join(", ")
    }

    /// The columns of the time, and how it is written there.
    fn time(&self, wanted: &Wanted) -> Result<(Vec<usize>, TimeFormat), Unclear> {
        if !wanted.time.is_empty() {
            let named = wanted.time.iter().map(|name| self.named(name, "--time"));
            let columns: Vec<_> = named.collect::<Result<_, _>>()?;
            let format = self.format(&columns, wanted)?;
            return Ok((columns, format));
        }
        let mut first = None;
        for columns in self.likely_times() {
            match self.format(&columns, wanted) {
                Ok(format) => return Ok((columns, format)),
                Err(unclear) if unclear.more_may_help => return Err(unclear),
                Err(unclear) => first = first.or(Some(unclear)),
            }
        }
        if let Some(first) = first {
            return Err(first);
        }
        let mut found = Vec::new();
        for column in 0..self.names.len() {
            match self.format(&[column], wanted) {
                Ok(format) => found.push((column, format)),
                Err(unclear) if unclear.more_may_help => return Err(unclear),
                Err(_) => {}
            }
        }
        // A number may be a time or a value; words in the form of a time are one.
        if found.iter().any(|(_, format)| !matches!(format, TimeFormat::Unix(_))) {
            found.retain(|(_, format)| !matches!(format, TimeFormat::Unix(_)));
        }
        match found.as_slice() {
            [(column, format)] => Ok((vec![*column], format.clone())),
            // Who names no columns puts the time first.
            [(column, format), ..] if !self.header => Ok((vec![*column], format.clone())),
            [] => unclear(format!(
                "no column looks like a time: say which of {} it is with --time COLUMN, and how it is written with \
                 --time-format",
                self.listed(0..self.names.len())
            )),
            several => unclear(format!(
                "several columns look like times, {}: say which it is with --time COLUMN",
                self.listed(several.iter().map(|(column, _)| *column))
            )),
        }
    }

    /// Columns whose names say that they are times, likelier ones first.
    fn likely_times(&self) -> Vec<Vec<usize>> {
        let pairs = PAIRS
            .iter()
            .filter_map(|(date, time)| Some(vec![self.known(&[*date])?, self.known(&[*time])?]));
        let single = TIMES.iter().filter_map(|name| Some(vec![self.known(&[*name])?]));
        let complete = self.known(&TIMES[..2]).map(|column| vec![column]);
        complete.into_iter().chain(pairs).chain(single).collect()
    }

    fn format(&self, columns: &[usize], wanted: &Wanted) -> Result<TimeFormat, Unclear> {
        let joined: Vec<String>;
        let texts: Vec<&str> = match columns {
            [column] => self.cells(*column).collect(),
            columns => {
                let join = |row: &ByteRecord| {
                    let cells: Vec<_> = columns.iter().map(|column| row.get(*column).map_or("", text)).collect();
                    cells.join(" ").trim().to_owned()
                };
                joined = self.data().map(join).collect();
                joined.iter().map(String::as_str).collect()
            }
        };
        let example = texts.iter().find(|text| !text.is_empty()).unwrap_or(&"");
        let names = self.listed(columns.iter().copied());
        match &wanted.time_format {
            Some(format) if self.empty() || texts.iter().any(|text| format.read(text).is_some()) => Ok(format.clone()),
            Some(format) => unclear(format!(
                "no time of column {names} is written as {format}; the first is {example:?}: mend --time-format, or \
                 leave it out and let it be found"
            )),
            None if self.empty() => Ok(TimeFormat::Iso),
            None => match guess(texts.iter().copied()) {
                Guess::One(format) => Ok(format),
                Guess::Several(found) => {
                    let [one, two] = found.readings.map(|(format, time)| match time {
                        Some(time) => (format!("{} by {format}", &time.to_string()[..16]), format),
                        None => (format!("nothing by {format}"), format),
                    });
                    Err(Unclear {
                        problem: format!(
                            "the times of column {names} are ambiguous: {:?} is {} and {}; say which with \
                             --time-format \"{}\" or --time-format \"{}\"",
                            found.text, one.0, two.0, one.1, two.1
                        ),
                        more_may_help: true,
                    })
                }
                Guess::None => unclear(format!(
                    "column {names} is in no time format known here; its first text is {example:?}: say how it is \
                     written with --time-format, such as \"%d.%m.%Y %H:%M:%S\" or unix, or use another column with \
                     --time COLUMN"
                )),
            },
        }
    }

    /// The column of the value: the one of that name, else the only one with numbers.
    fn value(&self, other: impl Fn(&usize) -> bool) -> Result<usize, Unclear> {
        if let Some(column) = self.known(&[VALUE]).filter(&other) {
            return Ok(column);
        }
        let numeric = |column: &usize| {
            let decimal = self.decimal(&[*column]);
            let (mut numbers, mut others) = (0, 0);
            for cell in self.cells(*column) {
                match decimal.read(cell) {
                    Cell::Number(_) => numbers += 1,
                    Cell::Other => others += 1,
                    Cell::Missing => {}
                }
            }
            numbers > others * 9
        };
        let columns: Vec<usize> = (0..self.names.len()).filter(&other).collect();
        let found: Vec<usize> = columns.iter().copied().filter(numeric).collect();
        match found.as_slice() {
            [column] => Ok(*column),
            [] => unclear(format!(
                "no column of numbers: say which of {} holds the value with --value COLUMN",
                self.listed(columns)
            )),
            several => unclear(format!(
                "several columns hold numbers, {}: say which is the value with --value COLUMN; given several times, \
                 they are judged together as one vector",
                self.listed(several.iter().copied())
            )),
        }
    }

    /// How numbers in these columns are written. Between commas there is no decimal one.
    fn decimal(&self, columns: &[usize]) -> Decimal {
        let has = |mark: char| {
            let mut cells = columns.iter().flat_map(|column| self.cells(*column));
            cells.any(|cell| cell.contains(mark))
        };
        match (self.delimiter, has(','), has('.')) {
            (b',', _, _) | (_, false, true) => Decimal::Point,
            (_, true, _) => Decimal::Comma,
            (_, false, false) => Decimal::Either,
        }
    }
}

/// Whatever cuts most of the first rows into as many columns as the first, two or more.
fn delimiter(lines: &[u8]) -> u8 {
    let fitting = |delimiter: u8| {
        let mut widths = records(lines, delimiter).take(50).map(|row| row.len());
        let first = widths.next().filter(|first| *first > 1)?;
        Some((1 + widths.filter(|width| *width == first).count(), delimiter))
    };
    // Of equals the last is taken: commas are also in numbers and texts.
    let best = [b',', b'|', b'\t', b';']
        .into_iter()
        .filter_map(fitting)
        .max_by_key(|(rows, _)| *rows);
    best.map_or(b',', |(_, delimiter)| delimiter)
}

fn records(lines: &[u8], delimiter: u8) -> impl Iterator<Item = ByteRecord> {
    let mut reader = ReaderBuilder::new();
    let reader = reader
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        .from_reader(lines);
    // Reading from memory does not fail.
    reader.into_byte_records().map_while(Result::ok)
}

/// The text of a cell; what is not UTF-8 is no name, no time and no number.
fn text(cell: &[u8]) -> &str {
    str::from_utf8(cell).map_or("\u{fffd}", str::trim)
}

fn plain(name: &str) -> String {
    let kept = name
        .chars()
        .filter(|character| !matches!(character, ' ' | '_' | '-' | '(' | ')' | '.'));
    kept.flat_map(char::to_lowercase).collect()
}

fn unclear<T>(problem: String) -> Result<T, Unclear> {
    Err(Unclear {
        problem,
        more_may_help: false,
    })
}
