//! When a device says it measured: ISO 8601 with or without a zone, or UNIX time in seconds, milliseconds or finer.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use wire::Timestamp;

use super::fields::Value;

/// 2001-09-09: what lies before comes from a clock that was never set, and is no time. As seconds it has ten digits, by
/// whose number seconds, milliseconds, microseconds and nanoseconds are told apart.
const FIRST_SECONDS: f64 = 1e9;

/// What a field says of the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FieldTime {
    /// The instant.
    At(Timestamp),
    /// A time of a clock whose zone is not known, or that was never set.
    Nothing,
    /// It is no time.
    NoTime,
}

/// Reads the time that a field tells; one without a zone is of `zone`.
pub(super) fn told(value: Value<'_>, zone: Option<&TimeZone>) -> FieldTime {
    match value {
        Value::Number(number) => unix(number),
        Value::Text(text) => match text.parse() {
            Ok(number) => unix(number),
            Err(_) => iso(text, zone),
        },
        Value::Null => FieldTime::Nothing,
        Value::Boolean(_) => FieldTime::NoTime,
    }
}

fn unix(number: f64) -> FieldTime {
    let micros = match number {
        _ if !number.is_finite() || number < 0.0 => return FieldTime::NoTime,
        _ if number < FIRST_SECONDS => return FieldTime::Nothing,
        _ if number < FIRST_SECONDS * 1e2 => number * 1e6,
        _ if number < FIRST_SECONDS * 1e5 => number * 1e3,
        _ if number < FIRST_SECONDS * 1e8 => number,
        _ => number / 1e3,
    };
    // Rounded: a fraction of a second has no exact double.
    Timestamp::from_micros(micros.round() as i64).map_or(FieldTime::NoTime, FieldTime::At)
}

fn iso(text: &str, zone: Option<&TimeZone>) -> FieldTime {
    let instant = match text.parse::<jiff::Timestamp>() {
        Ok(instant) => instant,
        Err(_) => match (text.parse::<DateTime>(), zone) {
            (Err(_), _) => return FieldTime::NoTime,
            (Ok(_), None) => return FieldTime::Nothing,
            (Ok(civil), Some(zone)) => match zone.to_timestamp(civil) {
                Ok(instant) => instant,
                Err(_) => return FieldTime::NoTime,
            },
        },
    };
    match Timestamp::from_micros(instant.as_microsecond()) {
        Some(time) if time.as_micros() as f64 >= FIRST_SECONDS * 1e6 => FieldTime::At(time),
        Some(_) => FieldTime::Nothing,
        None => FieldTime::NoTime,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(text: &str) -> FieldTime {
        FieldTime::At(text.parse().unwrap())
    }

    #[test]
    fn unix_times_are_told_apart_by_their_size() {
        let expected = at("2024-05-01T10:00:00.5Z");
        for number in [
            1_714_557_600.5,
            1_714_557_600_500.0,
            1_714_557_600_500_000.0,
            1_714_557_600_500_000_000.0,
        ] {
            assert_eq!(told(Value::Number(number), None), expected, "{number}");
        }
        assert_eq!(told(Value::Text("1714557600"), None), at("2024-05-01T10:00:00Z"));
        assert_eq!(told(Value::Number(8.0), None), FieldTime::Nothing);
        for number in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(told(Value::Number(number), None), FieldTime::NoTime, "{number}");
        }
    }

    #[test]
    fn a_time_without_a_zone_needs_one() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let text = |text, zone| told(Value::Text(text), zone);
        assert_eq!(text("2024-05-01T12:00:00", None), FieldTime::Nothing);
        assert_eq!(text("2024-05-01T12:00:00", Some(&berlin)), at("2024-05-01T10:00:00Z"));
        assert_eq!(text("2024-05-01 12:00:00", Some(&berlin)), at("2024-05-01T10:00:00Z"));
        for zoned in [
            "2024-05-01T12:00:00+02:00",
            "2024-05-01T10:00:00.000Z",
            "2024-05-01 10:00:00+00:00",
        ] {
            assert_eq!(text(zoned, Some(&berlin)), at("2024-05-01T10:00:00Z"), "{zoned}");
        }
    }

    #[test]
    fn a_clock_that_was_never_set_tells_nothing() {
        assert_eq!(
            told(Value::Text("1970-01-01T00:00:12"), Some(&TimeZone::UTC)),
            FieldTime::Nothing
        );
        assert_eq!(told(Value::Null, None), FieldTime::Nothing);
        assert_eq!(told(Value::Text("yesterday"), None), FieldTime::NoTime);
        assert_eq!(told(Value::Boolean(true), None), FieldTime::NoTime);
    }
}
