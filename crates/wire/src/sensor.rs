//! Who measures, what, and within which bounds.

use md5::{Digest, Md5};

/// All that stays the same from one reading of a sensor to the next; shared between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    id: Box<str>,
    kind: Box<str>,
    unit: Option<Box<str>>,
    group: Option<Box<str>>,
    bounds: Option<Bounds>,
    form: Form,
    hash: u128,
}

/// The range a sensor's values should stay in, both ends allowed, in the sensor's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Below it, a value is an anomaly.
    pub lowest: f64,
    /// Above it, a value is an anomaly.
    pub highest: f64,
}

/// The JSON shape a sensor's readings are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `sensor`, `time`, `kind`, `unit`, `value` (of an event: `event`), `lowest`, `highest`, `group`.
    #[default]
    General,
    /// The DHT record: `timestamp`, `datatype`, `value`, `deviceid`, `date`, `lowest_temp`, `highest_temp`; after them `unit`
    /// and `group`, for sensors that have them. It has no place for vectors and events, which are written in the general
    /// form.
    Device,
}

/// What no stream can carry about a sensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SensorError {
    /// Nothing names the sensor.
    #[error("it is empty: name the sensor")]
    NoId,
    /// Nothing says what is measured.
    #[error("the kind is empty: say what is measured, such as temperature")]
    NoKind,
    /// A text longer than [`MAX_NAME_BYTES`].
    #[error("it has {0} bytes: use at most {MAX_NAME_BYTES}")]
    TooLong(usize),
    /// Bounds that are not finite, or the wrong way round.
    #[error("bounds from {} to {}: use two finite numbers, the lower one first", .0.lowest, .0.highest)]
    Bounds(Bounds),
}

/// The longest id, kind, unit and group. In plain mode the id is the partition key, which Kinesis bounds to 256
/// characters: <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html>.
pub const MAX_NAME_BYTES: usize = 256;

/// Refuses an id, other names or bounds that no stream can carry.
pub(crate) fn check_description(id: &str, names: [Option<&str>; 3], bounds: Option<Bounds>) -> Result<(), SensorError> {
    if id.is_empty() {
        return Err(SensorError::NoId);
    }
    for name in [Some(id)].into_iter().chain(names).flatten() {
        check_name(name)?;
    }
    bounds.map_or(Ok(()), Bounds::check)
}

/// Refuses an id, kind, unit or group that is too long.
pub(crate) fn check_name(name: &str) -> Result<(), SensorError> {
    match name.len() {
        0..=MAX_NAME_BYTES => Ok(()),
        bytes => Err(SensorError::TooLong(bytes)),
    }
}

/// Refuses an empty kind.
pub(crate) fn check_kind(kind: &str) -> Result<(), SensorError> {
    match kind.is_empty() {
        true => Err(SensorError::NoKind),
        false => Ok(()),
    }
}

/// A unit or a group, where there is one: an empty text is none, in every format.
pub(crate) fn given(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

impl Bounds {
    /// Both ends, refused where they are not finite or the wrong way round.
    pub fn new(lowest: f64, highest: f64) -> Result<Self, SensorError> {
        let bounds = Self { lowest, highest };
        bounds.check()?;
        Ok(bounds)
    }

    fn check(self) -> Result<(), SensorError> {
        let usable = self.lowest.is_finite() && self.highest.is_finite() && self.lowest <= self.highest;
        usable.then_some(()).ok_or(SensorError::Bounds(self))
    }
}

impl Sensor {
    /// A sensor that measures `kind`, without unit, group or bounds, written in the general form.
    pub fn new(id: &str, kind: &str) -> Self {
        Self {
            id: id.into(),
            kind: kind.into(),
            unit: None,
            group: None,
            bounds: None,
            form: Form::General,
            hash: u128::from_be_bytes(Md5::digest(id).into()),
        }
    }

    /// With the unit its values are in; an empty one is none.
    pub fn with_unit(mut self, unit: &str) -> Self {
        self.unit = given(unit).map(Into::into);
        self
    }

    /// With the group (room, site, gateway) it belongs to; an empty one is none.
    pub fn with_group(mut self, group: &str) -> Self {
        self.group = given(group).map(Into::into);
        self
    }

    /// With the bounds its values should stay in.
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = Some(bounds);
        self
    }

    /// Written in this JSON shape.
    pub fn with_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Refuses what no stream can carry, and an empty kind: for every source whose sensors are named from outside.
    pub fn check(&self) -> Result<(), SensorError> {
        self.check_kept()?;
        check_kind(&self.kind)
    }

    /// The same of a sensor that was taken before: earlier versions took an empty kind.
    pub fn check_kept(&self) -> Result<(), SensorError> {
        check_description(&self.id, [Some(self.kind()), self.unit(), self.group()], self.bounds)
    }

    /// The bytes of memory it takes.
    pub fn memory_bytes(&self) -> usize {
        let names = [Some(self.id()), Some(self.kind()), self.unit(), self.group()];
        size_of::<Self>() + names.into_iter().flatten().map(str::len).sum::<usize>()
    }

    /// What names it, unique in a stream.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it measures, such as `temperature`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The unit its values are in, where it is known.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// The room, site or gateway it belongs to, where it has one.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// The bounds its values should stay in, where it has any.
    pub fn bounds(&self) -> Option<Bounds> {
        self.bounds
    }

    /// The JSON shape its readings are written in.
    pub fn form(&self) -> Form {
        self.form
    }

    /// MD5 of the id, as Kinesis places a partition key in its hash space.
    pub fn hash(&self) -> u128 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_md5_kinesis_computes() {
        // echo -n DHT_001 | md5sum
        assert_eq!(
            Sensor::new("DHT_001", "Temperature").hash(),
            0x83199d3c30c71b299f2b41a6738a41bb
        );
    }

    #[test]
    fn an_empty_unit_or_group_is_none() {
        let sensor = Sensor::new("s", "k");
        assert_eq!(sensor.clone().with_unit("").with_group(""), sensor);
    }

    #[test]
    fn what_no_stream_can_carry_is_refused() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let fits = &long[1..];
        assert_eq!(Sensor::new(fits, fits).with_unit(fits).with_group(fits).check(), Ok(()));
        assert_eq!(Sensor::new("", "k").check(), Err(SensorError::NoId));
        let without_kind = Sensor::new("s", "");
        assert_eq!(without_kind.check(), Err(SensorError::NoKind));
        assert_eq!(without_kind.check_kept(), Ok(()), "an earlier version took it");
        let sensor = Sensor::new("s", "k");
        for sensor in [
            Sensor::new(&long, "k"),
            Sensor::new("s", &long),
            sensor.clone().with_unit(&long),
            sensor.clone().with_group(&long),
        ] {
            assert_eq!(sensor.check(), Err(SensorError::TooLong(257)));
        }
        for (lowest, highest) in [(2.0, 1.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
            let bounds = Bounds { lowest, highest };
            assert!(Bounds::new(lowest, highest).is_err());
            assert!(sensor.clone().with_bounds(bounds).check().is_err());
        }
        assert!(Bounds::new(1.0, 1.0).is_ok());
    }
}
