//! Readings as JSON, in the general form and as DHT records: one object each, or many in one text. Knows nothing of files or
//! records.

mod batch;
mod decode;
mod encode;
mod error;
mod field;
mod sensors;

pub use batch::{BatchError, BatchLimits, Layout, Misread, Place, TOLD, decode_batch};
pub use decode::{Decoded, Decoder};
pub use encode::encode;
pub use error::DecodeError;
pub use sensors::{Description, MAX_SENSORS_BYTES, Sensors};
