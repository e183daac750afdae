//! One sensor of a partition: what its detectors have learnt, whether it is silent, and its incident.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Sensor, Timestamp, Value};

use crate::deadlines::NEVER;
use crate::derived::Parent;
use crate::detector::{Context, Detector, Detectors, Finding, HOLD};
use crate::event::Lasting;
use crate::flap_damping::FlapDamping;
use crate::incident::{Alarm, Incident};
use crate::{Anomaly, Change, Event, Kinds, Settings, encoding};

/// A slow sensor's incident stays open for at least this many of its longest intervals: one reading is not quiet.
const QUIET_INTERVALS: i64 = 3;

/// How long a sensor must have been silent before it may be evicted for a new one, µs of the partition's clock: three
/// days, so that a sensor read once a day may miss two of them.
const EVICTABLE_AFTER: i64 = 3 * 86_400_000_000;

/// Numbers of a vector that weigh as much as a sensor: the latest vector is kept, and that of an incident's worst
/// reading.
const NUMBERS_OF_WEIGHT_1: usize = 128;

/// The additional weight of a sensor with this value.
pub(crate) fn weight_of(value: &Value) -> u64 {
    (value.numbers().len() / NUMBERS_OF_WEIGHT_1) as u64
}

/// The state of one sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Track {
    #[serde(with = "encoding::sensor")]
    pub sensor: Arc<Sensor>,
    pub last: Option<Last>,
    pub detectors: Detectors,
    pub incident: Option<Incident>,
    pub flap_damping: FlapDamping,
    /// When its latest incident began: the next begins later, so that the two names differ.
    pub began: Option<i64>,
    /// What is kept of its events, if it sends any.
    pub parent: Option<Box<Parent>>,
    /// The hash of the sensor it is derived from, if it is: the two share a partition.
    pub root: Option<Box<u128>>,
}

/// The latest reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Last {
    #[serde(with = "encoding::timestamp")]
    pub time: Timestamp,
    #[serde(with = "encoding::value")]
    pub value: Value,
    /// When it arrived, by the partition's clock.
    pub now: i64,
    /// Since when the value has been the same.
    #[serde(with = "encoding::timestamp")]
    pub same_since: Timestamp,
    /// The longest any other value lasted, µs.
    pub longest_same: i64,
}

/// What is due for a sensor without a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It has been silent for too long.
    Silence,
    /// Its incident has been quiet for long enough.
    Quiet,
    /// It has been silent for so long that it is forgotten.
    Forget,
    /// A derived reading is due, without another event.
    Yield,
    /// It has sent no event for so long that what is kept of them is forgotten.
    ForgetEvents,
}

impl Track {
    pub fn new(sensor: &Arc<Sensor>) -> Self {
        Self {
            sensor: sensor.clone(),
            last: None,
            detectors: Detectors::default(),
            incident: None,
            flap_damping: FlapDamping::default(),
            began: None,
            parent: None,
            root: None,
        }
    }

    /// Time of its latest reading, by its own clock.
    pub fn time(&self) -> Option<Timestamp> {
        self.last.as_ref().map(|last| last.time)
    }

    /// Time of its latest reading or event, by its own clock.
    pub fn newest(&self) -> Option<i64> {
        let parent = self.parent.as_ref().map(|parent| parent.latest());
        parent.max(self.time().map(Timestamp::as_micros))
    }

    /// When its latest reading or event arrived, by the partition's clock.
    pub fn heard(&self) -> Option<i64> {
        let parent = self.parent.as_ref().map(|parent| parent.heard());
        parent.max(self.last.as_ref().map(|last| last.now))
    }

    /// When it may be evicted for a new sensor, by the partition's clock; never while an incident is open.
    pub fn evictable(&self) -> i64 {
        match self.heard() {
            Some(heard) if self.incident.is_none() => heard.saturating_add(EVICTABLE_AFTER),
            _ => NEVER,
        }
    }

    /// How many sensors it counts as, by the size of its state. It follows from what is stored.
    pub fn weight(&self) -> u64 {
        1 + self.weight_of_value() + self.parent.as_ref().map_or(0, |parent| parent.weight())
    }

