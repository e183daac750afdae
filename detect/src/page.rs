//! The state of all sensors that share a partition key. Pure: the same readings give the same state and the same events,
//! however they are cut into batches, and whether they were folded or replayed.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Identity, Reading, Sensor, Timestamp, Value};

use crate::clock::Clock;
use crate::deadlines::Deadlines;
use crate::journal::{self, Operation, Operations};
use crate::producers::Producers;
use crate::state::{self, StateError};
use crate::track::Track;
use crate::version_1::PageState;
use crate::{Advance, Event, Journal, Kinds, Settings};

const WHAT: &str = "page";
const VERSION: u8 = 2;

/// What a fold found out about a reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folded {
    /// Whether it moved the state.
    pub disposition: Disposition,
    /// On the seeds' scale, where 2 is an alert; 0 where it was not judged.
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
    /// An event: nothing to judge by itself.
    Event,
}

impl Folded {
    fn unjudged(disposition: Disposition, incident: Option<Timestamp>) -> Self {
        Self {
            disposition,
            score: 0.0,
            expected: None,
            kinds: Kinds::NONE,
            incident,
        }
    }
}

/// The state of all sensors that share a partition key.
#[derive(Clone, Debug, Default)]
pub struct Page {
    state: State,
    /// Where each sensor stands in the state, by its id.
    index: HashMap<Box<str>, u32>,
    /// Places of sensors that were forgotten; the lowest is taken first.
    free: BTreeSet<u32>,
    deadlines: Deadlines,
}

/// All that is stored. The rest of a page follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    settings: Settings,
    clock: Clock,
    producers: Producers,
    tracks: Vec<Option<Track>>,
}

