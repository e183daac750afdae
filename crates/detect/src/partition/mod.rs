//! The state of all sensors that share a partition key. The same readings give the same state and events, however they
//! are cut into batches, and whether they are folded or replayed. Read in this order: this file, `state`, `places`,
//! `replay`, `merge`.

mod merge;
mod places;
mod replay;
mod state;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use wire::{Fields, Identity, Reading, Timestamp, Value};

use self::state::PartitionState;
use crate::deadlines::{Deadlines, NEVER};
use crate::derived::{self, Parent, Yields};
use crate::stored::StateError;
use crate::track::{self, Due, Track};
use crate::{Advance, Derived, Disposition, DryRun, Event, Folded, Journal, Settings};

/// The most memory that a sensor of weight 1 takes, in bytes.
pub const SENSOR_BYTES: usize = 5 * 1024;

/// The state of all sensors that share a partition key.
#[derive(Clone, Debug, Default)]
pub struct Partition {
    state: PartitionState,
    /// The place of each sensor in the state, by id.
    index: HashMap<Box<str>, u32>,
    /// Free places; the lowest is taken first.
    free: BTreeSet<u32>,
    deadlines: Deadlines,
    /// When each sensor may be evicted.
    evictable: Deadlines,
    /// Of all sensors together.
    weight: u64,
    /// Readings derived in the latest fold, in order.
    derived: Vec<Derived>,
    /// Buffers.
    digest: Vec<u64>,
    yields: Yields,
}

impl PartialEq for Partition {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

impl Partition {
    /// An empty partition.
    pub fn new() -> Self {
        Self::default()
    }

    /// Folds a reading: scores it, changes the state, and appends to `journal` and to `events`. Nothing of that happens
    /// if the reading is late, or refused because the partition is full: see [`Settings::max_sensors_per_partition`].
    /// Readings derived from events are then in [`derived`](Self::derived).
    pub fn fold(
        &mut self,
        reading: &Reading,
        settings: &Settings,
        journal: &mut Journal,
        events: &mut Vec<Event>,
    ) -> Folded {
        self.derived.clear();
        if let Value::Event(event) = reading.value() {
            return self.fold_event(reading, event, settings, journal, events);
        }
        let known = self.index.get(reading.sensor().id()).copied();
        let track = known.and_then(|index| self.state.tracks[index as usize].as_ref());
        let previous = track.and_then(Track::time);
        if previous.is_some_and(|previous| reading.time() <= previous) {
            return Folded::unjudged(Disposition::Late, track.and_then(Track::incident));
        }
        let described = track
            .is_some_and(|track| Arc::ptr_eq(&track.sensor, reading.sensor()) || track.sensor == *reading.sensor());
        let more = track::weight_of(reading.value()).saturating_sub(track.map_or(0, Track::weight_of_value));
        self.obey(settings, journal);
        let Some(index) = self.place(known, more, journal) else {
            return Folded::unjudged(Disposition::Refused, None);
        };
        if !described {
            journal.sensor(index, reading.sensor());
            self.describe(index, reading.sensor());
        }
        let step = reading.time().as_micros() - previous.unwrap_or_default().as_micros();
        journal.reading(index, step, reading.value());
        self.apply(index, reading.time(), reading.value(), events)
    }

    /// What is known about a sensor, if it has a reading.
    pub fn dry_run(&self, sensor: &str) -> Option<DryRun<'_>> {
        let index = *self.index.get(sensor)?;
        DryRun::of(self.state.tracks[index as usize].as_ref()?, &self.state.settings)
    }

    /// Readings derived from events while the latest reading was folded, in order.
    pub fn derived(&self) -> &[Derived] {
        &self.derived
    }