    /// The additional weight of its latest value.
    pub fn weight_of_value(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| weight_of(&last.value))
    }

    /// The hash that decides on its partition.
    pub fn hash(&self) -> u128 {
        self.root.as_deref().copied().unwrap_or(self.sensor.hash())
    }

    /// When its open incident began.
    pub fn incident(&self) -> Option<Timestamp> {
        self.incident.as_ref().map(Incident::since)
    }

    /// Judges a reading newer than the last one, and appends the events it causes.
    pub fn observe(
        &mut self,
        time: Timestamp,
        value: &Value,
        now: i64,
        settings: &Settings,
        events: &mut Vec<Event>,
    ) -> Finding {
        let step = self.last.as_ref().map(|last| time.as_micros() - last.time.as_micros());
        let context = Context {
            sensor: &self.sensor,
            settings,
            time: time.as_micros(),
            step,
            usual: self.detectors.interval.follow(step),
            age: self.last.as_ref().map(|last| now.saturating_sub(last.now)),
            wrong: false,
        };
        let was_silent = self.detectors.silence.broken;
        let finding = self.detectors.observe(&context, value.numbers());
        let same = self.follow(time, value, now);
        if was_silent && let Some(incident) = &mut self.incident {
            incident.hold(time, now);
        }
        let threshold = settings.threshold.get();
        if finding.score >= threshold {
            let alarm = Alarm {
                kinds: finding.kinds,
                score: finding.score,
                expected: finding.expected,
                value,
                lasting: finding.kinds.contains(Kinds::STUCK).then_some(same),
                time,
                now,
            };
            let at = events.len();
            self.alarm(&alarm, settings, events);
            let anomaly = Event::Anomaly(Anomaly {
                sensor: self.sensor.clone(),
                time,
                value: value.clone(),
                kinds: finding.kinds,
                score: finding.score,
                expected: finding.expected,
                incident: self.incident().unwrap_or(time),
            });
            events.insert(at, anomaly);
        } else if finding.score >= threshold * HOLD
            && let Some(incident) = &mut self.incident
        {
            incident.hold(time, now);
        }
        finding
    }

    /// Judges this value as its next reading, one median interval after the latest one.
    pub fn dry_run(&mut self, value: &Value, settings: &Settings) -> Finding {
        let usual = self.detectors.interval.usual();
        let (time, now) = self.last.as_ref().map_or((Timestamp::default(), 0), |last| {
            (last.time.saturating_add_micros(usual), last.now.saturating_add(usual))
        });
        self.observe(time, value, now, settings, &mut Vec::new())
    }

    /// When something is due next, by the partition's clock. The sensor of the current reading is neither silent nor
    /// gone.
    pub fn deadline(&self, settings: &Settings, speaking: bool) -> i64 {
        self.due(settings, speaking).map_or(NEVER, |(deadline, _)| deadline)
    }

    /// What is due next.
    pub fn due(&self, settings: &Settings, speaking: bool) -> Option<(i64, Due)> {
        let forget_after = settings.forget.as_micros();
        let parent = self.parent.as_ref().filter(|_| !speaking);
        let derived = parent.map(|parent| match parent.due(settings) {
            Some(due) => (due, Due::Yield),
            None => (parent.heard().saturating_add(forget_after), Due::ForgetEvents),
        });
        let Some(last) = &self.last else { return derived };
        let silence = &self.detectors.silence;
        let quiet = self.incident.as_ref().filter(|_| !silence.broken).map(|incident| {
            let quiet = self.flap_damping.quiet(self.usual_quiet(settings));
            (incident.now().saturating_add(quiet), Due::Quiet)
        });
        if speaking {
            return quiet;
        }
        let forget = (last.now.saturating_add(forget_after), Due::Forget);
        let silent = silence.allowed(settings);
        let silent = silent.map(|allowed| (last.now.saturating_add(allowed), Due::Silence));
        let soonest = |a: (i64, Due), b: (i64, Due)| if b.0 < a.0 { b } else { a };
        Some([quiet, silent, derived].into_iter().flatten().fold(forget, soonest))
    }

    /// Does what is due at this time of the partition's clock; true if the sensor is to be forgotten.
    pub fn happen(&mut self, due: Due, deadline: i64, settings: &Settings, events: &mut Vec<Event>) -> bool {
        if due == Due::ForgetEvents {
            self.parent = None;
            return self.last.is_none();
        }
        let Some(last) = &self.last else { return false };
        let value = last.value.clone();
        let time = last.time.saturating_add_micros(deadline.saturating_sub(last.now));
        match due {
            Due::Silence => {
                self.detectors.silence.broken = true;
                let alarm = Alarm {
                    kinds: Kinds::SILENT,
                    score: settings.threshold.get(),
                    expected: None,
                    value: &value,
                    lasting: Some(Lasting {
                        micros: deadline.saturating_sub(last.now),
                        before: self.detectors.silence.longest(),
                    }),
                    time,
                    now: deadline,
                };
                self.alarm(&alarm, settings, events);
                false
            }
            Due::Quiet => {
                let quiet_since = self.incident.as_ref().map(|incident| (incident.time(), incident.now()));
                let (since, now) = quiet_since.unwrap_or((time, deadline));
                let time = since.saturating_add_micros(deadline.saturating_sub(now));
                self.resolve(&value, time, deadline, events);
                false
            }
            Due::Forget => {
                self.resolve(&value, time, deadline, events);
                // A sensor that still sends events is not gone.
                let parent = self.parent.take();
                let gone = parent.is_none();
                *self = Self {
                    parent,
                    root: self.root.take(),
                    ..Self::new(&self.sensor)
                };
                gone
            }
            Due::Yield | Due::ForgetEvents => false,
        }
    }

    /// Moves its times to a clock that is ahead by this much.
    pub fn shift(&mut self, ahead: i64) {
        if let Some(last) = &mut self.last {
            last.now = last.now.saturating_add(ahead);
        }
        if let Some(incident) = &mut self.incident {
            incident.shift(ahead);
        }
        self.flap_damping.shift(ahead);
        if let Some(parent) = &mut self.parent {
            parent.shift(ahead);
        }
    }

    /// Notes a reading; returns for how long the value has been the same.
    fn follow(&mut self, time: Timestamp, value: &Value, now: i64) -> Lasting {
        let mut same_since = time;
        let mut longest_same = 0;
        if let Some(last) = &self.last {
            longest_same = last.longest_same;
            if last.value == *value {
                same_since = last.same_since;
            } else {
                longest_same = longest_same.max(last.time.as_micros() - last.same_since.as_micros());
            }
        }
        self.last = Some(Last {
            time,
            value: value.clone(),
            now,
            same_since,
            longest_same,
        });
        Lasting {
            micros: time.as_micros() - same_since.as_micros(),
            before: longest_same,
        }
    }

    /// The quiet period without flap damping.
    fn usual_quiet(&self, settings: &Settings) -> i64 {
        let longest = self.detectors.silence.longest();
        settings.quiet.as_micros().max(longest.saturating_mul(QUIET_INTERVALS))
    }

    fn alarm(&mut self, alarm: &Alarm<'_>, settings: &Settings, events: &mut Vec<Event>) {
        let change = match &mut self.incident {
            Some(incident) => incident.join(alarm).then_some(Change::Worsened),
            None => {
                let later = self.began.map_or(i64::MIN, |began| began.saturating_add(1));
                let since = Timestamp::from_micros(alarm.time.as_micros().max(later)).unwrap_or(Timestamp::MAX);
                self.began = Some(since.as_micros());
                self.flap_damping
                    .open(alarm.kinds, alarm.now, self.usual_quiet(settings));
                self.incident = Some(Incident::open(since, alarm));
                Some(Change::Opened)
            }
        };
        if let (Some(change), Some(incident)) = (change, &self.incident) {
            events.push(Event::Incident(incident.transition_by(change, &self.sensor, alarm)));
        }
    }

    fn resolve(&mut self, value: &Value, time: Timestamp, now: i64, events: &mut Vec<Event>) {
        if let Some(incident) = self.incident.take() {
            self.flap_damping.close(incident.kinds(), now);
            events.push(Event::Incident(incident.resolved(&self.sensor, value, time)));
        }
    }
}
