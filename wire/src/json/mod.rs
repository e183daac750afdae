//! Readings as JSON, one object each, in the general form and in seed A's. Knows nothing of lines, files or records.

mod decode;
mod encode;
mod error;
mod field;
mod sensors;

pub use decode::{Decoded, Decoder};
pub use encode::encode;
pub use error::DecodeError;
