//! The level has left its course: the mean of the last readings against that of long, after the hour of the day is taken
//! out where that matters.

use serde::{Deserialize, Serialize};

use super::peaks_over_threshold::PeaksOverThreshold;
use super::season::Season;

/// The level of now is that of about so many readings.
const NOW: f64 = 64.0;
/// The usual level is that of about so many readings; of more where the day's swing is taken out.
const USUAL: f64 = 1500.0;
const SEASONAL: f64 = 4000.0;
/// So many are learnt before one is judged.
const WARM_UP: u32 = 1000;
/// Nobody is judged sooner: a day must have shown how far levels go, µs of event time.
const DAY: i64 = 86_400_000_000;
/// Where the usual level is that of more than so long, the day's swing is not in it, µs.
const SWING: i64 = DAY / 8;
/// Averages have light tails.
const HEAVIEST: f64 = 0.1;
/// No limit is less than so many times the median distance of the two levels, which moves by this part with a reading: a level
/// that wanders shows only now and then how far it goes.
const LEAST: f64 = 3.5;
const LONG: f64 = 8192.0;
/// Back on course is what lies within this part of the limit.
const BACK: f64 = 0.5;
/// After so many readings away from it, the new level is the usual one.
const ACCEPTED: u16 = 1440;

/// Two levels and how far apart they come by chance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Drift {
    now: f64,
    usual: f64,
    /// The median distance of the two.
    apart: f64,
    seen: u32,
    since: i64,
    season: Season,
    /// Set once the season is taken out.
    seasonal: bool,
    peaks: PeaksOverThreshold,
    /// For so many readings away from its course.
    away: u16,
}

impl Drift {
    /// Takes in a value: while it is away, how far as part of the limit, whether this is news, and the usual level.
    /// While something else is wrong nothing is learnt.
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
        let ripe = self.peaks.knows(WARM_UP) && time.saturating_sub(self.since) >= DAY;
        let memory = if self.seasonal { SEASONAL } else { USUAL };
        // What has been seen for a few memories only does not yet show how far levels go.
        let young = 1.0 + 0.5 * memory / f64::from(self.seen.max(1));
        let least = self.apart * LEAST;
        let limit = self.peaks.limit(usual, HEAVIEST).max(least) * young * factor;
        let was = self.away;
        if ripe && (distance > limit || was > 0 && distance > limit * BACK) {
            self.away = was.saturating_add(1);
            if self.away < ACCEPTED {
                let tell = was == 0 && self.peaks.odd(distance, usual);
                return Some((distance / limit, tell, self.usual + season));
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
