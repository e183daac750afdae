//! Many sensors of one profile, in the order of their readings: at each interval, each sensor in turn.

use std::sync::Arc;

use wire::sensor::SensorError;
use wire::{Bounds, Form, Reading, Sensor, Timestamp, Value};

use super::fault::Faults;
use super::{Label, Profile, Signal};

/// All that decides the readings of a fleet, apart from when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What is measured, with its figures.
    pub profile: Profile,
    /// How many sensors.
    pub sensors: u32,
    /// The event time between two readings of a sensor, in microseconds.
    pub interval_micros: i64,
    /// The same seed and sensor id give the same series.
    pub seed: u64,
    /// What sensor ids begin with; the sensor's number follows, from 001.
    pub prefix: String,
    /// What groups begin with; without it, sensors have no group.
    pub group: Option<String>,
    /// Injected faults a sensor and day of healthy event time.
    pub faults_per_day: f64,
    /// The JSON form of the readings.
    pub form: Form,
    /// What the sensors measure.
    pub datatype: String,
    /// The unit of the values, where readings tell it.
    pub unit: Option<String>,
    /// Where values should stay.
    pub bounds: Option<Bounds>,
    /// Digits after the decimal point.
    pub decimals: u8,
}

/// The sensors of a plan, each somewhere in its series. A reading allocates nothing.
#[derive(Debug)]
pub struct Fleet {
    sensors: Vec<Simulated>,
    profile: Profile,
    units_per_one: f64,
    interval_micros: i64,
    time: Timestamp,
    tick: i64,
    next: usize,
}

#[derive(Debug)]
struct Simulated {
    sensor: Arc<Sensor>,
    signal: Signal,
    // Most fleets have none, and a large one should not pay for them.
    faults: Option<Box<Faults>>,
}

impl Plan {
    /// Refuses sensors that no stream can carry.
    pub fn check(&self) -> Result<(), SensorError> {
        // The last one has the longest id.
        let last = self.sensors.saturating_sub(1);
        self.sensor(last, self.group_of(last).as_deref()).check()
    }

    fn group_of(&self, index: u32) -> Option<String> {
        self.group.as_deref().map(|prefix| self.profile.group(prefix, index))
    }

    /// The sensor with this index, from 0.
    fn sensor(&self, index: u32, group: Option<&str>) -> Sensor {
        let id = format!("{}{:03}", self.prefix, u64::from(index) + 1);
        let mut sensor = Sensor::new(&id, &self.datatype).with_form(self.form);
        if let Some(unit) = &self.unit {
            sensor = sensor.with_unit(unit);
        }
        if let Some(group) = group {
            sensor = sensor.with_group(group);
        }
        match self.bounds {
            Some(bounds) => sensor.with_bounds(bounds),
            None => sensor,
        }
    }

    /// The unit of fault magnitudes: the noise, but at least what the last digit can show.
    fn noise(&self) -> f64 {
        self.profile.noise().max(1.0 / self.units_per_one())
    }

    fn units_per_one(&self) -> f64 {
        10_f64.powi(i32::from(self.decimals))
    }
}

impl Fleet {
    /// All sensors of the plan before their first reading, which is at `start`.
    pub fn new(plan: &Plan, start: Timestamp) -> Self {
        let only_up = plan.profile.floor().is_some();
        let simulated = |index| {
            let group = plan.group_of(index);
            let sensor = plan.sensor(index, group.as_deref());
            let faults = (plan.faults_per_day > 0.0).then(|| {
                let per_day = plan.faults_per_day;
                Box::new(Faults::new(
                    plan.seed,
                    sensor.hash(),
                    per_day,
                    plan.noise(),
                    only_up,
                    start,
                ))
            });
            Simulated {
                signal: plan
                    .profile
                    .signal(plan.seed, sensor.hash(), group.as_deref().unwrap_or_default()),
                sensor: Arc::new(sensor),
                faults,
            }
        };
        Self {
            sensors: (0..plan.sensors).map(simulated).collect(),
            profile: plan.profile,
            units_per_one: plan.units_per_one(),
            interval_micros: plan.interval_micros,
            time: start,
            tick: 0,
            next: 0,
        }
    }

    /// When the next reading is, µs after the start.
    pub fn offset(&self) -> i64 {
        self.tick.saturating_mul(self.interval_micros)
    }

