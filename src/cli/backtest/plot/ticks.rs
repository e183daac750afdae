//! Where an axis is marked, and what is written there: round numbers, and times as people count them.

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use wire::Timestamp;

use crate::cli::backtest::time_format::{Written, Zone};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Steps between marks that are all as long, in µs.
const STEPS: [i64; 34] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
];
const WEEK: i64 = 7 * DAY;
/// Steps of months; their length is roughly right.
const MONTHS: [i64; 11] = [1, 3, 6, 12, 24, 60, 120, 240, 600, 1_200, 12_000];
const MONTH: i64 = 30 * DAY;
/// 1970-01-05 was a Monday.
const MONDAY: i64 = 4 * DAY;

/// A mark of an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick<T> {
    pub at: T,
    pub label: String,
}

/// At most `most` marks from one instant to another, both µs, by the clocks of a zone.
pub(super) fn of_time(from: i64, to: i64, zone: &Zone, most: usize) -> Vec<Tick<i64>> {
    let instant = |micros| Timestamp::from_micros(micros).map_or(micros, |time| zone.wall(time));
    let (start, end) = (instant(from), instant(to));
    let fits = |step: i64| (end - start) / step < most as i64;
    let walls: Vec<(i64, String)> = if let Some(step) = STEPS.into_iter().find(|step| fits(*step)) {
        even(start, end, step, 0)
            .map(|wall| (wall, clock(wall, step)))
            .collect()
    } else if fits(WEEK) {
        even(start, end, WEEK, MONDAY)
            .map(|wall| (wall, clock(wall, DAY)))
            .collect()
    } else {
        let step = MONTHS
            .into_iter()
            .find(|months| fits(months * MONTH))
            .unwrap_or(MONTHS[MONTHS.len() - 1]);
        months(start, end, step)
    };
    let mut ticks = Vec::new();
    for (wall, label) in walls {
        let at = Timestamp::from_micros(wall).and_then(|wall| zone.instant(Written::Wall(wall), None));
        if let Some(at) = at.map(Timestamp::as_micros).filter(|at| (from..=to).contains(at)) {
            ticks.push(Tick { at, label });
        }
    }
    ticks
}

fn even(start: i64, end: i64, step: i64, origin: i64) -> impl Iterator<Item = i64> {
    let first = (start - origin).div_euclid(step) * step + origin;
    (0..)
        .map(move |number| first + number * step)
        .skip_while(move |wall| *wall < start)
        .take_while(move |wall| *wall <= end)
}

/// The first days of every so many months.
fn months(start: i64, end: i64, step: i64) -> Vec<(i64, String)> {
    let Some(first) = civil(start).map(DateTime::date) else {
        return Vec::new();
    };
    let counted = i64::from(first.year()) * 12 + i64::from(first.month()) - 1;
    let mut found = Vec::new();
    for months in (0..).map(|number| (counted.div_euclid(step) + number) * step) {
        let date = i16::try_from(months.div_euclid(12))
            .ok()
            .and_then(|year| Date::new(year, (months.rem_euclid(12) + 1) as i8, 1).ok());
        let Some((date, wall)) = date
            .and_then(|date| Some((date, wall(date)?)))
            .filter(|(_, wall)| *wall <= end)
        else {
            return found;
        };
        if wall >= start {
            let format = if step >= 12 { "%Y" } else { "%b %Y" };
            found.push((wall, date.strftime(format).to_string()));
        }
    }
    found
}

/// The label of a tick: the time of day to the precision of `step`, or the date at midnight.
fn clock(wall: i64, step: i64) -> String {
    let Some(civil) = civil(wall) else { return String::new() };
    let format = match step {
        _ if wall % DAY == 0 => "%-d %b",
        _ if step < SECOND => "%H:%M:%S%.f",
        _ if step < MINUTE => "%H:%M:%S",
        _ => "%H:%M",
    };
    civil.strftime(format).to_string()
}

fn civil(wall: i64) -> Option<DateTime> {
    jiff::Timestamp::from_microsecond(wall)
        .ok()
        .map(|wall| Offset::UTC.to_datetime(wall))
}

fn wall(date: Date) -> Option<i64> {
    Offset::UTC
        .to_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
        .ok()
        .map(|wall| wall.as_microsecond())
}

