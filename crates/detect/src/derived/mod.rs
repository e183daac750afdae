//! Readings derived from events. An event has no number to judge; it changes the state of its sensor, which yields
//! ordinary readings of derived sensors.
//!
//! Only the *digest* of an event is folded and journalled: a few numbers for each derivation.

use serde::{Deserialize, Serialize};
use wire::sensor::MAX_NAME_BYTES;
use wire::{Fields, Sensor, Value};

use crate::Settings;

/// Features of log lines.
pub mod lines;

mod windows;

use self::lines::{Lines, LogLines};
use self::windows::Windows;

/// Derives readings from the events of one sensor. Times are event times in µs; `now` is the time of the sensor: that
/// of its newest event, continued by the partition's clock.
pub(crate) trait Derivation {
    /// The state before the first event.
    fn fresh(&self) -> Kept;

    /// Appends the digest of an event, at least one number; nothing if the event is irrelevant.
    fn digest(&self, sensor: &Sensor, event: &Fields, digest: &mut Vec<u64>);

    /// True if an event of that time and digest is too late to count, or repeated.
    fn misses(&self, kept: &Kept, time: i64, digest: &[u64], now: i64) -> bool;

    /// Takes in an event by its digest, and yields readings that follow at once, in order of time.
    fn take(&self, kept: &mut Kept, time: i64, digest: &[u64], yields: &mut Yields);

    /// When something is due without another event, by the time of the sensor.
    fn due(&self, kept: &Kept) -> Option<i64>;

    /// Yields what is due by now, in order of time.
    fn pass(&self, kept: &mut Kept, now: i64, yields: &mut Yields);

    /// The unit of the readings.
    fn unit(&self) -> Option<&str>;
}

/// The state of one derivation of a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Kept {
    Windows(Windows),
    /// None before the first line.
    Lines(Option<Box<Lines>>),
}

/// A derived reading.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Yield {
    /// The place of its derivation in the settings.
    pub place: usize,
    pub time: i64,
    pub value: Value,
}

/// Derived readings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Yields {
    place: usize,
    pub all: Vec<Yield>,
}

impl Yields {
    /// Adds a reading of the derived sensor.
    pub fn push(&mut self, time: i64, value: Value) {
        let place = self.place;
        self.all.push(Yield { place, time, value });
    }
}

/// Whether an event is taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Concern {
    /// A derivation takes it in.
    pub taken: bool,
    /// It is too late for a derivation that would have taken it in.
    pub late: bool,
}

/// What is kept of the events of a sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parent {
    /// Its time at its latest event, and the partition's clock then, µs.
    time: i64,
    now: i64,
    /// When its latest event happened, µs.
    latest: i64,
    /// In the order of the settings.
    kept: Vec<Kept>,
}

/// All derivations of the settings, by name.
fn derivations(settings: &Settings) -> impl Iterator<Item = (&str, &dyn Derivation)> {
    let rates = settings
        .rates
        .iter()
        .map(|(name, rate)| (name, rate as &dyn Derivation));
    rates.chain([(lines::NAME, &LogLines as &dyn Derivation)])
}

/// False if nothing is derived from events of this sensor.
pub(crate) fn concerns(settings: &Settings, sensor: &Sensor) -> bool {
    !settings.rates.is_empty() || sensor.kind() == lines::KIND
}

/// The additional weight of a sensor once it has sent an event.
pub(crate) fn weight_of(settings: &Settings, sensor: &Sensor) -> u64 {
    let lines = if sensor.kind() == lines::KIND { lines::WEIGHT } else { 0 };
    settings.rates.iter().count() as u64 * windows::WEIGHT + lines
}

/// True if both settings derive the same under this name.
fn unchanged(before: &Settings, after: &Settings, name: &str) -> bool {
    before.rates.get(name) == after.rates.get(name)
}

/// The derived sensor of a parent: its id is the parent's and the derivation's name.
pub(crate) fn derived_sensor(settings: &Settings, place: usize, parent: &Sensor) -> Option<Sensor> {
    let (name, derivation) = derivations(settings).nth(place)?;
    let mut id = parent.id().to_owned();
    if id.len() + 1 + name.len() > MAX_NAME_BYTES {
        // The hash keeps a shortened id unique.
        let digits = format!("~{:032x}", parent.hash());
        let room = MAX_NAME_BYTES - digits.len() - 1 - name.len();
        id.truncate(id.floor_char_boundary(room));
        id.push_str(&digits);
    }
    let mut sensor = Sensor::new(&format!("{id}/{name}"), name);
    if let Some(unit) = derivation.unit() {
        sensor = sensor.with_unit(unit);
    }
    Some(match parent.group() {
        Some(group) => sensor.with_group(group),
        None => sensor,
    })
}