    fn fold_event(
        &mut self,
        reading: &Reading,
        event: &Fields,
        settings: &Settings,
        journal: &mut Journal,
        events: &mut Vec<Event>,
    ) -> Folded {
        if !derived::concerns(settings, reading.sensor()) {
            return Folded::unjudged(Disposition::Event, None);
        }
        self.obey(settings, journal);
        let (sensor, time) = (reading.sensor(), reading.time().as_micros());
        let known = self.index.get(sensor.id()).copied();
        let track = known.and_then(|index| self.state.tracks[index as usize].as_ref());
        let parent = track.and_then(|track| track.parent.as_deref());
        let mut digest = std::mem::take(&mut self.digest);
        digest.clear();
        let moment = (time, self.state.clock.now());
        let concern = derived::digest(&self.state.settings, parent, sensor, event, moment, &mut digest);
        if concern.taken {
            let previous = parent.map_or(0, Parent::latest);
            let described = track.is_some_and(|track| track.sensor == *sensor);
            let more = match parent {
                Some(_) => 0,
                None => derived::weight_of(&self.state.settings, sensor),
            };
            let Some(index) = self.place(known, more, journal) else {
                self.digest = digest;
                return Folded::unjudged(Disposition::Refused, None);
            };
            if !described {
                journal.sensor(index, sensor);
                self.describe(index, sensor);
            }
            journal.event(index, time - previous, &digest);
            self.take(index, time, &digest, events);
        }
        self.digest = digest;
        let disposition = if concern.late {
            Disposition::Late
        } else {
            Disposition::Event
        };
        Folded::unjudged(disposition, None)
    }

    /// Advances a producer to a record that arrived at `arrival` by the stream's clock. A producer silent for a day is
    /// forgotten.
    pub fn advance(&mut self, identity: Identity, arrival: Timestamp, journal: &mut Journal) -> Advance {
        let advance = self.state.producers.advance(identity, arrival);
        if advance == Advance::New {
            journal.producer(identity, arrival);
        }
        advance
    }

    /// Encodes the state: a version, the state, a digest.
    pub fn encode(&self) -> Vec<u8> {
        self.state.encode()
    }

    /// Decodes a state of at most `most_weight`.
    pub fn decode(bytes: &[u8], most_weight: u64) -> Result<Self, StateError> {
        PartitionState::decode(bytes, most_weight).map(Self::of)
    }

