//! How a history writes its times: one format for the whole of it, and a zone for times that name none. Knows no file.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{self, DateTime};
use jiff::fmt::{rfc2822, strtime, temporal};
use jiff::tz::{Offset, TimeZone};
use wire::Timestamp;

/// One way to write times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// ISO 8601, and RFC 3339 within it: `T` or a space, with or without seconds, fraction and zone, or a date alone.
    Iso,
    /// As in emails: `Wed, 1 May 2024 10:00:00 +0200`.
    Rfc2822,
    /// Since 1970-01-01T00:00:00Z, whole or with a fraction.
    Unix(Unit),
    /// By the directives of strptime.
    Pattern(Pattern),
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Thousandths of a second.
    Millis,
    /// Millionths of a second.
    Micros,
    /// Billionths of a second.
    Nanos,
}

/// Directives of strptime. A literal `UTC`, `GMT` or `Z` at their end means what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    utc: bool,
    /// The ASCII characters that every text of it has, a bit each: most formats are ruled out by these.
    literals: u128,
}

/// What a text says of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The instant itself.
    Instant(Timestamp),
    /// What a clock on a wall showed, as though it showed UTC.
    Wall(Timestamp),
}

/// Where the clocks hang that times without a zone were read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone(TimeZone);

/// A pattern, or the name of a format, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} reads no date and time: {problem}; use strptime directives such as \"%d.%m.%Y %H:%M:%S\", or one of \
    iso8601, rfc2822, unix, unix-ms, unix-us, unix-ns"
)]
pub struct NoFormat {
    text: String,
    problem: String,
}

/// A zone that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone: use UTC, an offset such as +02:00, or a name such as Europe/Berlin")]
pub struct NoZone(String);

impl TimeFormat {
    const NAMED: [(&'static str, Self); 6] = [
        ("iso8601", Self::Iso),
        ("rfc2822", Self::Rfc2822),
        ("unix", Self::Unix(Unit::Seconds)),
        ("unix-ms", Self::Unix(Unit::Millis)),
        ("unix-us", Self::Unix(Unit::Micros)),
        ("unix-ns", Self::Unix(Unit::Nanos)),
    ];

    /// What the text says; `None` where it is not of this format.
    pub fn read(&self, text: &str) -> Option<Written> {
        match self {
            Self::Iso => iso(text),
            Self::Rfc2822 => {
                let instant = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
                timestamp(instant).map(Written::Instant)
            }
            Self::Unix(unit) => unit.read(text).map(Written::Instant),
            Self::Pattern(pattern) => pattern.read(text),
        }
    }
}

impl FromStr for TimeFormat {
    type Err = NoFormat;

    fn from_str(text: &str) -> Result<Self, NoFormat> {
        if let Some((_, format)) = Self::NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(format.clone());
        }
        let refused = |problem: String| NoFormat {
            text: text.into(),
            problem,
        };
        let pattern = Pattern::new(text);
        // What cannot write a time and read it again lacks a part of it, or has a directive there is not.
        let sample = civil::date(2001, 2, 3).at(4, 5, 6, 789_000_000);
        let sample = sample
            .to_zoned(TimeZone::UTC)
            .map_err(|error| refused(error.to_string()))?;
        let written = strtime::format(text, &sample).map_err(|error| refused(error.to_string()))?;
        strtime::parse(text, &written).map_err(|error| refused(error.to_string()))?;
        match pattern.read(&written) {
            Some(_) => Ok(Self::Pattern(pattern)),
            None => Err(refused("year, month and day must be among them".into())),
        }
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iso => "ISO 8601",
            Self::Rfc2822 => "RFC 2822",
            Self::Unix(Unit::Seconds) => "Unix seconds",
            Self::Unix(Unit::Millis) => "Unix milliseconds",
            Self::Unix(Unit::Micros) => "Unix microseconds",
            Self::Unix(Unit::Nanos) => "Unix nanoseconds",
            Self::Pattern(pattern) => &pattern.text,
        })
    }
}

impl Unit {
    fn nanos(self) -> i128 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }

    fn read(self, text: &str) -> Option<Timestamp> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let decimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !decimal(whole) || !decimal(fraction) {
            // Some programs write large numbers as 1.7145576e9.
            let number: f64 = digits.parse().ok().filter(|_| digits.contains(['e', 'E']))?;
            let micros = number * self.nanos() as f64 / 1e3;
            return signed(negative, micros as i128).filter(|_| micros.is_finite());
        }
        let whole = i128::from(whole.parse::<u64>().ok()?) * self.nanos();
        let fraction = &fraction[..fraction.len().min(9)];
        let part = fraction.parse::<u32>().map_or(0, i128::from) * self.nanos() / 10_i128.pow(fraction.len() as u32);
        signed(negative, (whole + part) / 1_000)
    }
}

