//! The state of all sensors that share a partition key. Pure: the same readings give the same state and the same events,
//! however they are cut into batches, and whether they were folded or replayed.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use wire::{Fields, Identity, Reading, Sensor, Timestamp, Value};

use crate::deadlines::{Deadlines, NEVER};
use crate::derived::{self, Parent, Yields};
use crate::journal::{self, Operation, Operations};
use crate::page_state::PageState;
use crate::producers::Producers;
use crate::state::StateError;
use crate::track::{self, Due, Track};
use crate::{Advance, Derived, Disposition, Event, Folded, Foresight, Journal, Settings};

/// What a sensor of weight 1 takes in memory at most, all that is kept of it included.
pub const SENSOR_BYTES: usize = 5 * 1024;

/// The state of all sensors that share a partition key.
#[derive(Clone, Debug, Default)]
pub struct Page {
    state: PageState,
    /// Where each sensor stands in the state, by its id.
    index: HashMap<Box<str>, u32>,
    /// Places of sensors that were forgotten; the lowest is taken first.
    free: BTreeSet<u32>,
    deadlines: Deadlines,
    /// When each sensor may be evicted.
    evictable: Deadlines,
    /// Of all sensors together.
    weight: u64,
    /// What followed from events in the latest fold, in order.
    derived: Vec<Derived>,
    /// Room to work in.
    digest: Vec<u64>,
    yields: Yields,
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
    /// caused. A late reading does none of that, and neither does one that is refused because the page is full: see
    /// [`Settings::max_sensors_per_partition`]. What follows from events is then in [`derived`](Self::derived).
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
                Operation::Eviction(index) => {
                    let track = self.state.tracks.get(index as usize).and_then(Option::as_ref);
                    track.ok_or_else(|| journal::damaged(format!("sensor {index} is not known")))?;
                    self.remove(index);
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
        self.state.encode()
    }

    /// What [`encode`](Self::encode) wrote, where its weight is `most_weight` or less.
    pub fn decode(bytes: &[u8], most_weight: u64) -> Result<Self, StateError> {
        PageState::decode(bytes, most_weight).map(Self::of)
    }

    /// How many sensors it holds, where those of which more is kept count as several: each takes at most [`SENSOR_BYTES`] in
    /// memory.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Keeps the sensors whose hash lies in `slice`, and what is derived from them. Producers go: their numbers count another lane's records.
    pub fn restrict(&mut self, slice: &RangeInclusive<u128>) {
        let mut state = std::mem::take(&mut self.state);
        state.producers = Producers::default();
        let within = |track: &Option<Track>| track.as_ref().is_some_and(|track| slice.contains(&track.hash()));
        state.tracks.retain(within);
        *self = Self::of(state);
    }

    /// One page of all sensors of several; of a sensor in two of them, the newer state. Where they are more than the limit,
    /// those heard longest ago are left out. Without producers: see [`restrict`](Self::restrict).
    pub fn merge(pages: impl IntoIterator<Item = Self>) -> Self {
        let pages: Vec<_> = pages.into_iter().collect();
        let mut state = PageState::default();
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
        shrink(&mut state);
        Self::of(state)
    }

