//! What was found in a history, as people read it or as JSON.

use std::fmt;

use detect::{Folded, Transition};
use processor::message::text::{printable, rounded, value};
use serde::{Serialize, Serializer};
use wire::{Reading, Timestamp, Value};

use super::time_format::Zone;

/// So many incidents are told, the worst first, unless all are asked for.
const SHOWN: usize = 20;
/// Names of sensors are cut there.
const NAME: usize = 24;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The file.
    pub path: String,
    /// How it was read, in words.
    pub read_as: String,
    /// Rows read, and as many written.
    pub rows: u64,
    /// Rows not newer than the one before them of their sensor: repeated or out of order, written with score 0.
    pub late: u64,
    /// Rows where nothing was measured, written with score 0.
    pub missing: u64,
    /// Rows that could not be read, written with score 0.
    pub malformed: u64,
    /// The first of the malformed rows: line and reason.
    pub reasons: Vec<(u64, String)>,
    /// How many sensors had a reading.
    pub sensors: usize,
    /// The time of the first reading and of the last.
    #[serde(serialize_with = "span")]
    pub span: Option<(Timestamp, Timestamp)>,
    /// The usual time between two readings of a sensor, µs.
    #[serde(rename = "interval_us")]
    pub interval: Option<i64>,
    /// All incidents, in the order they opened; the first is number 1.
    pub incidents: Vec<Incident>,
    /// Whether the rows name their sensors.
    #[serde(skip)]
    pub named: bool,
    /// Where the clocks hang that times are shown by.
    #[serde(serialize_with = "written")]
    pub zone: Zone,
}

/// An incident in a history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Incident {
    /// Whose it is.
    pub sensor: String,
    /// The unit of its values, where it is known.
    pub unit: Option<String>,
    /// When it opened.
    #[serde(serialize_with = "written")]
    pub start: Timestamp,
    /// When it resolved; `None` where the history ends before.
    #[serde(serialize_with = "written_or_null")]
    pub end: Option<Timestamp>,
    /// What was wrong.
    pub kinds: Vec<&'static str>,
    /// Its highest score, where 2 is an alert.
    pub peak: f64,
    /// The value of the highest score; the last one heard where the sensor was silent.
    #[serde(serialize_with = "numbers")]
    pub value: Value,
    /// The lowest and the highest value that would have been usual then, where the detectors know.
    pub expected: Option<(f64, f64)>,
    /// The highest score of a reading so far.
    #[serde(skip)]
    seen: f64,
}

impl Incident {
    pub(super) fn open(transition: &Transition) -> Self {
        Self {
            sensor: transition.sensor.id().to_owned(),
            unit: transition.sensor.unit().map(str::to_owned),
            start: transition.since,
            end: None,
            kinds: Vec::new(),
            peak: transition.peak,
            value: transition.value.clone(),
            expected: transition.expected,
            seen: 0.0,
        }
    }

    pub(super) fn change(&mut self, transition: &Transition) {
        self.peak = self.peak.max(transition.peak);
        self.kinds = transition.kinds.names(transition.sensor.kind()).collect();
        if transition.change == detect::Change::Resolved {
            self.end = Some(transition.time);
        }
    }

    /// A reading came in while it was open.
    pub(super) fn see(&mut self, reading: &Reading, folded: &Folded) {
        if folded.score > self.seen && !folded.kinds.is_empty() {
            self.seen = folded.score;
            self.peak = self.peak.max(folded.score);
            self.value.clone_from(reading.value());
            self.expected = folded.expected;
        }
    }
}

impl Summary {
    pub(super) fn new(path: String, read_as: String, named: bool, zone: Zone) -> Self {
        Self {
            path,
            read_as,
            rows: 0,
            late: 0,
            missing: 0,
            malformed: 0,
            reasons: Vec::new(),
            sensors: 0,
            span: None,
            interval: None,
            incidents: Vec::new(),
            named,
            zone,
        }
    }

