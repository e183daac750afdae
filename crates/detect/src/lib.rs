//! Detectors, their state and incidents: readings in, events out. Pure: no clock, no I/O, no AWS type; time comes with
//! the reading. Read in this order:

/// Readings that follow from events.
pub mod derived;
/// What a fold tells the world.
pub mod event;
/// What a page says of each reading.
pub mod folded;
/// What a reading would come to that nobody has sent.
pub mod foresight;
/// What was folded, to be replayed.
pub mod journal;
/// What is wrong with a reading or a sensor.
pub mod kinds;
/// The state of all sensors that share a partition key.
pub mod page;
/// How far each producer has come.
pub mod producers;
/// What people set.
pub mod settings;
/// How stored state begins and ends.
pub mod state;

mod clock;
mod deadlines;
mod detector;
mod encoding;
mod incident;
mod page_state;
mod relapse;
mod track;

pub use event::{Anomaly, Change, Event, Lasting, Transition, Worst};
pub use folded::{Derived, Disposition, Folded};
pub use foresight::Foresight;
pub use journal::Journal;
pub use kinds::Kinds;
pub use page::{Page, SENSOR_BYTES};
pub use producers::Advance;
pub use settings::Settings;
pub use state::StateError;

/// No score is higher: what is this far out need not be told apart.
pub const MAX_SCORE: f64 = 1000.0;