    /// Goes on by one sensor: its reading, or `None` where it drops out. A fault that begins is added to `labels`.
    pub fn step(&mut self, labels: &mut Vec<Label>) -> Option<Reading> {
        let time = self.time;
        let simulated = &mut self.sensors[self.next];
        let clean = simulated.signal.next(time);
        let (value, begun) = match &mut simulated.faults {
            Some(faults) => faults.apply(clean, time),
            None => (Some(clean), None),
        };
        if let Some(onset) = begun {
            labels.push(Label {
                sensor: Arc::clone(&simulated.sensor),
                kind: onset.kind.as_str(),
                start: time,
                end: time.saturating_add_micros(i64::from(onset.readings - 1) * self.interval_micros),
                magnitude: onset.magnitude,
            });
        }
        let reading = value.map(|value| {
            let value = value.max(self.profile.floor().unwrap_or(f64::MIN));
            let rounded = (value * self.units_per_one).round() / self.units_per_one;
            // Zero has one sign, or it would be written with two.
            let value = Value::Scalar(rounded + 0.0);
            Reading::new(Arc::clone(&simulated.sensor), time, value).expect("profiles' figures are bounded")
        });
        self.next += 1;
        if self.next == self.sensors.len() {
            self.next = 0;
            self.tick += 1;
            self.time = time.saturating_add_micros(self.interval_micros);
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Temperature, Wind};
    use super::*;

    fn plan(profile: Profile, sensors: u32, faults_per_day: f64) -> Plan {
        Plan {
            profile,
            sensors,
            interval_micros: 1_000_000,
            seed: 42,
            prefix: "house-".into(),
            group: Some(String::new()),
            faults_per_day,
            form: Form::General,
            datatype: "temperature".into(),
            unit: Some("°C".into()),
            bounds: None,
            decimals: 2,
        }
    }

    fn readings(plan: &Plan, steps: usize) -> (Vec<Reading>, Vec<Label>) {
        let mut fleet = Fleet::new(plan, Timestamp::default());
        let mut labels = Vec::new();
        let readings = (0..steps).filter_map(|_| fleet.step(&mut labels)).collect();
        (readings, labels)
    }

    fn scalar(reading: &Reading) -> f64 {
        match reading.value() {
            Value::Scalar(value) => *value,
            _ => f64::NAN,
        }
    }

    #[test]
    fn each_sensor_reads_once_an_interval_in_turn() {
        let (readings, _) = readings(&plan(Profile::Temperature(Temperature::HOUSE), 3, 0.0), 9);
        let order: Vec<_> = readings
            .iter()
            .map(|reading| (reading.time().as_micros(), reading.sensor().id().to_owned()))
            .collect();
        let expected: Vec<_> = (0..3)
            .flat_map(|tick| (1..=3).map(move |number| (tick * 1_000_000, format!("house-{number:03}"))))
            .collect();
        assert_eq!(order, expected);
        assert_eq!(readings[0].sensor().group(), Some("living-room"));
        assert_eq!(readings[1].sensor().group(), Some("kitchen"));
    }

    #[test]
    fn a_series_does_not_depend_on_how_many_others_there_are() {
        for profile in [Profile::Temperature(Temperature::HOUSE), Profile::Wind(Wind::LAND)] {
            let alone = readings(&plan(profile, 1, 50.0), 5_000).0;
            let among: Vec<Reading> = readings(&plan(profile, 30, 50.0), 5_000 * 30)
                .0
                .into_iter()
                .filter(|reading| reading.sensor().id() == "house-001")
                .collect();
            assert_eq!(alone, among);
        }
    }

    #[test]
    fn readings_differ_from_their_healthy_twins_only_where_a_label_says_so() {
        let profile = Profile::Temperature(Temperature::HOUSE);
        let (healthy, none) = readings(&plan(profile, 2, 0.0), 200_000);
        let (faulty, labels) = readings(&plan(profile, 2, 60.0), 200_000);
        assert!(none.is_empty() && labels.len() > 50);
        let labelled = |reading: &Reading| {
            labels
                .iter()
                .find(|label| label.sensor == *reading.sensor() && (label.start..=label.end).contains(&reading.time()))
        };
        let mut present = faulty.iter().peekable();
        for twin in &healthy {
            let same_place = |reading: &&Reading| reading.sensor() == twin.sensor() && reading.time() == twin.time();
            match (present.next_if(same_place), labelled(twin)) {
                (None, label) => assert_eq!(label.unwrap().kind, "dropout"),
                (Some(reading), None) => assert_eq!(reading, twin),
                (Some(reading), Some(label)) if ["spike", "level_shift"].contains(&label.kind) => {
                    let off = (scalar(reading) - scalar(twin)) / Temperature::HOUSE.noise;
                    assert!((off - label.magnitude).abs() < 0.1, "{off} {label:?}");
                }
                (Some(_), Some(_)) => {}
            }
        }
        assert_eq!(present.next(), None);
    }

    #[test]
    fn wind_never_blows_backwards() {
        let (readings, _) = readings(&plan(Profile::Wind(Wind::LAND), 12, 100.0), 100_000);
        assert!(readings.iter().all(|reading| scalar(reading) >= 0.0));
        let eleventh = readings
            .iter()
            .find(|reading| reading.sensor().id() == "house-011")
            .unwrap();
        assert_eq!(eleventh.sensor().group(), Some("2"));
    }

    #[test]
    fn values_have_no_more_digits_than_asked() {
        let mut device = plan(Profile::Temperature(Temperature::DEVICE), 1, 0.0);
        device.decimals = 1;
        for reading in readings(&device, 1_000).0 {
            let text = scalar(&reading).to_string();
            assert!(
                text.split_once('.').is_none_or(|(_, digits)| digits.len() == 1),
                "{text}"
            );
        }
    }
}
