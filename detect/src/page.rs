//! The state of all sensors that share a partition key. Pure: the same readings give the same state and the same events,
//! however they are cut into batches, and whether they were folded or replayed.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wire::{Fields, Identity, Reading, Sensor, Timestamp, Value};

use crate::clock::Clock;
use crate::deadlines::{Deadlines, NEVER};
use crate::derived::{self, Parent, Yields};
use crate::journal::{self, Operation, Operations};
use crate::producers::Producers;
use crate::state::{self, StateError};
use crate::track::{Due, Track};
use crate::{Advance, Derived, Disposition, Event, Folded, Foresight, Journal, Settings, version_1, version_2};

const WHAT: &str = "page";
const VERSION: u8 = 3;

/// The state of all sensors that share a partition key.
#[derive(Clone, Debug, Default)]
pub struct Page {
    state: State,
    /// Where each sensor stands in the state, by its id.
    index: HashMap<Box<str>, u32>,
    /// Places of sensors that were forgotten; the lowest is taken first.
    free: BTreeSet<u32>,
    deadlines: Deadlines,
    /// What followed from events in the latest fold, in order.
    derived: Vec<Derived>,
    /// Room to work in.
    digest: Vec<u64>,
    yields: Yields,
}

/// All that is stored. The rest of a page follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    settings: Settings,
    clock: Clock,
    producers: Producers,
    tracks: Vec<Option<Track>>,
}

impl From<version_1::PageState> for State {
    fn from(before: version_1::PageState) -> Self {
        let tracks = before.tracks.into_iter().map(|track| track.map(Track::from));
        Self {
            settings: before.settings.into(),
            clock: before.clock,
            producers: before.producers,
            tracks: tracks.collect(),
        }
    }
}

impl From<version_2::PageState> for State {
    fn from(before: version_2::PageState) -> Self {
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
    /// caused. A late reading does none of that. What follows from events is then in [`derived`](Self::derived).
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
        self.obey(settings, journal);
        let index = known.unwrap_or_else(|| self.vacant());
        if !described {
            journal.sensor(index, reading.sensor());
            self.describe(index, reading.sensor());
        }
        let step = reading.time().as_micros() - previous.unwrap_or_default().as_micros();
        journal.reading(index, step, reading.value());
        self.apply(index, reading.time(), reading.value(), events)
    }