/// The digest of an event for [`Parent::take`]: for each derivation the count of numbers, and the numbers.
pub(crate) fn digest(
    settings: &Settings,
    parent: Option<&Parent>,
    sensor: &Sensor,
    event: &Fields,
    (time, now): (i64, i64),
    digest: &mut Vec<u64>,
) -> Concern {
    let mut concern = Concern::default();
    // Nothing follows the last derivation that takes it in.
    let mut end = digest.len();
    for (place, (_, derivation)) in derivations(settings).enumerate() {
        let at = digest.len();
        digest.push(0);
        derivation.digest(sensor, event, digest);
        let numbers = digest.len() - at - 1;
        if numbers == 0 {
            continue;
        }
        let kept = parent.and_then(|parent| Some((parent.kept.get(place)?, parent.time_at(now))));
        if kept.is_some_and(|(kept, now)| derivation.misses(kept, time, &digest[at + 1..], now)) {
            digest.truncate(at + 1);
            concern.late = true;
        } else {
            digest[at] = numbers as u64;
            concern.taken = true;
            end = digest.len();
        }
    }
    digest.truncate(end);
    concern
}

impl Kept {
    fn weight(&self) -> u64 {
        match self {
            Self::Windows(_) => windows::WEIGHT,
            Self::Lines(None) => 0,
            Self::Lines(Some(_)) => lines::WEIGHT,
        }
    }
}

impl Parent {
    /// Its weight, in sensors.
    pub fn weight(&self) -> u64 {
        self.kept.iter().map(Kept::weight).sum()
    }

    /// The state before a first event of this time, which arrives now by the partition's clock.
    pub fn new(settings: &Settings, time: i64, now: i64) -> Self {
        let kept = derivations(settings).map(|(_, derivation)| derivation.fresh());
        Self {
            time,
            now,
            latest: time,
            kept: kept.collect(),
        }
    }

    /// When its latest event happened.
    pub fn latest(&self) -> i64 {
        self.latest
    }

    /// Takes in an event by its digest.
    pub fn take(&mut self, settings: &Settings, time: i64, now: i64, digest: &[u64], yields: &mut Yields) {
        let mut rest = digest;
        for ((place, (_, derivation)), kept) in derivations(settings).enumerate().zip(&mut self.kept) {
            let Some((&numbers, after)) = rest.split_first() else {
                break;
            };
            let (mine, after) = after.split_at(after.len().min(numbers as usize));
            rest = after;
            if !mine.is_empty() {
                yields.place = place;
                derivation.take(kept, time, mine, yields);
            }
        }
        self.latest = time;
        (self.time, self.now) = (time.max(self.time_at(now)), now);
        self.pass(settings, now, yields);
    }

    /// Yields what is due by now.
    pub fn pass(&mut self, settings: &Settings, now: i64, yields: &mut Yields) {
        let now = self.time_at(now);
        for ((place, (_, derivation)), kept) in derivations(settings).enumerate().zip(&mut self.kept) {
            yields.place = place;
            derivation.pass(kept, now, yields);
        }
    }

    /// When something is due next without another event, by the partition's clock.
    pub fn due(&self, settings: &Settings) -> Option<i64> {
        let due = derivations(settings)
            .zip(&self.kept)
            .filter_map(|((_, derivation), kept)| derivation.due(kept));
        due.min()
            .map(|due| self.now.saturating_add(due.saturating_sub(self.time)))
    }

    /// When its latest event arrived, by the partition's clock.
    pub fn heard(&self) -> i64 {
        self.now
    }

    /// Changes the settings: changed derivations start over.
    pub fn change(&mut self, before: &Settings, after: &Settings) {
        let mut known: Vec<(&str, Kept)> = derivations(before)
            .map(|(name, _)| name)
            .zip(std::mem::take(&mut self.kept))
            .collect();
        let kept = derivations(after).map(|(name, derivation)| {
            let place = known.iter().position(|(before, _)| *before == name);
            match place.filter(|_| unchanged(before, after, name)) {
                Some(place) => known.swap_remove(place).1,
                None => derivation.fresh(),
            }
        });
        self.kept = kept.collect();
    }

    /// Moves its times to a clock that is ahead by this much.
    pub fn shift(&mut self, ahead: i64) {
        self.now = self.now.saturating_add(ahead);
    }

    fn time_at(&self, now: i64) -> i64 {
        self.time.saturating_add(now.saturating_sub(self.now))
    }
}