    fn of(state: PageState) -> Self {
        let mut page = Self {
            state,
            ..Self::default()
        };
        for (place, track) in (0..).zip(&page.state.tracks) {
            match track {
                Some(track) => {
                    page.index.insert(track.sensor.id().into(), place);
                    page.deadlines.set(place, track.deadline(&page.state.settings, false));
                    page.evictable.set(place, track.evictable());
                    page.weight += track.weight();
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

    /// The place of a sensor that is `known`, or of a new one. `None` where it would take the page beyond its limit, with so
    /// much more weight than it has now, even without the sensors that may be evicted.
    ///
    /// The limit is that of the settings, and time that of the page: so it does not matter how readings are cut into batches.
    fn place(&mut self, known: Option<u32>, more: u64, journal: &mut Journal) -> Option<u32> {
        let more = more + u64::from(known.is_none());
        if more == 0 {
            return known;
        }
        let now = self.state.clock.now();
        let limit = self.limit();
        while self.weight + more > limit {
            let tracks = &self.state.tracks;
            let evictable = |index: u32| tracks[index as usize].as_ref().map_or(NEVER, Track::evictable);
            let Some(index) = self.evictable.next(now, evictable) else {
                break;
            };
            if known != Some(index) {
                journal.eviction(index);
                self.remove(index);
            }
        }
        if let Some(known) = known {
            // Its turn may have come in the loop.
            self.schedule(known);
        }
        (self.weight + more <= limit).then(|| known.unwrap_or_else(|| self.vacant()))
    }

    /// The most weight at which a sensor is admitted.
    fn limit(&self) -> u64 {
        u64::from(self.state.settings.max_sensors_per_partition.get())
    }

    /// Forgets a sensor.
    fn remove(&mut self, index: u32) {
        if let Some(track) = self.state.tracks[index as usize].take() {
            self.weight -= track.weight();
            self.index.remove(track.sensor.id());
            self.free.insert(index);
        }
        self.schedule(index);
    }

    /// What is due for a sensor may have changed.
    fn schedule(&mut self, index: u32) {
        let track = self.state.tracks[index as usize].as_ref();
        let deadline = |track: &Track| track.deadline(&self.state.settings, false);
        self.deadlines.set(index, track.map_or(NEVER, deadline));
        self.evictable.set(index, track.map_or(NEVER, Track::evictable));
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
                let track = Track::new(sensor);
                self.weight += track.weight();
                *none = Some(track);
                self.index.insert(sensor.id().into(), index);
                self.free.remove(&index);
            }
        }
    }

    fn apply(&mut self, index: u32, time: Timestamp, value: &Value, events: &mut Vec<Event>) -> Folded {
        self.state.clock.advance(time.as_micros());
        let now = self.state.clock.now();
        self.happen(now, index, events);
        let PageState { settings, tracks, .. } = &mut self.state;
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

    /// An event by its digest.
    fn take(&mut self, index: u32, time: i64, digest: &[u64], events: &mut Vec<Event>) {
        self.state.clock.advance(time);
        let now = self.state.clock.now();
        self.happen(now, index, events);
        let mut yields = std::mem::take(&mut self.yields);
        let PageState { settings, tracks, .. } = &mut self.state;
        if let Some(track) = &mut tracks[index as usize] {
            let new = || Box::new(Parent::new(settings, time, now));
            let before = track.weight();
            let parent = track.parent.get_or_insert_with(new);
            parent.take(settings, time, now, digest, &mut yields);
            self.weight = self.weight - before + track.weight();
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
            let known = self.index.get(sensor.id()).copied();
            // Those that send the events were admitted; what follows from them may weigh as much again.
            if known.is_none() && self.weight >= 2 * self.limit() {
                continue;
            }
            let index = known.unwrap_or_else(|| self.vacant());
            let track = self.state.tracks.get(index as usize).and_then(Option::as_ref);
            if track.is_none_or(|track| *track.sensor != sensor) {
                self.describe(index, &Arc::new(sensor));
            }
            let PageState { settings, tracks, .. } = &mut self.state;
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

    /// All that is due by now, in order.
    fn happen(&mut self, now: i64, speaking: u32, events: &mut Vec<Event>) {
        let due = |state: &PageState, index: u32| {
            let track = state.tracks[index as usize].as_ref();
            track.and_then(|track| track.due(&state.settings, index == speaking))
        };
        let deadline = |state: &PageState, index| due(state, index).map_or(NEVER, |(deadline, _)| deadline);
        while let Some(index) = self.deadlines.next(now, |index| deadline(&self.state, index)) {
            let Some((at, due)) = due(&self.state, index) else {
                continue;
            };
            let PageState { settings, tracks, .. } = &mut self.state;
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
            // The sensor that speaks has other deadlines.
            self.deadlines.set(index, deadline(&self.state, index));
        }
    }
}

/// Leaves out the sensors heard longest ago, as far as the limit of the settings demands it; last those with an open incident.
fn shrink(state: &mut PageState) {
    let limit = u64::from(state.settings.max_sensors_per_partition.get());
    let mut weight: u64 = state.tracks.iter().flatten().map(Track::weight).sum();
    let mut oldest: Vec<_> = (0..)
        .zip(&state.tracks)
        .filter_map(|(place, track)| track.as_ref().map(|track| (track.evictable(), track.heard(), place)))
        .collect();
    oldest.sort_unstable();
    for (_, _, place) in oldest {
        if weight <= limit {
            break;
        }
        let place: usize = place;
        weight -= state.tracks[place].take().map_or(0, |track| track.weight());
    }
    state.tracks.retain(Option::is_some);
}
