use std::sync::Arc;

use detect::{Change, Event, Journal, Kinds, Partition, Settings};
use simulate::{Fleet, Label, Plan, Profile};
use wire::{Form, Reading, Timestamp};

/// The event time of the first reading: 2024-01-01T00:00:00Z.
pub const START: i64 = 1_704_067_200_000_000;
const DAY: i64 = 86_400_000_000;
/// So long nothing is wrong, so that there is something to compare with.
const PEACE: i64 = DAY;

/// Simulated sensors of a profile, in one partition.
#[derive(Clone, Debug)]
pub struct Run {
    pub name: &'static str,
    pub profile: Profile,
    pub decimals: u8,
    /// Between two readings of a sensor, µs.
    pub interval: i64,
    /// Faults a sensor and day of healthy time, after the first day.
    pub rate: f64,
    pub sensors: u32,
    pub days: i64,
    pub seed: u64,
}

/// Something a partition told about a sensor at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Alarm {
    pub sensor: u32,
    /// Event time, µs.
    pub time: i64,
    pub kinds: Kinds,
    /// When the incident began that it belongs to, which names it.
    pub incident: i64,
    /// True where the incident opened by it.
    pub opened: bool,
}

/// An injected fault: the event time of its first and its last reading, µs.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub sensor: u32,
    pub kind: &'static str,
    pub start: i64,
    pub end: i64,
}

/// A partition and all it told.
pub struct Listener {
    partition: Partition,
    settings: Settings,
    events: Vec<Event>,
    pub alarms: Vec<Alarm>,
}

impl Run {
    pub fn end(&self) -> i64 {
        START + self.days * DAY
    }

    /// What went wrong, and what the partition told.
    pub fn play(&self) -> (Vec<Fault>, Vec<Alarm>) {
        let start = Timestamp::from_micros(START).expect("2024 is a year");
        let mut fleet = Fleet::new(&self.plan(self.rate), start);
        // The same series without faults: faults leave the signal beneath as it is.
        let mut peaceful = Fleet::new(&self.plan(0.0), start);
        let mut until = vec![START + PEACE; self.sensors as usize];
        let (mut listener, mut faults) = (Listener::new(), Vec::new());
        let (mut labels, mut none) = (Vec::new(), Vec::new());
        for step in 0..self.days * DAY / self.interval * i64::from(self.sensors) {
            let time = START + step / i64::from(self.sensors) * self.interval;
            let sensor = (step % i64::from(self.sensors)) as usize;
            let reading = fleet.step(&mut labels);
            for label in labels.drain(..) {
                match label.start.as_micros() >= START + PEACE {
                    true => faults.push(Fault::of(&label)),
                    // What begins in peace stays without effect to its end.
                    false => until[sensor] = until[sensor].max(label.end.as_micros() + self.interval),
                }
            }
            let peace = (time < START + PEACE + 2 * DAY)
                .then(|| peaceful.step(&mut none))
                .flatten();
            if let Some(reading) = if time < until[sensor] { peace } else { reading } {
                listener.hear(&reading);
            }
        }
        (faults, listener.alarms)
    }

    fn plan(&self, faults_per_day: f64) -> Plan {
        Plan {
            profile: self.profile,
            sensors: self.sensors,
            interval_micros: self.interval,
            seed: self.seed,
            prefix: "sensor-".into(),
            group: Some("group-".into()),
            faults_per_day,
            form: Form::General,
            datatype: self.name.into(),
            unit: None,
            bounds: None,
            decimals: self.decimals,
        }
    }
}

impl Fault {
    fn of(label: &Label) -> Self {
        Self {
            sensor: number(label.sensor.id()),
            kind: label.kind,
            start: label.start.as_micros(),
            end: label.end.as_micros(),
        }
    }
}

impl Listener {
    pub fn new() -> Self {
        Self {
            partition: Partition::new(),
            settings: Settings::default(),
            events: Vec::new(),
            alarms: Vec::new(),
        }
    }

    pub fn hear(&mut self, reading: &Reading) {
        // Nothing is stored, so nothing has to be replayed.
        let mut journal = Journal::new();
        self.partition
            .fold(reading, &self.settings, &mut journal, &mut self.events);
        for event in self.events.drain(..) {
            match event {
                Event::Anomaly(anomaly) => self.alarms.push(Alarm {
                    sensor: number(anomaly.sensor.id()),
                    time: anomaly.time.as_micros(),
                    kinds: anomaly.kinds,
                    incident: anomaly.incident.as_micros(),
                    opened: false,
                }),
                Event::Incident(transition) if transition.change != Change::Resolved => {
                    let sensor = number(transition.sensor.id());
                    let time = transition.time.as_micros();
                    let opened = transition.change == Change::Opened;
                    match self.alarms.last_mut() {
                        Some(last) if (last.sensor, last.time) == (sensor, time) => last.opened |= opened,
                        // Without an anomaly beside it, it is silence.
                        _ => self.alarms.push(Alarm {
                            sensor,
                            time,
                            kinds: Kinds::SILENT,
                            incident: transition.since.as_micros(),
                            opened,
                        }),
                    }
                }
                Event::Incident(_) => {}
            }
        }
    }
}

/// The number at the end of a sensor's id.
fn number(id: &str) -> u32 {
    let digits = id.rsplit('-').next().unwrap_or_default();
    digits.parse().expect("ids of a run end in a number")
}

/// One sensor of a series that is no profile.
pub fn sensor(number: u32) -> Arc<wire::Sensor> {
    Arc::new(wire::Sensor::new(&format!("sensor-{number:03}"), "simulated"))
}
