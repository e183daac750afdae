//! What layout 1 of pages and journals held. Sensors, producers, open incidents and silence are carried over; what its
//! detectors had learnt is learnt anew, because others judge now.

use std::sync::Arc;

use serde::Deserialize;
use wire::{Sensor, Timestamp, Value};

use crate::clock::Clock;
use crate::detector::{Detectors, Pace, Silence};
use crate::encoding;
use crate::event::Worst;
use crate::incident::Incident;
use crate::producers::Producers;
use crate::relapse::Relapse;
use crate::settings::{Factor, Period, Settings, Threshold};
use crate::track::{Last, Track};

/// A page.
#[derive(Deserialize)]
pub(crate) struct PageState {
    pub settings: Before,
    pub clock: Clock,
    pub producers: Producers,
    pub tracks: Vec<Option<TrackBefore>>,
}

/// Its settings.
#[derive(Deserialize)]
pub(crate) struct Before {
    threshold: Threshold,
    quiet: Period,
    /// A multiple of the fastest change seen; now it is one of what chance does.
    _rate: Factor,
    stuck: Factor,
    silence: Factor,
    silence_minimum: Period,
    forget: Period,
}

impl From<Before> for Settings {
    fn from(before: Before) -> Self {
        Self {
            threshold: before.threshold,
            quiet: before.quiet,
            stuck: before.stuck,
            silence: before.silence,
            silence_minimum: before.silence_minimum,
            forget: before.forget,
            ..Self::default()
        }
    }
}

/// One of its sensors.
#[derive(Deserialize)]
pub(crate) struct TrackBefore {
    #[serde(with = "encoding::sensor")]
    sensor: Arc<Sensor>,
    last: Option<LastBefore>,
    detectors: DetectorsBefore,
    incident: Option<IncidentBefore>,
    began: Option<i64>,
}

#[derive(Deserialize)]
struct LastBefore {
    #[serde(with = "encoding::timestamp")]
    time: Timestamp,
    #[serde(with = "encoding::value")]
    value: Value,
    now: i64,
}

#[derive(Deserialize)]
struct IncidentBefore {
    #[serde(with = "encoding::timestamp")]
    since: Timestamp,
    number: u32,
    kinds: crate::Kinds,
    peak: f64,
    worse: f64,
    expected: Option<(f64, f64)>,
    #[serde(with = "encoding::timestamp")]
    time: Timestamp,
    now: i64,
}

/// A distance's mean, its highest ratio, and how many were seen.
type Surprise = (f64, f64, u32);
type Rate = (Option<f64>, f64, u16);
type Stuck = (u64, u32, u32, u16, i64, i64, bool);
type Norm = (u32, Vec<(f64, f64)>);
type Level = (u32, f64, f64, f64, f64, f64, Surprise, Surprise);
type Hour = ([f64; 24], [u8; 24], i64, f64, u32, Surprise);
type Nearest = (Vec<f64>, Surprise);

#[derive(Deserialize)]
struct DetectorsBefore {
    pace: Pace,
    _rate: Rate,
    _stuck: Stuck,
    silence: Silence,
    _score: (Norm, Level, Hour, Nearest, f64),
}

impl From<TrackBefore> for Track {
    fn from(before: TrackBefore) -> Self {
        let value = before.last.as_ref().map(|last| last.value.clone());
        let incident = before.incident.zip(value);
        Self {
            sensor: before.sensor,
            last: before.last.map(Last::from),
            detectors: Detectors::carried(before.detectors.pace, before.detectors.silence),
            incident: incident.map(|(incident, value)| incident.carried(value)),
            relapse: Relapse::default(),
            began: before.began,
            parent: None,
            root: None,
        }
    }
}

impl From<LastBefore> for Last {
    fn from(before: LastBefore) -> Self {
        Self {
            time: before.time,
            value: before.value,
            now: before.now,
            same_since: before.time,
            longest_same: 0,
        }
    }
}

impl IncidentBefore {
    /// Its worst moment was not kept: the last one heard stands for it.
    fn carried(self, value: Value) -> Incident {
        Incident {
            since: self.since,
            number: self.number,
            kinds: self.kinds,
            peak: self.peak,
            worst: Worst {
                time: self.time,
                value,
                kinds: self.kinds,
                expected: self.expected,
                lasting: None,
            },
            worse: self.worse,
            expected: self.expected,
            anomalies: 0,
            time: self.time,
            now: self.now,
        }
    }
}