    /// How many sensors it holds, where those of which more is kept count as several: each takes at most
    /// [`SENSOR_BYTES`] in memory.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    fn of(state: PartitionState) -> Self {
        let mut partition = Self {
            state,
            ..Self::default()
        };
        for (place, track) in (0..).zip(&partition.state.tracks) {
            match track {
                Some(track) => {
                    partition.index.insert(track.sensor.id().into(), place);
                    partition
                        .deadlines
                        .set(place, track.deadline(&partition.state.settings, false));
                    partition.evictable.set(place, track.evictable());
                    partition.weight += track.weight();
                }
                None => {
                    partition.free.insert(place);
                }
            }
        }
        partition
    }

    /// Applies these settings from here on, if they are new.
    fn obey(&mut self, settings: &Settings, journal: &mut Journal) {
        if self.state.settings == *settings {
            self.state.settings.rates.share(&settings.rates);
        } else {
            journal.settings(settings);
            self.change(settings.clone());
        }
    }

    /// Changes the settings.
    fn change(&mut self, settings: Settings) {
        for track in self.state.tracks.iter_mut().flatten() {
            if let Some(parent) = &mut track.parent {
                parent.change(&self.state.settings, &settings);
            }
        }
        self.state.settings = settings;
        let state = std::mem::take(&mut self.state);
        *self = Self::of(state);
    }

    fn apply(&mut self, index: u32, time: Timestamp, value: &Value, events: &mut Vec<Event>) -> Folded {
        self.state.clock.advance(time.as_micros());
        let now = self.state.clock.now();
        self.happen(now, index, events);
        let PartitionState { settings, tracks, .. } = &mut self.state;
        let track = tracks[index as usize]
            .as_mut()
            .expect("the sensor that speaks is never forgotten");
        let before = track.weight();
        let finding = track.observe(time, value, now, settings, events);
        self.weight = self.weight - before + track.weight();
        let folded = Folded {
            disposition: Disposition::Fresh,
            score: finding.score,
            expected: finding.expected,
            kinds: finding.kinds,
            incident: track.incident(),
        };
        self.schedule(index);
        folded
    }

    /// Takes in an event by its digest.
    fn take(&mut self, index: u32, time: i64, digest: &[u64], events: &mut Vec<Event>) {
        self.state.clock.advance(time);
        let now = self.state.clock.now();
        self.happen(now, index, events);
        let mut yields = std::mem::take(&mut self.yields);
        let PartitionState { settings, tracks, .. } = &mut self.state;
        if let Some(track) = &mut tracks[index as usize] {
            let new = || Box::new(Parent::new(settings, time, now));
            let before = track.weight();
            let parent = track.parent.get_or_insert_with(new);
            parent.take(settings, time, now, digest, &mut yields);
            self.weight = self.weight - before + track.weight();
        }
        self.derive(index, now, yields, events);
    }

    /// Judges the readings derived from events of this sensor.
    fn derive(&mut self, from: u32, now: i64, mut yields: Yields, events: &mut Vec<Event>) {
        for one in yields.all.drain(..) {
            let Some(root) = &self.state.tracks[from as usize] else {
                break;
            };
            let hash = root.hash();
            let Some(sensor) = derived::derived_sensor(&self.state.settings, one.place, &root.sensor) else {
                continue;
            };
            let known = self.index.get(sensor.id()).copied();
            // The sensors that send events were admitted; those derived from them may weigh as much again.
            if known.is_none() && self.weight >= 2 * self.limit() {
                continue;
            }
            let index = known.unwrap_or_else(|| self.vacant());
            let track = self.state.tracks.get(index as usize).and_then(Option::as_ref);
            if track.is_none_or(|track| *track.sensor != sensor) {
                self.describe(index, &Arc::new(sensor));
            }
            let PartitionState { settings, tracks, .. } = &mut self.state;
            let Some(track) = &mut tracks[index as usize] else {
                continue;
            };
            track.root = Some(Box::new(hash));
            let time = Timestamp::from_micros(one.time).unwrap_or(Timestamp::MAX);
            let Ok(reading) = Reading::new(track.sensor.clone(), time, one.value) else {
                continue;
            };
            // Another sensor may have this id and a newer reading.
            let folded = if track.time().is_some_and(|previous| time <= previous) {
                Folded::unjudged(Disposition::Late, track.incident())
            } else {
                let before = track.weight();
                let finding = track.observe(time, reading.value(), now, settings, events);
                self.weight = self.weight - before + track.weight();
                Folded {
                    disposition: Disposition::Fresh,
                    score: finding.score,
                    expected: finding.expected,
                    kinds: finding.kinds,
                    incident: track.incident(),
                }
            };
            self.schedule(index);
            self.derived.push(Derived { reading, folded });
        }
        self.yields = yields;
        self.schedule(from);
    }

    /// Does all that is due by now, in order.
    fn happen(&mut self, now: i64, speaking: u32, events: &mut Vec<Event>) {
        let due = |state: &PartitionState, index: u32| {
            let track = state.tracks[index as usize].as_ref();
            track.and_then(|track| track.due(&state.settings, index == speaking))
        };
        let deadline = |state: &PartitionState, index| due(state, index).map_or(NEVER, |(deadline, _)| deadline);
        while let Some(index) = self.deadlines.next(now, |index| deadline(&self.state, index)) {
            let Some((at, due)) = due(&self.state, index) else {
                continue;
            };
            let PartitionState { settings, tracks, .. } = &mut self.state;
            let Some(track) = &mut tracks[index as usize] else {
                continue;
            };
            if due == Due::Yield {
                let mut yields = std::mem::take(&mut self.yields);
                if let Some(parent) = &mut track.parent {
                    parent.pass(settings, at, &mut yields);
                }
                self.derive(index, at, yields, events);
            } else {
                let before = track.weight();
                let gone = track.happen(due, at, settings, events);
                self.weight = self.weight - before + track.weight();
                match gone {
                    true => self.remove(index),
                    false => self.schedule(index),
                }
            }
            // The sensor of the current reading has other deadlines.
            self.deadlines.set(index, deadline(&self.state, index));
        }
    }
}
