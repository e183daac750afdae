//! What layout 2 of pages and journals held. It knew no events; all else is carried over.

use std::sync::Arc;

use serde::Deserialize;
use wire::Sensor;

use crate::clock::Clock;
use crate::detector::Detectors;
use crate::encoding;
use crate::incident::Incident;
use crate::producers::Producers;
use crate::relapse::Relapse;
use crate::settings::{Factor, Memory, Period, Settings, Threshold};
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
    rate: Factor,
    noise: Factor,
    drift: Factor,
    stuck: Factor,
    silence: Factor,
    silence_minimum: Period,
    forget: Period,
    memory: Memory,
}

/// One of its sensors.
#[derive(Deserialize)]
pub(crate) struct TrackBefore {
    #[serde(with = "encoding::sensor")]
    sensor: Arc<Sensor>,
    last: Option<Last>,
    detectors: Detectors,
    incident: Option<Incident>,
    relapse: Relapse,
    began: Option<i64>,
}

impl From<Before> for Settings {
    fn from(before: Before) -> Self {
        Self {
            threshold: before.threshold,
            quiet: before.quiet,
            rate: before.rate,
            noise: before.noise,
            drift: before.drift,
            stuck: before.stuck,
            silence: before.silence,
            silence_minimum: before.silence_minimum,
            forget: before.forget,
            memory: before.memory,
            ..Self::default()
        }
    }
}

impl From<TrackBefore> for Track {
    fn from(before: TrackBefore) -> Self {
        Self {
            sensor: before.sensor,
            last: before.last,
            detectors: before.detectors,
            incident: before.incident,
            relapse: before.relapse,
            began: before.began,
            parent: None,
            root: None,
        }
    }
}