impl From<PageState> for State {
    fn from(before: PageState) -> Self {
        let tracks = before.tracks.into_iter().map(|track| track.map(Track::from));
        Self {
            settings: before.settings.into(),
            clock: before.clock,
            producers: before.producers,
            tracks: tracks.collect(),
        }
    }
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
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
        if let Value::Event(_) = reading.value() {
            return Folded::unjudged(Disposition::Event, None);
        }
        let known = self.index.get(reading.sensor().id()).copied();
        let track = known.and_then(|index| self.state.tracks[index as usize].as_ref());
        let previous = track.and_then(Track::time);
        if previous.is_some_and(|previous| reading.time() <= previous) {
            return Folded::unjudged(Disposition::Late, track.and_then(Track::incident));
        }
        let described = track
            .is_some_and(|track| Arc::ptr_eq(&track.sensor, reading.sensor()) || track.sensor == *reading.sensor());
        if self.state.settings != *settings {
            journal.settings(settings);
            self.change(settings.clone());
        }
        let index = known
            .or(self.free.first().copied())
            .unwrap_or(self.state.tracks.len() as u32);
        if !described {
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
                Operation::Settings(settings) => self.change(settings),
                Operation::Producer(identity, arrival) => {
                    self.state.producers.advance(identity, arrival);
                }
                Operation::Sensor(index, sensor) => {
                    let free = index as usize == self.state.tracks.len() || self.free.contains(&index);
                    let known = self.index.get(sensor.id()).copied();
                    if known.map_or(!free, |known| known != index) {
                        let problem = format!("sensor {:?} cannot be at {index}", sensor.id());
                        return Err(journal::damaged(problem));
                    }
                    self.describe(index, &sensor);
                }
                Operation::Reading { index, step, value } => {
                    let track = self.state.tracks.get(index as usize).and_then(Option::as_ref);
                    let track = track.ok_or_else(|| journal::damaged(format!("sensor {index} is not known")))?;
                    let previous = track.time().unwrap_or_default().as_micros();
                    let time = previous.checked_add(step).and_then(Timestamp::from_micros);
                    let time = time.filter(|time| track.time().is_none_or(|previous| *time > previous));
                    let time = time.ok_or_else(|| journal::damaged(format!("sensor {index} has no such time")))?;
                    let reading = Reading::new(track.sensor.clone(), time, value).map_err(journal::damaged)?;
                    self.apply(index, time, reading.value(), &mut told);
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
        let state = match body[0] {
            1 => postcard::from_bytes::<PageState>(&body[1..]).map(State::from),
            _ => postcard::from_bytes(&body[1..]),
        };
        Ok(Self::of(state.map_err(|error| StateError::damaged(WHAT, error))?))
    }

    /// Keeps the sensors whose hash lies in `slice`. Producers go: their numbers count another lane's records.
    pub fn restrict(&mut self, slice: &RangeInclusive<u128>) {
        let mut state = std::mem::take(&mut self.state);
        state.producers = Producers::default();
        let within = |track: &Option<Track>| track.as_ref().is_some_and(|track| slice.contains(&track.sensor.hash()));
        state.tracks.retain(within);
        *self = Self::of(state);
    }

    /// One page of all sensors of several; of a sensor in two of them, the newer state. Without producers: see
    /// [`restrict`](Self::restrict).
    pub fn merge(pages: impl IntoIterator<Item = Self>) -> Self {
        let pages: Vec<_> = pages.into_iter().collect();
        let mut state = State::default();
        for page in &pages {
            state.clock = state.clock.merge(&page.state.clock);
        }
        let mut places = HashMap::<Box<str>, usize>::new();
        for page in pages {
            state.settings = page.state.settings;
            let ahead = state.clock.now() - page.state.clock.now();
            for mut track in page.state.tracks.into_iter().flatten() {
                track.shift(ahead);
                match places.get(track.sensor.id()) {
                    None => {
                        places.insert(track.sensor.id().into(), state.tracks.len());
                        state.tracks.push(Some(track));
                    }
                    Some(&place) => {
                        let known = &mut state.tracks[place];
                        if known.as_ref().and_then(Track::time) < track.time() {
                            *known = Some(track);
                        }
                    }
                }
            }
        }
        Self::of(state)
    }

    fn of(state: State) -> Self {
        let mut page = Self {
            state,
            ..Self::default()
        };
        for (place, track) in (0..).zip(&page.state.tracks) {
            match track {
                Some(track) => {
                    page.index.insert(track.sensor.id().into(), place);
                    page.deadlines.set(place, track.deadline(&page.state.settings, false));
                }
                None => {
                    page.free.insert(place);
                }
            }
        }
        page
    }

    /// Other settings are in force from here on.
    fn change(&mut self, settings: Settings) {
        self.state.settings = settings;
        let state = std::mem::take(&mut self.state);
        *self = Self::of(state);
    }

    fn describe(&mut self, index: u32, sensor: &Arc<Sensor>) {
        let place = index as usize;
        if place == self.state.tracks.len() {
            self.state.tracks.push(None);
        }
        match &mut self.state.tracks[place] {
            Some(track) => track.sensor = sensor.clone(),
            none => {
                *none = Some(Track::new(sensor));
                self.index.insert(sensor.id().into(), index);
                self.free.remove(&index);
            }
        }
    }

    fn apply(&mut self, index: u32, time: Timestamp, value: &Value, events: &mut Vec<Event>) -> Folded {
        self.state.clock.advance(time.as_micros());
        let now = self.state.clock.now();
        self.happen(now, index, events);
        let State { settings, tracks, .. } = &mut self.state;
        let track = tracks[index as usize]
            .as_mut()
            .expect("the sensor that speaks is never forgotten");
        let finding = track.observe(time, value, now, settings, events);
        self.deadlines.set(index, track.deadline(settings, false));
        Folded {
            disposition: Disposition::Fresh,
            score: finding.score,
            expected: finding.expected,
            kinds: finding.kinds,
            incident: track.incident(),
        }
    }

    /// All that is due by now, in order.
    fn happen(&mut self, now: i64, speaking: u32, events: &mut Vec<Event>) {
        let State { settings, tracks, .. } = &mut self.state;
        let due = |tracks: &[Option<Track>], index: u32| {
            tracks[index as usize]
                .as_ref()
                .and_then(|track| track.due(settings, index == speaking))
        };
        let deadline = |tracks: &[Option<Track>], index| {
            due(tracks, index).map_or(crate::deadlines::NEVER, |(deadline, _)| deadline)
        };
        while let Some(index) = self.deadlines.next(now, |index| deadline(tracks, index)) {
            let Some((at, due)) = due(tracks, index) else { continue };
            let Some(track) = &mut tracks[index as usize] else {
                continue;
            };
            if track.happen(due, at, settings, events) {
                self.index.remove(track.sensor.id());
                self.free.insert(index);
                tracks[index as usize] = None;
            }
            self.deadlines.set(index, deadline(tracks, index));
        }
    }
}
