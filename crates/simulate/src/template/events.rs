//! Many sensors of one template, their events in the order of their times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Exp1;
use wire::fields::FieldsWriter;
use wire::sensor::SensorError;
use wire::{Reading, Sensor, Timestamp, Value};

use super::draw::Occasion;
use super::{Pace, Template};
use crate::Label;
use crate::noise::{Purpose, generator};

const DAY_MICROS: f64 = 86_400e6;

/// All that decides the events of a simulation, apart from when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How they are made.
    pub template: Arc<Template>,
    /// How many sensors.
    pub sensors: u32,
    /// Events a second of each.
    pub rate: f64,
    /// The same seed and sensor id give the same events.
    pub seed: u64,
    /// What sensor ids begin with; the sensor's number follows, from 001.
    pub prefix: String,
    /// The group of all sensors.
    pub group: Option<String>,
    /// What the sensors measure.
    pub datatype: String,
    /// Injected anomalies a sensor and day of healthy event time.
    pub faults_per_day: f64,
}

/// The sensors of a plan, each somewhere in its events.
#[derive(Debug)]
pub struct Events {
    template: Arc<Template>,
    sensors: Vec<Simulated>,
    /// The next event of each sensor: µs after the start, and which.
    next: BinaryHeap<Reverse<(i64, u32)>>,
    micros_per_event: f64,
    start: Timestamp,
    out: FieldsWriter,
    discarded: FieldsWriter,
}

#[derive(Debug)]
struct Simulated {
    sensor: Arc<Sensor>,
    random: ChaCha8Rng,
    pace: ChaCha8Rng,
    /// When its next event is, µs after the start.
    at: f64,
    number: i64,
    anomalies: Option<Box<Anomalies>>,
}

/// The anomalies of one sensor, in µs after the start.
#[derive(Debug)]
struct Anomalies {
    random: ChaCha8Rng,
    mean_wait: f64,
    next: f64,
    until: f64,
}

impl Plan {
    /// Refuses sensors that no stream can carry.
    pub fn check(&self) -> Result<(), SensorError> {
        // The last one has the longest id.
        self.sensor(self.sensors.saturating_sub(1)).check()
    }

    fn sensor(&self, index: u32) -> Sensor {
        let sensor = Sensor::new(&format!("{}{:03}", self.prefix, u64::from(index) + 1), &self.datatype);
        match &self.group {
            Some(group) => sensor.with_group(group),
            None => sensor,
        }
    }
}

impl Events {
    /// All sensors of the plan before their first event, which is some time after `start`.
    pub fn new(plan: &Plan, start: Timestamp) -> Self {
        let micros_per_event = 1e6 / plan.rate;
        let template = &plan.template;
        let simulated = |index| {
            let sensor = plan.sensor(index);
            let random = |purpose| generator(plan.seed, sensor.hash(), purpose);
            let mut pace = random(Purpose::Pace);
            let at = match template.pace {
                Pace::Poisson => pace.sample::<f64, _>(Exp1),
                // Each begins somewhere in its interval, or all would come at once.
                Pace::Steady => pace.random::<f64>(),
            };
            let faults = plan.faults_per_day > 0.0 && template.anomaly.is_some();
            Simulated {
                anomalies: faults.then(|| Box::new(Anomalies::new(random(Purpose::Faults), plan.faults_per_day))),
                random: random(Purpose::Signal),
                sensor: Arc::new(sensor),
                pace,
                at: at * micros_per_event,
                number: 0,
            }
        };
        let sensors: Vec<_> = (0..plan.sensors).map(simulated).collect();
        let next = sensors
            .iter()
            .zip(0..)
            .map(|(sensor, index)| Reverse((sensor.at as i64, index)));
        Self {
            next: next.collect(),
            sensors,
            template: Arc::clone(template),
            micros_per_event,
            start,
            out: FieldsWriter::new(),
            discarded: FieldsWriter::new(),
        }
    }

    /// When the next event is, µs after the start.
    pub fn offset(&self) -> i64 {
        self.next.peek().map_or(i64::MAX, |Reverse((at, _))| *at)
    }

    /// Goes on by one event. An anomaly that begins is added to `labels`.
    pub fn step(&mut self, labels: &mut Vec<Label>) -> Reading {
        let Reverse((offset, index)) = self.next.pop().expect("a simulation has a sensor");
        let time = self.start.saturating_add_micros(offset);
        let simulated = &mut self.sensors[index as usize];
        let mut injected = None;
        if let (Some(anomalies), Some(anomaly)) = (&mut simulated.anomalies, &self.template.anomaly) {
            let lasts = anomaly.lasts.get().as_micros() as f64;
            if anomalies.begins(simulated.at, lasts) {
                labels.push(Label {
                    sensor: Arc::clone(&simulated.sensor),
                    kind: "changed_fields",
                    start: time,
                    end: time.saturating_add_micros(lasts as i64),
                    magnitude: 0.0,
                });
            }
            if simulated.at < anomalies.until {
                injected = Some((anomaly, &mut anomalies.random));
            }
        }
        let occasion = Occasion {
            sensor: &simulated.sensor,
            time,
            number: simulated.number,
        };
        for (name, field) in &self.template.event {
            let other = injected
                .as_mut()
                .and_then(|(anomaly, random)| Some((anomaly.event.get(name)?, random)));
            if let Some((other, random)) = other {
                other.draw(&name.0, &occasion, random, &mut self.out);
                // What is drawn after an anomaly does not depend on it.
                field.draw(&name.0, &occasion, &mut simulated.random, &mut self.discarded);
            } else {
                field.draw(&name.0, &occasion, &mut simulated.random, &mut self.out);
            }
        }
        self.discarded.clear();
        let fields = self.out.finish().expect("a template's events are bounded");
        let value = Value::Event(fields);
        let reading = Reading::new(Arc::clone(&simulated.sensor), time, value).expect("an event has no number");
        simulated.number += 1;
        simulated.at += self.micros_per_event
            * match self.template.pace {
                Pace::Poisson => simulated.pace.sample::<f64, _>(Exp1),
                Pace::Steady => 1.0,
            };
        self.next.push(Reverse((simulated.at as i64, index)));
        reading
    }
}

impl Anomalies {
    fn new(mut random: ChaCha8Rng, per_day: f64) -> Self {
        let mean_wait = DAY_MICROS / per_day;
        let next = random.sample::<f64, _>(Exp1) * mean_wait;
        Self {
            random,
            mean_wait,
            next,
            until: f64::NEG_INFINITY,
        }
    }

    /// True where one begins now; the next one is so much later.
    fn begins(&mut self, now: f64, lasts: f64) -> bool {
        let begins = now >= self.next;
        if begins {
            self.until = now + lasts;
            self.next = self.until + self.random.sample::<f64, _>(Exp1) * self.mean_wait;
        }
        begins
    }
}
