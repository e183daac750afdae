//! The level drifts away: the mean of the latest readings against that of a long time, less the usual level of the hour
//! of the day where readings cover several hours.

use serde::{Deserialize, Serialize};

use super::peaks_over_threshold::PeaksOverThreshold;
use super::season::Season;

/// Readings that the current level remembers.
const NOW: f64 = 64.0;
/// Readings that the usual level remembers: more if the daily swing is taken out.
const USUAL: f64 = 1500.0;
const SEASONAL: f64 = 4000.0;
/// Readings learnt before one is judged.
const WARM_UP: u32 = 1000;
/// No sensor is judged before a day has shown how far its level moves, µs of event time.
const DAY: i64 = 86_400_000_000;
/// If the usual level covers more than this time, the daily swing is taken out, µs.
const SWING: i64 = DAY / 8;
/// Averages have light tails.
const HEAVIEST: f64 = 0.1;
/// The lowest limit, in median distances of the two levels, and how many readings that median remembers: a wandering
/// level shows only now and then how far it goes.
const LEAST: f64 = 3.5;
const LONG: f64 = 8192.0;
/// The drift is over within this fraction of the limit.
const BACK: f64 = 0.5;
/// Readings after which a new level is the usual one.
const ACCEPTED: u16 = 1440;

/// Two levels, and how far apart chance takes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Drift {
    now: f64,
    usual: f64,
    /// The median distance of the two.
    apart: f64,
    seen: u32,
    since: i64,
    season: Season,
    /// Set once the daily swing is taken out.
    seasonal: bool,
    peaks: PeaksOverThreshold,
    /// Readings since the level drifted away; 0 if it has not.
    away: u16,
}

impl Drift {
    /// Takes in a value. During a drift: the distance in limits, whether to report it, and the usual level. Learns
    /// nothing while something else is `wrong`.
    pub fn judge(&mut self, time: i64, number: f64, usual: i64, factor: f64, wrong: bool) -> Option<(f64, bool, f64)> {
        let swinging = (usual as f64) * USUAL > SWING as f64;
        let season = match swinging {
            true => self.season.at(time).filter(|_| self.seasonal).unwrap_or_default(),
            false => 0.0,
        };
        let rest = number - season;
        if self.seen == 0 {
            (self.now, self.usual, self.since) = (rest, rest, time);
        }
        self.now += (rest - self.now) / NOW;
        let distance = (self.now - self.usual).abs();
        self.peaks.count();
        let ripe = self.peaks.is_warm(WARM_UP) && time.saturating_sub(self.since) >= DAY;
        let memory = if self.seasonal { SEASONAL } else { USUAL };
        // A short history does not yet show how far levels go.
        let young = 1.0 + 0.5 * memory / f64::from(self.seen.max(1));
        let least = self.apart * LEAST;
        let limit = self.peaks.limit(usual, HEAVIEST).max(least) * young * factor;
        let was = self.away;
        if ripe && (distance > limit || was > 0 && distance > limit * BACK) {
            self.away = was.saturating_add(1);
            if self.away < ACCEPTED {
                let report = was == 0 && self.peaks.exceeded(distance, usual);
                return Some((distance / limit, report, self.usual + season));
            }
            self.usual = self.now;
        }
        self.away = 0;
        if wrong {
            return None;
        }
        self.seen = self.seen.saturating_add(1);
        self.usual += (rest - self.usual) / f64::from(self.seen).min(memory);
        if f64::from(self.seen) > NOW {
            self.peaks.learn(distance);
            if self.apart == 0.0 {
                self.apart = distance;
            }
            let step = self.apart * 2.0 / f64::from(self.seen).min(LONG);
            self.apart += if distance > self.apart { step } else { -step };
        }
        if swinging {
            let most = if ripe { limit } else { f64::INFINITY };
            self.season.learn(time, number, most);
            if !self.seasonal && self.season.whole() {
                *self = Self {
                    seasonal: true,
                    season: std::mem::take(&mut self.season),
                    ..Self::default()
                };
            }
        }
        None
    }
}