    /// What is known of a sensor that was heard.
    pub fn foresight(&self, sensor: &str) -> Option<Foresight<'_>> {
        let index = *self.index.get(sensor)?;
        Foresight::of(self.state.tracks[index as usize].as_ref()?, &self.state.settings)
    }

    /// What followed from events when the latest reading was folded, its own or others', in order.
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
            let index = known.unwrap_or_else(|| self.vacant());
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
        self.derived.clear();
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
                }
                Operation::Event { index, step, digest } => {
                    let track = self.state.tracks.get(index as usize).and_then(Option::as_ref);
                    let track = track.ok_or_else(|| journal::damaged(format!("sensor {index} is not known")))?;
                    let previous = track.parent.as_deref().map_or(0, Parent::latest);
                    let time = previous.checked_add(step).and_then(Timestamp::from_micros);
                    let time = time.ok_or_else(|| journal::damaged(format!("sensor {index} has no such time")))?;
                    self.take(index, time.as_micros(), &digest, &mut told);
                }
            }
            told.clear();
            self.derived.clear();
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
            1 => postcard::from_bytes::<version_1::PageState>(&body[1..]).map(State::from),
            2 => postcard::from_bytes::<version_2::PageState>(&body[1..]).map(State::from),
            _ => postcard::from_bytes(&body[1..]),
        };
        Ok(Self::of(state.map_err(|error| StateError::damaged(WHAT, error))?))
    }

    /// Keeps the sensors whose hash lies in `slice`, and what is derived from them. Producers go: their numbers count another lane's records.
    pub fn restrict(&mut self, slice: &RangeInclusive<u128>) {
        let mut state = std::mem::take(&mut self.state);
        state.producers = Producers::default();
        let within = |track: &Option<Track>| track.as_ref().is_some_and(|track| slice.contains(&track.hash()));
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
        state.settings = pages.last().map(|page| page.state.settings.clone()).unwrap_or_default();
        for page in pages {
            let ahead = state.clock.now() - page.state.clock.now();
            for mut track in page.state.tracks.into_iter().flatten() {
                track.shift(ahead);
                if let Some(parent) = &mut track.parent {
                    parent.change(&page.state.settings, &state.settings);
                }
                match places.get(track.sensor.id()) {
                    None => {
                        places.insert(track.sensor.id().into(), state.tracks.len());
                        state.tracks.push(Some(track));
                    }
                    Some(&place) => {
                        let known = &mut state.tracks[place];
                        if known.as_ref().and_then(Track::newest) < track.newest() {
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

    /// These settings are in force from here on.
    fn obey(&mut self, settings: &Settings, journal: &mut Journal) {
        if self.state.settings == *settings {
            self.state.settings.rates.share(&settings.rates);
        } else {
            journal.settings(settings);
            self.change(settings.clone());
        }
    }

    /// The place of the next sensor.
    fn vacant(&self) -> u32 {
        self.free.first().copied().unwrap_or(self.state.tracks.len() as u32)
    }

    /// Other settings are in force from here on.
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

    /// An event by its digest.
    fn take(&mut self, index: u32, time: i64, digest: &[u64], events: &mut Vec<Event>) {
        self.state.clock.advance(time);
        let now = self.state.clock.now();
        self.happen(now, index, events);
        let mut yields = std::mem::take(&mut self.yields);
        let State { settings, tracks, .. } = &mut self.state;
        if let Some(track) = &mut tracks[index as usize] {
            let new = || Box::new(Parent::new(settings, time, now));
            let parent = track.parent.get_or_insert_with(new);
            parent.take(settings, time, now, digest, &mut yields);
        }
        self.derive(index, now, yields, events);
    }

    /// What follows from events of this sensor is read and judged.
    fn derive(&mut self, from: u32, now: i64, mut yields: Yields, events: &mut Vec<Event>) {
        for one in yields.all.drain(..) {
            let Some(root) = &self.state.tracks[from as usize] else {
                break;
            };
            let hash = root.hash();
            let Some(sensor) = derived::derived_sensor(&self.state.settings, one.place, &root.sensor) else {
                continue;
            };
            let index = self.index.get(sensor.id()).copied().unwrap_or_else(|| self.vacant());
            let track = self.state.tracks.get(index as usize).and_then(Option::as_ref);
            if track.is_none_or(|track| *track.sensor != sensor) {
                self.describe(index, &Arc::new(sensor));
            }
            let State { settings, tracks, .. } = &mut self.state;
            let Some(track) = &mut tracks[index as usize] else {
                continue;
            };
            track.root = Some(Box::new(hash));
            let time = Timestamp::from_micros(one.time).unwrap_or(Timestamp::MAX);
            let Ok(reading) = Reading::new(track.sensor.clone(), time, one.value) else {
                continue;
            };
            // Another sensor may have this id, and have spoken.
            let folded = if track.time().is_some_and(|previous| time <= previous) {
                Folded::unjudged(Disposition::Late, track.incident())
            } else {
                let finding = track.observe(time, reading.value(), now, settings, events);
                Folded {
                    disposition: Disposition::Fresh,
                    score: finding.score,
                    expected: finding.expected,
                    kinds: finding.kinds,
                    incident: track.incident(),
                }
            };
            self.deadlines.set(index, track.deadline(settings, false));
            self.derived.push(Derived { reading, folded });
        }
        self.yields = yields;
        let track = self.state.tracks[from as usize].as_ref();
        let deadline = track.map_or(NEVER, |track| track.deadline(&self.state.settings, false));
        self.deadlines.set(from, deadline);
    }

    /// All that is due by now, in order.
    fn happen(&mut self, now: i64, speaking: u32, events: &mut Vec<Event>) {
        let due = |state: &State, index: u32| {
            let track = state.tracks[index as usize].as_ref();
            track.and_then(|track| track.due(&state.settings, index == speaking))
        };
        let deadline = |state: &State, index| due(state, index).map_or(NEVER, |(deadline, _)| deadline);
        while let Some(index) = self.deadlines.next(now, |index| deadline(&self.state, index)) {
            let Some((at, due)) = due(&self.state, index) else {
                continue;
            };
            let State { settings, tracks, .. } = &mut self.state;
            let Some(track) = &mut tracks[index as usize] else {
                continue;
            };
            if due == Due::Yield {
                let mut yields = std::mem::take(&mut self.yields);
                if let Some(parent) = &mut track.parent {
                    parent.pass(settings, at, &mut yields);
                }
                self.derive(index, at, yields, events);
            } else if track.happen(due, at, settings, events) {
                self.index.remove(track.sensor.id());
                self.free.insert(index);
                tracks[index as usize] = None;
            }
            self.deadlines.set(index, deadline(&self.state, index));
        }
    }
}
