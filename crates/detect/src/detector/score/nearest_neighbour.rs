//! How novel a value is to a view: its distance to the nearest value seen, relative to what is a large distance there.

use serde::{Deserialize, Serialize};

use super::Capacity;
use super::sketch::Sketch;

/// Values learnt before one is judged.
const WARM_UP: u32 = 20;
/// How many of the largest distances are kept.
const LARGEST: usize = 8;
/// A distance below this fraction of the smallest of them is not large.
const RECORD: f64 = 0.6;
/// At this age a view tolerates twice the distance, µs: on its first day everything is new.
const YOUNG: f64 = 86_400e6;
/// Values are limited to this magnitude, so that distances are finite in 32 bits.
const RANGE: f64 = 1e30;

/// What one view has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct NearestNeighbour {
    sketch: Sketch,
    seen: u32,
    /// Event time of its first value, µs.
    began: i64,
    mean: f64,
    square: f64,
    largest: [f32; LARGEST],
    previous: f32,
    /// The mean change from one value to the next.
    noise: f64,
}

impl NearestNeighbour {
    /// Judges a value by the ones before it, then learns from it. At 1 it is as novel as one value in months. `limit`
    /// is the large distance of this view, in typical distances.
    pub fn part(&mut self, value: f64, time: i64, limit: f64, capacity: Capacity) -> f64 {
        let value = value.clamp(-RANGE, RANGE) as f32;
        if self.seen == 0 {
            (self.began, self.previous) = (time, value);
        }
        let distance = self.sketch.distance(value);
        let part = if self.seen < WARM_UP {
            0.0
        } else {
            self.judge(f64::from(distance), time, limit)
        };
        self.learn(value, distance);
        self.sketch.insert(value, distance, capacity);
        part
    }

    /// The lowest and the highest value seen, to the resolution of the sketch.
    pub fn span(&self) -> Option<(f32, f32)> {
        self.sketch.span()
    }

    fn judge(&self, distance: f64, time: i64, limit: f64) -> f64 {
        if distance == 0.0 {
            return 0.0;
        }
        let usual = (self.mean + self.square.sqrt()) / 2.0;
        let record = f64::from(self.largest[LARGEST - 1]) * RECORD;
        let far = (usual * limit).max(record).max(self.noise);
        let age = time.saturating_sub(self.began).max(1) as f64;
        // If all values were equal, `far` is 0 and the result infinite: the caller bounds it.
        distance / far / (1.0 + YOUNG / age)
    }

    fn learn(&mut self, value: f32, distance: f32) {
        self.seen = self.seen.saturating_add(1);
        let seen = f64::from(self.seen);
        let apart = f64::from(distance);
        self.mean += (apart - self.mean) / seen;
        self.square += (apart * apart - self.square) / seen;
        if distance > self.largest[LARGEST - 1] {
            let at = self.largest.partition_point(|larger| *larger > distance);
            self.largest[at..].rotate_right(1);
            self.largest[at] = distance;
        }
        let change = f64::from((value - self.previous).abs());
        if self.seen > 1 {
            self.noise += (change - self.noise) / (seen - 1.0);
        }
        self.previous = value;
    }
}
