//! What a simulated sensor measures. Pure: event time comes in, readings and labels come out; no clock, no I/O.
//!
//! Everything random is drawn from the seed and the sensor's id alone, so the same seed gives the same bytes, and a sensor's
//! series does not depend on how many others there are. A profile is built in, or a file: a template of events.

/// Faults that are injected, and when.
pub mod fault;
/// Many sensors of one profile, in the order of their readings.
pub mod fleet;
/// The truth about an injected fault.
pub mod label;
/// The names of the profiles.
pub mod name;
/// Seeded random numbers, and noise that remembers.
pub mod noise;
/// Rooms of a house, or the DHT device.
pub mod temperature;
/// Events made of a template.
pub mod template;
/// Wind turbines on sites.
pub mod wind;

pub use fleet::{Fleet, Plan};
pub use label::Label;
pub use name::{Choice, Name};
pub use temperature::Temperature;
pub use template::Template;
pub use wind::Wind;
use wire::{Reading, Timestamp};

/// All that decides what is simulated, apart from when it starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Simulation {
    /// Sensors that measure.
    Fleet(Plan),
    /// Sensors that send events.
    Events(template::Plan),
}

/// A simulation that runs.
#[derive(Debug)]
pub enum Running {
    /// Sensors that measure.
    Fleet(Fleet),
    /// Sensors that send events.
    Events(template::Events),
}

impl Simulation {
    /// Before its first reading.
    pub fn start(&self, start: Timestamp) -> Running {
        match self {
            Self::Fleet(plan) => Running::Fleet(Fleet::new(plan, start)),
            Self::Events(plan) => Running::Events(template::Events::new(plan, start)),
        }
    }
}

impl Running {
    /// When the next reading is, µs after the start.
    pub fn offset(&self) -> i64 {
        match self {
            Self::Fleet(fleet) => fleet.offset(),
            Self::Events(events) => events.offset(),
        }
    }

    /// Goes on to the next reading; `None` where a sensor drops out. What is injected from here on is added to `labels`.
    pub fn step(&mut self, labels: &mut Vec<Label>) -> Option<Reading> {
        match self {
            Self::Fleet(fleet) => fleet.step(labels),
            Self::Events(events) => Some(events.step(labels)),
        }
    }
}

/// A profile with its figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Profile {
    /// Rooms of a house, or the DHT device.
    Temperature(Temperature),
    /// Wind turbines on sites.
    Wind(Wind),
}

/// The fault-free course of one sensor of any profile.
#[derive(Debug)]
enum Signal {
    // Random numbers are drawn in blocks, so a signal is large, and one of wind is twice as large.
    Temperature(Box<temperature::Signal>),
    Wind(Box<wind::Signal>),
}

impl Profile {
    /// The standard deviation of what a sensor shows when nothing is wrong: the unit of fault magnitudes.
    pub fn noise(&self) -> f64 {
        match self {
            Self::Temperature(temperature) => temperature.noise,
            Self::Wind(wind) => wind.standard_deviation(),
        }
    }

    /// The least value there is, where there is one: no fault goes below it.
    fn floor(&self) -> Option<f64> {
        match self {
            Self::Temperature(_) => None,
            Self::Wind(_) => Some(0.0),
        }
    }

    /// The group of the sensor with this index, below `prefix`.
    fn group(&self, prefix: &str, index: u32) -> String {
        match self {
            Self::Temperature(_) => temperature::room(prefix, index),
            Self::Wind(_) => wind::site(prefix, index),
        }
    }

    fn signal(&self, seed: u64, sensor: u128, group: &str) -> Signal {
        match self {
            Self::Temperature(figures) => {
                Signal::Temperature(Box::new(temperature::Signal::new(*figures, seed, sensor)))
            }
            Self::Wind(figures) => Signal::Wind(Box::new(wind::Signal::new(*figures, seed, sensor, group))),
        }
    }
}

impl Signal {
    fn next(&mut self, time: Timestamp) -> f64 {
        match self {
            Self::Temperature(signal) => signal.next(time),
            Self::Wind(signal) => signal.next(time),
        }
    }
}