fn signed(negative: bool, micros: i128) -> Option<Timestamp> {
    Timestamp::from_micros(i64::try_from(if negative { -micros } else { micros }).ok()?)
}

/// Of a set of characters that stand for themselves; white space matches none as well.
fn bit(byte: u8) -> u128 {
    match byte.is_ascii() && !byte.is_ascii_whitespace() {
        true => 1 << byte,
        false => 0,
    }
}

impl Pattern {
    /// These directives, not checked.
    pub(super) fn new(text: &str) -> Self {
        let utc = ["UTC", "GMT", "Z"]
            .iter()
            .any(|end| text.strip_suffix(end).is_some_and(|rest| !rest.ends_with(['%', ':'])));
        let (mut bytes, mut literals) = (text.bytes(), 0);
        while let Some(byte) = bytes.next() {
            match byte {
                // Flags, a width, colons, or the dot of a fraction come before a directive's letter.
                b'%' => drop(bytes.find(|byte| byte.is_ascii_alphabetic() || *byte == b'%')),
                _ => literals |= bit(byte),
            }
        }
        Self {
            text: text.into(),
            utc,
            literals,
        }
    }

    fn read(&self, text: &str) -> Option<Written> {
        let there = text.bytes().fold(0, |there, byte| there | bit(byte));
        if self.literals & !there != 0 {
            return None;
        }
        let time = strtime::parse(&self.text, text).ok()?;
        // "24" is a year in the first century to a directive that wants four digits.
        if time.year().is_some_and(|year| year < 1_000) {
            return None;
        }
        if time.offset().is_some() {
            return timestamp(time.to_timestamp().ok()?).map(Written::Instant);
        }
        if time.iana_time_zone().is_some() {
            return timestamp(time.to_zoned().ok()?.timestamp()).map(Written::Instant);
        }
        match time.to_datetime() {
            Ok(civil) if self.utc => wall(civil).map(Written::Instant),
            Ok(civil) => wall(civil).map(Written::Wall),
            // Seconds since the epoch, %s, are neither a date nor a time of day.
            Err(_) => timestamp(time.to_timestamp().ok()?).map(Written::Instant),
        }
    }
}

fn iso(text: &str) -> Option<Written> {
    if let Ok(time) = text.parse() {
        let zoned = text[19..].contains(['Z', 'z', '+', '-']);
        return Some(if zoned {
            Written::Instant(time)
        } else {
            Written::Wall(time)
        });
    }
    let pieces = temporal::Pieces::parse(text).ok()?;
    let civil = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    match (pieces.to_numeric_offset(), pieces.to_time_zone()) {
        (Some(offset), _) => timestamp(offset.to_timestamp(civil).ok()?).map(Written::Instant),
        (None, Ok(Some(zone))) => timestamp(zone.to_timestamp(civil).ok()?).map(Written::Instant),
        (None, Ok(None)) => wall(civil).map(Written::Wall),
        (None, Err(_)) => None,
    }
}

fn wall(civil: DateTime) -> Option<Timestamp> {
    timestamp(Offset::UTC.to_timestamp(civil).ok()?)
}

fn timestamp(time: jiff::Timestamp) -> Option<Timestamp> {
    Timestamp::from_micros(time.as_microsecond())
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// When that was; `None` near the ends of the calendar. A wall time that the clocks skipped is as much later as they
    /// were set forward. One that they showed twice is the one nearer to `before`, the row before it; without one, the first.
    pub fn instant(&self, written: Written, before: Option<Timestamp>) -> Option<Timestamp> {
        let wall = match written {
            Written::Instant(time) => return Some(time),
            Written::Wall(time) if self.0 == TimeZone::UTC => return Some(time),
            Written::Wall(time) => Offset::UTC.to_datetime(jiff::Timestamp::from_microsecond(time.as_micros()).ok()?),
        };
        let times = self.0.to_ambiguous_timestamp(wall);
        let first = timestamp(times.compatible().ok()?)?;
        let Some(before) = before.filter(|_| times.is_ambiguous()) else {
            return Some(first);
        };
        let second = timestamp(times.later().ok()?)?;
        let distance = |time: Timestamp| time.as_micros().abs_diff(before.as_micros());
        Some(if distance(second) <= distance(first) {
            second
        } else {
            first
        })
    }

    /// What a clock there shows, to the second: `2024-05-01 12:00:00`.
    pub fn show(&self, time: Timestamp) -> String {
        let shown = jiff::Timestamp::from_microsecond(time.as_micros()).map(|time| self.0.to_datetime(time));
        match shown {
            Ok(shown) => shown.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            Err(_) => time.to_string(),
        }
    }

    /// What a clock there shows, in microseconds as though it showed UTC.
    pub(super) fn wall(&self, time: Timestamp) -> i64 {
        let time = time.as_micros();
        jiff::Timestamp::from_microsecond(time).map_or(time, |instant| {
            time + i64::from(self.0.to_offset(instant).seconds()) * 1_000_000
        })
    }
}

