//! What the daemon and the Lambda speak: readings as JSON, and the KPL aggregated record format.
//!
//! Nothing here knows a clock, a network or an AWS type. Read in this order:

/// Many readings of one lane in one Kinesis record, in the format of the Kinesis Producer Library.
pub mod aggregate;
/// What an event says.
pub mod fields;
/// Who packed a record, and its number under that producer.
pub mod identity;
/// Readings as JSON.
pub mod json;
/// Names and slices of the hash space that readings of one lane share.
pub mod lane;
mod literal;
/// One observation of one sensor at one instant.
pub mod reading;
/// Who measures, what, and within which bounds.
pub mod sensor;
/// An instant, in microseconds of UTC.
pub mod time;

pub use fields::{FieldValue, Fields};
pub use identity::{Identity, ProducerId};
pub use lane::LaneName;
pub use reading::{Reading, Value};
pub use sensor::{Bounds, Form, Sensor};
pub use time::Timestamp;
