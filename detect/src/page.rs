//! The state of all sensors that share a partition key. Pure: the same readings give the same state and the same events,
//! however they are cut into batches, and whether they were folded or replayed.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Identity, Reading, Sensor, Timestamp, Value};

use crate::journal::{self, Operation, Operations};
use crate::producers::Producers;
use crate::state::{self, StateError};
use crate::{Advance, Event, Journal, Kinds, Settings, encoding};

const WHAT: &str = "page";
const VERSION: u8 = 1;

/// What a fold found out about a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folded {
    /// Whether it moved the state.
    pub disposition: Disposition,
    /// On the seeds' scale, where 2 is an alert; 0 where it is late.
    pub score: f64,
    /// The lowest and the highest value that would have been usual, where the detector knows.
    pub expected: Option<(f64, f64)>,
    /// What is wrong with it.
    pub kinds: Kinds,
    /// When the incident began that is open for the sensor after this reading.
    pub incident: Option<Timestamp>,
}

/// Whether a reading moved the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Newer than all its sensor said before.
    Fresh,
    /// Not newer than its sensor's last one: repeated or out of order. It moved nothing.
    Late,
}

/// The state of all sensors that share a partition key.
#[derive(Clone, Debug, Default)]
pub struct Page {
    state: State,
    /// Where a sensor's id stands in the state.
    index: HashMap<Box<str>, u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    settings: Settings,
    producers: Producers,
    sensors: Vec<Track>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Track {
    #[serde(with = "encoding::sensor")]
    sensor: Arc<Sensor>,
    #[serde(with = "encoding::timestamp")]
    time: Timestamp,
}

impl Page {
    /// Without sensors and without producers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a reading in: scores it, moves the state, appends to `journal` what replays it, and to `events` what it
    /// caused. A late reading does none of that.
    pub fn fold(
        &mut self,
        reading: &Reading,
        settings: &Settings,
        journal: &mut Journal,
        events: &mut Vec<Event>,
    ) -> Folded {
        let known = self.index.get(reading.sensor().id()).copied();
        let previous = known.map(|index| self.state.sensors[index as usize].time);
        if previous.is_some_and(|previous| reading.time() <= previous) {
            return Folded {
                disposition: Disposition::Late,
                score: 0.0,
                expected: None,
                kinds: Kinds::NONE,
                incident: None,
            };
        }
        if self.state.settings != *settings {
            journal.settings(settings);
            self.state.settings = settings.clone();
        }
        let index = known.unwrap_or(self.state.sensors.len() as u32);
        let same = known.is_some_and(|index| {
            let sensor = &self.state.sensors[index as usize].sensor;
            Arc::ptr_eq(sensor, reading.sensor()) || sensor == reading.sensor()
        });
        if !same {
            journal.sensor(index, reading.sensor());
            self.describe(index, reading.sensor());
        }
        let step = reading.time().as_micros() - previous.unwrap_or_default().as_micros();
        journal.reading(index, step, reading.value());
        self.apply(index, reading.time(), reading.value(), events)
    }

    /// Moves a producer on to the record it numbered so, which arrived at `arrival` by the stream's clock. A producer
    /// that sent nothing for a day is forgotten.
    pub fn advance(&mut self, identity: Identity, arrival: Timestamp, journal: &mut Journal) -> Advance {
        let advance = self.state.producers.advance(identity, arrival);
        if advance == Advance::New {
            journal.producer(identity, arrival);
        }
        advance
    }

    /// Folds what a [`Journal`] holds, which must be the one that follows this state. No events: they were told when it
    /// was written. After an error the page is half moved and must be dropped.
    pub fn replay(&mut self, journal: &[u8]) -> Result<(), StateError> {
        let mut told = Vec::new();
        for operation in Operations::of(journal)? {
            match operation? {
                Operation::Settings(settings) => self.state.settings = settings,
                Operation::Producer(identity, arrival) => {
                    self.state.producers.advance(identity, arrival);
                }
                Operation::Sensor(index, sensor) if index as usize <= self.state.sensors.len() => {
                    self.describe(index, &sensor);
                }
                Operation::Sensor(index, _) => return Err(journal::damaged(format!("sensor {index} is out of order"))),
                Operation::Reading { index, step, value } => {
                    let track = self.state.sensors.get(index as usize);
                    let track = track.ok_or_else(|| journal::damaged(format!("sensor {index} is not known")))?;
                    let micros = track
                        .time
                        .as_micros()
                        .checked_add(step)
                        .and_then(Timestamp::from_micros);
                    let time = micros.ok_or_else(|| journal::damaged(format!("sensor {index} has no such time")))?;
                    Reading::new(track.sensor.clone(), time, value.clone()).map_err(journal::damaged)?;
                    self.apply(index, time, &value, &mut told);
                    told.clear();
                }
            }
        }
        Ok(())
    }

    /// For [`decode`](Self::decode): a version, the state, a digest.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = postcard::to_extend(&self.state, vec![VERSION]).expect("state has no form postcard lacks");
        state::seal(&mut bytes);
        bytes
    }

    /// What [`encode`](Self::encode) wrote, by this release or an older one.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        state::versioned(WHAT, bytes, VERSION)?;
        let body = state::unseal(WHAT, bytes)?;
        let state: State = postcard::from_bytes(&body[1..]).map_err(|error| StateError::damaged(WHAT, error))?;
        let index = index(&state.sensors);
        Ok(Self { state, index })
    }

    /// Keeps the sensors whose hash lies in `slice`. Producers go: their numbers count another lane's records.
    pub fn restrict(&mut self, slice: &RangeInclusive<u128>) {
        self.state.producers = Producers::default();
        self.state.sensors.retain(|track| slice.contains(&track.sensor.hash()));
        self.index = index(&self.state.sensors);
    }

    /// One page of all sensors of several; of a sensor in two of them, the newer state.
    pub fn merge(pages: impl IntoIterator<Item = Self>) -> Self {
        let mut merged = Self::new();
        for page in pages {
            for track in page.state.sensors {
                match merged.index.get(track.sensor.id()) {
                    None => {
                        merged
                            .index
                            .insert(track.sensor.id().into(), merged.state.sensors.len() as u32);
                        merged.state.sensors.push(track);
                    }
                    Some(&index) => {
                        let known = &mut merged.state.sensors[index as usize];
                        if known.time < track.time {
                            *known = track;
                        }
                    }
                }
            }
        }
        merged
    }

    fn describe(&mut self, index: u32, sensor: &Arc<Sensor>) {
        match self.state.sensors.get_mut(index as usize) {
            Some(track) => track.sensor = sensor.clone(),
            None => {
                self.index.insert(sensor.id().into(), index);
                self.state.sensors.push(Track {
                    sensor: sensor.clone(),
                    time: Timestamp::default(),
                });
            }
        }
    }

    fn apply(&mut self, index: u32, time: Timestamp, _value: &Value, _events: &mut Vec<Event>) -> Folded {
        self.state.sensors[index as usize].time = time;
        Folded {
            disposition: Disposition::Fresh,
            score: 0.0,
            expected: None,
            kinds: Kinds::NONE,
            incident: None,
        }
    }
}

fn index(sensors: &[Track]) -> HashMap<Box<str>, u32> {
    let ids = sensors.iter().map(|track| track.sensor.id().into());
    ids.zip(0..).collect()
}