impl FromStr for Zone {
    type Err = NoZone;

    fn from_str(text: &str) -> Result<Self, NoZone> {
        let offset = || {
            let dated = format!("2000-01-01T00:00{text}");
            let pieces = temporal::Pieces::parse(&dated).ok()?;
            pieces.to_numeric_offset().map(TimeZone::fixed)
        };
        match text {
            "UTC" | "utc" | "Z" => Ok(Self::UTC),
            _ => TimeZone::get(text)
                .ok()
                .or_else(offset)
                .map(Self)
                .ok_or_else(|| NoZone(text.into())),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.iana_name() {
            Some(name) => f.write_str(name),
            None if self.0 == TimeZone::UTC => f.write_str("UTC"),
            None => write!(f, "{}", self.0.to_offset(jiff::Timestamp::UNIX_EPOCH)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn read(format: &str, text: &str, zone: &str) -> Option<Timestamp> {
        let written = format.parse::<TimeFormat>().unwrap().read(text)?;
        zone.parse::<Zone>().unwrap().instant(written, None)
    }

    fn utc(text: &str) -> Option<Timestamp> {
        match TimeFormat::Iso.read(text) {
            Some(Written::Wall(time)) => Some(time),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_format_reads_what_it_should() {
        for (format, text, expected) in [
            ("iso8601", "2024-05-01T10:00:05Z", "2024-05-01T10:00:05"),
            ("iso8601", "2024-05-01 10:00:05.25", "2024-05-01T10:00:05.25"),
            ("iso8601", "2024-05-01T10:00:05,25", "2024-05-01T10:00:05.25"),
            ("iso8601", "2024-05-01 10:00:05+02:00", "2024-05-01T08:00:05"),
            ("iso8601", "2024-05-01 10:00:05+0200", "2024-05-01T08:00:05"),
            ("iso8601", "2024-05-01 10:00+02", "2024-05-01T08:00"),
            ("iso8601", "20240501T100005Z", "2024-05-01T10:00:05"),
            ("iso8601", "2024-05-01T10:00:05[Europe/Berlin]", "2024-05-01T08:00:05"),
            (
                "iso8601",
                "2024-05-01T10:00:05+02:00[Europe/Berlin]",
                "2024-05-01T08:00:05",
            ),
            ("rfc2822", "Wed, 1 May 2024 10:00:05 +0200", "2024-05-01T08:00:05"),
            ("rfc2822", "1 May 2024 10:00:05 GMT", "2024-05-01T10:00:05"),
            ("unix", "1714557605", "2024-05-01T10:00:05"),
            ("unix", "1714557605.25", "2024-05-01T10:00:05.25"),
            ("unix", "1.714557605e9", "2024-05-01T10:00:05"),
            ("unix", "-1.5", "1969-12-31T23:59:58.5"),
            ("unix-ms", "1714557605250", "2024-05-01T10:00:05.25"),
            ("unix-ms", "1714557605250.5", "2024-05-01T10:00:05.2505"),
            ("unix-us", "1714557605250000", "2024-05-01T10:00:05.25"),
            ("unix-ns", "1714557605250000999", "2024-05-01T10:00:05.25"),
            ("%d.%m.%Y %H:%M", "1.5.2024 10:05", "2024-05-01T10:05"),
            ("%m/%d/%Y %I:%M %p", "05/01/2024 1:05 pm", "2024-05-01T13:05"),
            (
                "%Y-%m-%d %H:%M:%S %z",
                "2024-05-01 10:00:05 +0200",
                "2024-05-01T08:00:05",
            ),
            (
                "%Y-%m-%d %H:%M:%S UTC",
                "2024-05-01 10:00:05 UTC",
                "2024-05-01T10:00:05",
            ),
            ("%s", "1714557605", "2024-05-01T10:00:05"),
            (
                "%Y-%m-%d %H:%M %Q",
                "2024-05-01 10:05 Europe/Berlin",
                "2024-05-01T08:05",
            ),
        ] {
            assert_eq!(read(format, text, "UTC"), utc(expected), "{format} {text}");
        }
    }

    #[test]
    fn what_is_of_another_format_is_not_read() {
        for (format, text) in [
            ("iso8601", "2024-02-30"),
            ("iso8601", "01.05.2024 10:00"),
            ("iso8601", "1714557605"),
            ("iso8601", ""),
            ("unix", "10:00"),
            ("unix", "1.5.2024"),
            ("unix", "nan"),
            ("unix", "1e300"),
            ("unix", "99999999999999999999"),
            ("rfc2822", "Thu, 1 May 2024 10:00:05 +0200"),
            ("%d.%m.%Y", "1.5.24"),
            ("%d.%m.%Y", "31.2.2024"),
            ("%d.%m.%Y", "1.5.2024 10:00"),
        ] {
            assert_eq!(read(format, text, "UTC"), None, "{format} {text}");
        }
    }

    #[test]
    fn a_zone_is_only_for_times_without_one() {
        for (format, text, expected) in [
            ("iso8601", "2024-05-01 10:00", "2024-05-01T08:00"),
            ("iso8601", "2024-01-15 10:00", "2024-01-15T09:00"),
            ("iso8601", "2024-05-01", "2024-04-30T22:00"),
            ("iso8601", "2024-05-01 10:00Z", "2024-05-01T10:00"),
            ("unix", "1714557605", "2024-05-01T10:00:05"),
            ("%d.%m.%Y %H:%M GMT", "1.5.2024 10:05 GMT", "2024-05-01T10:05"),
            // Skipped: as much later as the clocks were set forward.
            ("iso8601", "2024-03-31 02:30", "2024-03-31T01:30"),
            // Handles twice: the first.
            ("iso8601", "2024-10-27 02:30", "2024-10-27T00:30"),
        ] {
            assert_eq!(read(format, text, "Europe/Berlin"), utc(expected), "{text}");
        }
        assert_eq!(read("iso8601", "2024-05-01 10:00", "+05:30"), utc("2024-05-01T04:30"));
    }

    #[test]
    fn an_hour_shown_twice_follows_the_row_before() {
        let zone: Zone = "Europe/Berlin".parse().unwrap();
        let texts = [
            "01:30", "02:00", "02:30", "02:29", "02:59", "02:00", "02:00", "02:30", "03:00",
        ];
        let mut before = None;
        let mut minutes = Vec::new();
        for text in texts {
            let written = TimeFormat::Iso.read(&format!("2024-10-27 {text}")).unwrap();
            before = zone.instant(written, before);
            minutes.push((before.unwrap().as_micros() / 60_000_000 - 28_832_990) as i32);
        }
        let first = minutes[0];
        let passed: Vec<_> = minutes.iter().map(|minute| minute - first).collect();
        assert_eq!(passed, [0, 30, 60, 59, 89, 90, 90, 120, 150]);
    }

    #[test]
    fn what_reads_no_time_is_refused_with_its_reason() {
        for (text, reason) in [
            ("%q", "directive"),
            ("%H:%M", "year, month and day"),
            ("%Y-%m-%d %Z", "abbreviation"),
            ("iso", "year, month and day"),
            ("", "year, month and day"),
        ] {
            let told = text.parse::<TimeFormat>().unwrap_err().to_string();
            assert!(told.contains(reason) && told.contains("unix-ms"), "{text}: {told}");
        }
        let told = "Europe/Berln".parse::<Zone>().unwrap_err().to_string();
        assert!(told.contains("\"Europe/Berln\" is no time zone"), "{told}");
        assert_eq!("europe/berlin".parse::<Zone>().unwrap().to_string(), "Europe/Berlin");
        assert_eq!("-03:30".parse::<Zone>().unwrap().to_string(), "-03:30");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(text in "\\PC{0,30}", near in "[0-9T:./ +eZ-]{0,30}", pattern in "[%YmdHMSpbz:./ a-]{0,12}") {
            for (_, format) in &TimeFormat::NAMED {
                format.read(&text);
                format.read(&near);
            }
            if let Ok(format) = pattern.parse::<TimeFormat>() {
                format.read(&near);
            }
            let _ = text.parse::<Zone>();
        }

        #[test]
        fn a_wall_time_in_a_zone_is_what_that_zone_shows(micros in 0_i64..4_000_000_000_000_000) {
            let zone: Zone = "America/New_York".parse().unwrap();
            let time = Timestamp::from_micros(micros).unwrap();
            let wall = Timestamp::from_micros(zone.wall(time)).unwrap();
            // Handles twice or not: with itself as the row before, it is found again.
            prop_assert_eq!(zone.instant(Written::Wall(wall), Some(time)), Some(time));
        }
    }
}