    /// Writes it as people read it: the twenty worst incidents, or `all` in the order they opened.
    pub fn text(&self, all: bool) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            self.rows(f)?;
            self.list(f, all)
        })
    }

    fn rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, counted(self.rows, "row"))?;
        if self.named {
            write!(f, " of {}", counted(self.sensors as u64, "sensor"))?;
        }
        if let Some((from, to)) = self.span {
            let (shown, zone) = (|time| self.zone.show(time), &self.zone);
            write!(f, " from {} to {} {zone}", shown(from), shown(to))?;
        }
        if let Some(interval) = self.interval {
            write!(f, ", usually every {}", lasting(interval))?;
        }
        write!(f, "\nread as {}", self.read_as)?;
        let passed = [
            (self.late, "late or repeated"),
            (self.missing, "missing"),
            (self.malformed, "malformed"),
        ];
        let passed: Vec<String> = passed
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", grouped(*count)))
            .collect();
        if !passed.is_empty() {
            write!(f, "\nwritten with score 0: {}", passed.join(", "))?;
        }
        for (line, reason) in &self.reasons {
            write!(f, "\n{}:{line}: {reason}", self.path)?;
        }
        match self.malformed - self.reasons.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\nand {} more malformed", grouped(more)),
        }
    }

    fn list(&self, f: &mut fmt::Formatter<'_>, all: bool) -> fmt::Result {
        if self.incidents.is_empty() {
            return write!(f, "\nno incident");
        }
        let open = self.incidents.iter().filter(|incident| incident.end.is_none()).count();
        write!(f, "\n\n{}", counted(self.incidents.len() as u64, "incident"))?;
        if open > 0 {
            write!(f, ", {} still open at the end", grouped(open as u64))?;
        }
        let mut shown: Vec<(usize, &Incident)> = (1..).zip(&self.incidents).collect();
        let left = if all { 0 } else { shown.len().saturating_sub(SHOWN) };
        if left > 0 {
            shown.sort_by(|(_, one), (_, other)| other.peak.total_cmp(&one.peak));
            shown.truncate(SHOWN);
            write!(f, "; the worst {SHOWN} first")?;
        }
        writeln!(f)?;
        let opened = format!("opened ({})", self.zone);
        let mut table =
            vec![["#", &opened, "lasted", "sensor", "what", "value", "expected", "score"].map(str::to_owned)];
        table.extend(shown.iter().map(|(number, incident)| self.cells(*number, incident)));
        self.align(f, &table)?;
        match left {
            0 => Ok(()),
            left => write!(
                f,
                "\n{} more of lower scores are not shown: --all shows them",
                grouped(left as u64)
            ),
        }
    }

    fn cells(&self, number: usize, incident: &Incident) -> [String; 8] {
        let lasted = match (incident.end, self.span) {
            (Some(end), _) => lasting(end.as_micros() - incident.start.as_micros()),
            (None, Some((_, to))) => format!("{}, open", lasting(to.as_micros() - incident.start.as_micros())),
            (None, None) => "open".into(),
        };
        let unit = incident
            .unit
            .as_ref()
            .map(|unit| format!(" {}", printable(unit)))
            .unwrap_or_default();
        let silent = incident.seen == 0.0;
        let measured = match &incident.value {
            _ if silent => "nothing".into(),
            Value::Scalar(number) => format!("{}{unit}", rounded(*number)),
            vector => format!("{}{unit}", value(vector)),
        };
        let expected = incident.expected.filter(|_| !silent);
        let expected = expected.map(|(lowest, highest)| format!("{} to {}{unit}", rounded(lowest), rounded(highest)));
        [
            number.to_string(),
            self.zone.show(incident.start),
            lasted,
            cut(&incident.sensor),
            incident.kinds.join(" and "),
            measured,
            expected.unwrap_or_default(),
            format!("{:.1}", incident.peak),
        ]
    }

    /// In columns as wide as they must be: the first and the last to the right; that of sensors only where there are several.
    fn align(&self, f: &mut fmt::Formatter<'_>, table: &[[String; 8]]) -> fmt::Result {
        const SENSOR: usize = 3;
        let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let columns: Vec<(usize, usize)> = (0..8)
            .filter(|column| *column != SENSOR || self.named)
            .map(|column| (column, width(column)))
            .filter(|(_, width)| *width > 0)
            .collect();
        for row in table {
            writeln!(f)?;
            let mut line = String::new();
            for (column, width) in &columns {
                let (width, cell) = (*width, &row[*column]);
                line += &match column {
                    0 | 7 => format!("  {cell:>width$}"),
                    _ => format!("  {cell:<width$}"),
                };
            }
            f.write_str(line.trim_end())?;
        }
        Ok(())
    }
}

/// `1,234 rows`, `1 row`.
pub(super) fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}

/// With a comma between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The two largest units of a length of time in µs: `2d 3h`, `15m`, `250ms`.
pub(super) fn lasting(micros: i64) -> String {
    let units = [
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
        ("µs", 1),
    ];
    let Some(first) = units.iter().position(|(_, length)| micros >= *length) else {
        return "0s".into();
    };
    let (name, length) = units[first];
    let next = units
        .get(first + 1)
        .filter(|(_, length)| micros % units[first].1 / length > 0);
    match next {
        Some((next, shorter)) => format!("{}{name} {}{next}", micros / length, micros % length / shorter),
        None => format!("{}{name}", micros / length),
    }
}

fn cut(name: &str) -> String {
    let name = printable(name);
    match name.char_indices().nth(NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

fn written<S: Serializer>(item: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(item)
}

fn written_or_null<S: Serializer>(item: &Option<impl fmt::Display>, serializer: S) -> Result<S::Ok, S::Error> {
    match item {
        Some(item) => serializer.collect_str(item),
        None => serializer.serialize_none(),
    }
}

fn span<S: Serializer>(span: &Option<(Timestamp, Timestamp)>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(|(from, to)| [from.to_string(), to.to_string()])
        .serialize(serializer)
}

fn numbers<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Value::Scalar(number) => serializer.serialize_f64(*number),
        Value::Vector(numbers) => numbers.serialize(serializer),
        Value::Event(fields) => serializer.serialize_str(fields.as_json()),
    }
}