/// About `wanted` round numbers from one to another, which must be finite.
pub(super) fn of_numbers(from: f64, to: f64, wanted: usize) -> Vec<Tick<f64>> {
    let raw = (to - from) / wanted as f64;
    if !raw.is_finite() || raw <= 0.0 {
        return Vec::new();
    }
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|round| round * power)
        .into_iter()
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(raw);
    let (first, last) = ((from / step).ceil(), (to / step).floor());
    // A step lost in the digits of the numbers marks nothing.
    if !(0.0..=50.0).contains(&(last - first)) || first + 1.0 == first {
        return Vec::new();
    }
    let largest = from.abs().max(to.abs());
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let plain = largest < 1e7 && decimals <= 6;
    let digits = ((largest / step).log10().floor().max(0.0) as usize).min(6);
    let count = (last - first) as usize;
    let numbers = (0..=count).map(|number| (first + number as f64) * step);
    numbers
        .map(|at| Tick {
            at,
            label: match at {
                0.0 => "0".into(),
                _ if plain => format!("{at:.decimals$}"),
                _ => format!("{at:.digits$e}"),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn times(from: &str, to: &str, zone: &str) -> String {
        let micros = |text: &str| text.parse::<Timestamp>().unwrap().as_micros();
        let ticks = of_time(micros(from), micros(to), &zone.parse().unwrap(), 8);
        let labels: Vec<_> = ticks.into_iter().map(|tick| tick.label).collect();
        labels.join(", ")
    }

    #[test]
    fn times_are_marked_as_people_count_them() {
        for (from, to, zone, expected) in [
            (
                "2024-05-01T10:00:00.2Z",
                "2024-05-01T10:00:01Z",
                "UTC",
                "10:00:00.2, 10:00:00.4, 10:00:00.6, 10:00:00.8, 10:00:01",
            ),
            (
                "2024-05-01T10:00:07Z",
                "2024-05-01T10:01:00Z",
                "UTC",
                "10:00:10, 10:00:20, 10:00:30, 10:00:40, 10:00:50, 10:01:00",
            ),
            (
                "2024-05-01T20:01:00Z",
                "2024-05-02T02:00:00Z",
                "UTC",
                "21:00, 22:00, 23:00, 2 May, 01:00, 02:00",
            ),
            (
                "2024-05-01T00:00:00Z",
                "2024-05-07T00:00:00Z",
                "UTC",
                "1 May, 2 May, 3 May, 4 May, 5 May, 6 May, 7 May",
            ),
            (
                "2024-05-01T00:00:00Z",
                "2024-06-10T00:00:00Z",
                "UTC",
                "6 May, 13 May, 20 May, 27 May, 3 Jun, 10 Jun",
            ),
            (
                "2024-01-05T00:00:00Z",
                "2024-12-20T00:00:00Z",
                "UTC",
                "Apr 2024, Jul 2024, Oct 2024",
            ),
            (
                "2011-03-01T00:00:00Z",
                "2024-03-01T00:00:00Z",
                "UTC",
                "2012, 2014, 2016, 2018, 2020, 2022, 2024",
            ),
            (
                "2024-03-30T20:00:00Z",
                "2024-03-31T10:00:00Z",
                "Europe/Berlin",
                "21:00, 31 Mar, 03:00, 06:00, 09:00, 12:00",
            ),
        ] {
            assert_eq!(times(from, to, zone), expected, "{from} {to}");
        }
    }

    #[test]
    fn numbers_are_marked_where_they_are_round() {
        let labels = |from, to| {
            of_numbers(from, to, 5)
                .into_iter()
                .map(|tick| tick.label)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(labels(0.0, 10.0), "0 2 4 6 8 10");
        assert_eq!(labels(-1.3, 1.1), "-1.0 -0.5 0 0.5 1.0");
        assert_eq!(labels(19.98, 20.03), "19.98 19.99 20.00 20.01 20.02 20.03");
        assert_eq!(labels(0.0, 4e9), "0 1e9 2e9 3e9 4e9");
        assert_eq!(labels(1.0, 1.0), "");
    }

    proptest! {
        #[test]
        fn marks_lie_within_and_are_few(
            from in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros(),
            length in prop_oneof![1_i64..100_000_000, 1_i64..1_000_000_000_000_000],
            (one, other) in (any::<f64>(), any::<f64>()),
            zone in prop_oneof![Just("UTC"), Just("America/New_York"), Just("Asia/Kathmandu")],
        ) {
            let to = from.saturating_add(length).min(Timestamp::MAX.as_micros());
            let ticks = of_time(from, to, &zone.parse().unwrap(), 8);
            prop_assert!(ticks.len() <= 9, "{:?}", ticks);
            prop_assert!(ticks.is_sorted_by_key(|tick| tick.at));
            prop_assert!(ticks.iter().all(|tick| (from..=to).contains(&tick.at)));
            let (lowest, highest) = (one.min(other), one.max(other));
            for tick in of_numbers(lowest, highest, 5) {
                prop_assert!(tick.at.is_finite() && tick.label.len() < 16, "{:?}", tick);
            }
        }
    }
}
