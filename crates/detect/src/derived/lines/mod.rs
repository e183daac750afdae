//! Features of log lines: each line of a log group becomes one vector, scored by how unusual its parts are together.

use serde::{Deserialize, Serialize};
use wire::{FieldValue, Fields, Sensor, Value};

use self::sketch::Sketch;
use super::{Derivation, Kept, Yields};

mod sketch;
mod template;

/// The sensors whose events are log lines.
pub const KIND: &str = "log";

/// The kind of the derived sensor, and the end of its id.
pub const NAME: &str = crate::settings::LINES;

/// Lines of a group that are learnt before any is scored: at first every one is rare.
const LEARNT: u32 = 100;

/// Log streams of a group that are remembered. A repeated line of a log stream forgotten meanwhile counts again.
const MAX_STREAMS: usize = 64;

/// How many lines of one instant of a stream are remembered.
const MAX_IDS: usize = 256;

/// Weight of a log group, in sensors.
pub(super) const WEIGHT: u64 = 32;

/// Templates and log streams that are distinguished well.
const TEMPLATES: usize = 256;
const STREAMS: usize = 64;

/// Makes a vector of every log line: `ln(1 + ms)` since the newest line of its group, `ln(1 + bytes)` of its message,
/// how rare its log stream is, as a logarithm, and how rare its template is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogLines;

/// The features of a log line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Time since the newest line of its group, ms.
    pub gap_ms: f64,
    /// Size of its message.
    pub bytes: f64,
    /// Lines per line of its log stream.
    pub lines_a_stream: f64,
    /// Lines per line of its template.
    pub lines_a_template: f64,
}

impl Line {
    /// The line behind a vector; `None` for other sensors.
    pub fn of(sensor: &Sensor, value: &Value) -> Option<Self> {
        let Value::Vector(features) = value else { return None };
        let &[gap, bytes, stream, template] = &**features else {
            return None;
        };
        let derived = sensor.kind() == NAME && sensor.id().strip_suffix(NAME)?.ends_with('/');
        derived.then(|| Self {
            gap_ms: libm::expm1(gap),
            bytes: libm::expm1(bytes),
            lines_a_stream: libm::exp(stream),
            lines_a_template: template,
        })
    }

    fn features(&self) -> [f64; 4] {
        [
            libm::log1p(self.gap_ms),
            libm::log1p(self.bytes),
            libm::log(self.lines_a_stream),
            self.lines_a_template,
        ]
    }
}

/// The state of a log group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lines {
    templates: Sketch,
    streams: Sketch,
    /// When the newest line was written, µs.
    newest: Option<i64>,
    /// The time of the latest vector: the next is later, though lines of several streams are not in order.
    latest: i64,
    /// The log streams, the most recent one last.
    heard: Vec<Heard>,
}

/// How far a log stream was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Heard {
    stream: u64,
    /// When its newest line was written, µs.
    time: i64,
    /// The lines of that instant.
    ids: Vec<u64>,
}

impl Lines {
    fn heard(&self, stream: u64) -> Option<&Heard> {
        self.heard.iter().find(|heard| heard.stream == stream)
    }

    /// Notes a new line.
    fn hear(&mut self, stream: u64, time: i64, id: u64) {
        let place = self.heard.iter().position(|heard| heard.stream == stream);
        let mut heard = match place {
            Some(place) => self.heard.remove(place),
            None => Heard {
                stream,
                time,
                ids: Vec::new(),
            },
        };
        if time > heard.time {
            heard.time = time;
            heard.ids.clear();
        }
        if heard.ids.len() == MAX_IDS {
            heard.ids.remove(0);
        }
        heard.ids.push(id);
        if self.heard.len() == MAX_STREAMS {
            self.heard.remove(0);
        }
        self.heard.push(heard);
    }
}

impl Derivation for LogLines {
    fn fresh(&self) -> Kept {
        Kept::Lines(None)
    }

    /// Template, log stream, id, length.
    fn digest(&self, sensor: &Sensor, event: &Fields, digest: &mut Vec<u64>) {
        let text = |name| match event.get(name) {
            Some(FieldValue::Text(text)) => Some(text),
            _ => None,
        };
        let Some(message) = text("message").filter(|_| sensor.kind() == KIND) else {
            return;
        };
        let name = |field| text(field).map_or(0, |name| template::name(&name));
        let length = match event.get("length") {
            Some(FieldValue::Number(length)) => length as u64,
            _ => message.len() as u64,
        };
        digest.extend([template::template(&message), name("log_stream"), name("id"), length]);
    }

    fn misses(&self, kept: &Kept, time: i64, digest: &[u64], _now: i64) -> bool {
        let (Kept::Lines(Some(lines)), &[_, stream, id, _]) = (kept, digest) else {
            return false;
        };
        let heard = lines.heard(stream);
        // Without an id nothing tells two lines of one instant apart.
        heard.is_some_and(|heard| time < heard.time || time == heard.time && id != 0 && heard.ids.contains(&id))
    }

    fn take(&self, kept: &mut Kept, time: i64, digest: &[u64], yields: &mut Yields) {
        let (Kept::Lines(lines), &[template, stream, id, length]) = (kept, digest) else {
            return;
        };
        let lines = lines.get_or_insert_with(|| {
            Box::new(Lines {
                templates: Sketch::new(TEMPLATES),
                streams: Sketch::new(STREAMS),
                newest: None,
                latest: i64::MIN,
                heard: Vec::new(),
            })
        });
        lines.hear(stream, time, id);
        let newest = lines.newest.unwrap_or(time);
        let gap = time.saturating_sub(newest).max(0) as f64 / 1e3;
        lines.newest = Some(newest.max(time));
        lines.latest = time.max(lines.latest.saturating_add(1));
        let line = Line {
            gap_ms: gap,
            bytes: length as f64,
            lines_a_stream: lines.streams.rarity(stream),
            lines_a_template: lines.templates.rarity(template),
        };
        if lines.templates.total() > LEARNT {
            yields.push(lines.latest, Value::Vector(line.features().into()));
        }
    }

    fn due(&self, _: &Kept) -> Option<i64> {
        None
    }

    fn pass(&self, _: &mut Kept, _now: i64, _: &mut Yields) {}

    fn unit(&self) -> Option<&str> {
        None
    }
}
