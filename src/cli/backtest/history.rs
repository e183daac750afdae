//! Rows judged one after another, each by the rows before it only, on one partition for all sensors.

use std::collections::HashMap;
use std::sync::Arc;

use detect::{Change, Disposition, Event, Folded, Journal, Partition, Settings, Transition};
use wire::{Reading, Sensor, Timestamp};

use super::row::Fault;
use super::summary::{Incident, Summary};

/// Of so many malformed rows the line and the reason are kept; the others are counted.
const REASONS: usize = 20;
/// The usual interval is the median of so many steps.
const STEPS: usize = 4_095;
/// A journal that nobody replays is emptied at this many bytes.
const JOURNAL: usize = 64 << 10;

/// What the rows so far have led to.
pub(super) struct History<'a> {
    settings: &'a Settings,
    partition: Partition,
    journal: Journal,
    events: Vec<Event>,
    sensors: Vec<Followed>,
    index: HashMap<Box<str>, usize>,
    /// The sensor of the latest row.
    latest: usize,
    steps: Vec<i64>,
    summary: Summary,
}

/// What is kept of one sensor.
struct Followed {
    sensor: Arc<Sensor>,
    last: Option<Timestamp>,
    /// The place of its open incident.
    open: Option<usize>,
}

/// What is written of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Judged {
    pub score: f64,
    /// The number of the open incident.
    pub incident: Option<usize>,
    /// What the detectors found, and the place of its sensor, where the row moved them.
    pub folded: Option<(usize, Folded)>,
}

impl<'a> History<'a> {
    pub fn new(settings: &'a Settings, summary: Summary) -> Self {
        Self {
            settings,
            partition: Partition::new(),
            journal: Journal::new(),
            events: Vec::new(),
            sensors: Vec::new(),
            index: HashMap::new(),
            latest: 0,
            steps: Vec::new(),
            summary,
        }
    }

    /// Judges a reading.
    pub fn judge(&mut self, reading: &Reading) -> Judged {
        self.summary.rows += 1;
        let place = self.place(reading.sensor());
        if self.journal.len() > JOURNAL {
            self.journal = Journal::new();
        }
        let folded = self
            .partition
            .fold(reading, self.settings, &mut self.journal, &mut self.events);
        let fresh = folded.disposition == Disposition::Fresh;
        self.summary.late += u64::from(folded.disposition == Disposition::Late);
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            if let Event::Incident(transition) = event {
                self.tell(&transition);
            }
        }
        self.events = events;
        if fresh {
            self.follow(place, reading.time());
        }
        let open = self.sensors[place].open;
        if let Some(open) = open {
            self.summary.incidents[open].see(reading, &folded);
        }
        for derived in self.partition.derived().to_vec() {
            let place = self.place_of(derived.reading.sensor());
            if let Some(open) = self.sensors[place].open {
                self.summary.incidents[open].see(&derived.reading, &derived.folded);
            }
        }
        Judged {
            score: folded.score,
            incident: open.map(|open| open + 1),
            folded: fresh.then_some((place, folded)),
        }
    }

    /// Takes note of a row that is no reading: of this sensor where it says so, else of the one before it.
    pub fn pass_over(&mut self, line: u64, fault: Fault, sensor: Option<&[u8]>) -> Judged {
        self.summary.rows += 1;
        match fault {
            Fault::Missing => self.summary.missing += 1,
            Fault::Malformed(reason) => {
                self.summary.malformed += 1;
                if self.summary.reasons.len() < REASONS {
                    self.summary.reasons.push((line, reason));
                }
            }
        }
        // An incident that goes on lasts beyond a row that cannot be read.
        let place = match sensor {
            None => Some(self.latest),
            Some(id) => str::from_utf8(id)
                .ok()
                .and_then(|id| self.index.get(id.trim()).copied()),
        };
        let open = place
            .and_then(|place| self.sensors.get(place))
            .and_then(|followed| followed.open);
        Judged {
            score: 0.0,
            incident: open.map(|open| open + 1),
            folded: None,
        }
    }

    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The sensors, in the order they were met, and what was found.
    pub fn end(mut self) -> (Vec<Arc<Sensor>>, Summary) {
        self.summary.sensors = self.sensors.len();
        self.steps.sort_unstable();
        self.summary.interval = self.steps.get(self.steps.len() / 2).copied();
        (
            self.sensors.into_iter().map(|followed| followed.sensor).collect(),
            self.summary,
        )
    }

    fn place(&mut self, sensor: &Arc<Sensor>) -> usize {
        let same = |followed: &Followed| Arc::ptr_eq(&followed.sensor, sensor);
        if !self.sensors.get(self.latest).is_some_and(same) {
            self.latest = match self.index.get(sensor.id()) {
                Some(place) => *place,
                None => {
                    self.index.insert(sensor.id().into(), self.sensors.len());
                    self.sensors.push(Followed {
                        sensor: Arc::clone(sensor),
                        last: None,
                        open: None,
                    });
                    self.sensors.len() - 1
                }
            };
        }
        self.latest
    }

    fn follow(&mut self, place: usize, time: Timestamp) {
        let last = self.sensors[place].last.replace(time);
        if let Some(last) = last
            && self.steps.len() < STEPS
        {
            self.steps.push(time.as_micros() - last.as_micros());
        }
        let (from, to) = self.summary.span.unwrap_or((time, time));
        self.summary.span = Some((from.min(time), to.max(time)));
    }

    fn tell(&mut self, transition: &Transition) {
        let place = self.place_of(&transition.sensor);
        if transition.change == Change::Opened {
            self.sensors[place].open = Some(self.summary.incidents.len());
            self.summary.incidents.push(Incident::open(transition));
        }
        if let Some(open) = self.sensors[place].open {
            self.summary.incidents[open].change(transition);
            if transition.change == Change::Resolved {
                self.sensors[place].open = None;
            }
        }
    }

    /// Silence, and what follows from events, is of a sensor other than the one that speaks.
    fn place_of(&mut self, sensor: &Arc<Sensor>) -> usize {
        let speaking = self.latest;
        let place = self.place(sensor);
        self.latest = speaking;
        place
    }
}
