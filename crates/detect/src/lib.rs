//! Detectors, their state and incidents: readings in, events out.
//!
//! Pure: no clock, no I/O, no AWS type. Time comes with the readings, and the same readings give the same state and
//! events on every machine. It must not know where state is stored or who is notified. Read in this order:

mod clock;
mod deadlines;
/// Readings derived from events.
pub mod derived;
mod detector;
/// The score a reading would get, without a change of state.
pub mod dry_run;
mod encoding;
/// What a fold causes: anomalies, and transitions of incidents.
pub mod event;
mod flap_damping;
/// What a partition answers for each reading.
pub mod folded;
mod incident;
/// What was folded, to be replayed.
pub mod journal;
/// What is wrong with a reading or a sensor.
pub mod kinds;
/// The state of all sensors that share a partition key.
pub mod partition;
/// How far each producer has come.
pub mod producers;
/// The `[detect]` table.
pub mod settings;
/// How stored state begins and ends.
pub mod stored;
mod track;

pub use dry_run::DryRun;
pub use event::{Anomaly, Change, Event, Lasting, Transition, Worst};
pub use folded::{Derived, Disposition, Folded};
pub use journal::Journal;
pub use kinds::Kinds;
pub use partition::{Partition, SENSOR_BYTES};
pub use producers::Advance;
pub use settings::Settings;
pub use stored::StateError;

/// The highest score: findings further out than this need not be told apart.
pub const MAX_SCORE: f64 = 1000.0;
