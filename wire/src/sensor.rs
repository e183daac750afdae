//! Who measures, what, and within which bounds.

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
    /// `sensor`, `time`, `kind`, `unit`, `value`, `lowest`, `highest`, `group`.
    #[default]
    General,
    /// `timestamp`, `datatype`, `value`, `deviceid`, `date`, `lowest_temp`, `highest_temp`.
    Device,
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
            hash: 0,
        }
    }

    /// With the unit its values are in.
    pub fn with_unit(mut self, unit: &str) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// With the group (room, site, gateway) it belongs to.
    pub fn with_group(mut self, group: &str) -> Self {
        self.group = Some(group.into());
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
