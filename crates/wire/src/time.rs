//! An instant, in microseconds of UTC. Knows two written forms and no clock.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// Microseconds since 1970-01-01T00:00:00Z. Years 0000 to 9999, as RFC 3339 can write them.
///
/// Parsed from RFC 3339 with any offset, and from the same with a space for the `T` or without a zone, which means UTC:
/// `2024-05-01T12:00:00.123456+02:00`, `2024-05-01 10:00:00`. Digits beyond the microsecond are cut off; a leap second
/// is read as the second before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Text that is not an instant, and what about it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: write it as 2024-05-01T10:00:00.123456Z or 2024-05-01 10:00:00.123456")]
pub struct TimeError(&'static str);

impl Timestamp {
    /// 0000-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The instant so many microseconds after the Unix epoch; `None` outside the years 0000 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since the Unix epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by so many microseconds, kept within the years 0000 to 9999.
    pub fn saturating_add_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// `2024-05-01T10:00:00.123456Z`: RFC 3339 in ASCII, of fixed width, so that texts sort as the instants do.
    pub fn rfc3339(self) -> [u8; 27] {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        self.write(text.first_chunk_mut().expect("27 bytes hold 26"));
        text
    }

    /// `2024-05-01 10:00:00.123456`: UTC without saying so, as DHT records have it. Its first ten bytes are the
    /// date, its first nineteen leave out the microseconds.
    pub fn zoneless(self) -> Zoneless {
        let mut text = *b"0000-00-00 00:00:00.000000";
        self.write(&mut text);
        Zoneless(text)
    }

    fn write(self, text: &mut [u8; 26]) {
        let seconds = self.0.div_euclid(1_000_000);
        let micros = self.0.rem_euclid(1_000_000) as u32;
        let second_of_day = seconds.rem_euclid(86_400) as u32;
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let mut pair = |at: usize, number: u32| text[at..at + 2].copy_from_slice(&PAIRS[number as usize]);
        pair(0, year as u32 / 100);
        pair(2, year as u32 % 100);
        pair(5, month as u32);
        pair(8, day as u32);
        pair(11, second_of_day / 3_600);
        pair(14, second_of_day / 60 % 60);
        pair(17, second_of_day % 60);
        pair(20, micros / 10_000);
        pair(22, micros / 100 % 100);
        pair(24, micros % 100);
    }
}

/// Two digits of every number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

/// An instant as [`Timestamp::zoneless`] writes it: ASCII of fixed width, so that texts sort as the instants do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zoneless([u8; 26]);

impl Deref for Zoneless {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits and punctuation are ASCII")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.rfc3339()).expect("digits and punctuation are ASCII"))
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let text = text.as_bytes();
        let Some((civil, rest)) = text.split_first_chunk::<19>() else {
            return Err(TimeError("too short for a date and a time"));
        };
        if [civil[4], civil[7], civil[13], civil[16]] != *b"--::" || !matches!(civil[10], b'T' | b't' | b' ') {
            return Err(TimeError("not a date and a time"));
        }
        let (year, month, day) = (digits(&civil[0..4])?, digits(&civil[5..7])?, digits(&civil[8..10])?);
        let (hour, minute, second) = (
            digits(&civil[11..13])?,
            digits(&civil[14..16])?,
            digits(&civil[17..19])?,
        );
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return Err(TimeError("no such day in the calendar"));
        }
        if hour > 23 || minute > 59 || second > 60 {
            return Err(TimeError("no such time of day"));
        }
        let (micros, zone) = fraction(rest)?;
        let offset_minutes = offset(zone)?;
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3_600 + (minute - offset_minutes) * 60 + second.min(59);
        Self::from_micros(seconds * 1_000_000 + micros).ok_or(TimeError("outside the years 0000 to 9999"))
    }
}

/// The microseconds of what may follow the seconds, and what follows them.
fn fraction(text: &[u8]) -> Result<(i64, &[u8]), TimeError> {
    let Some(text) = text.strip_prefix(b".") else {
        return Ok((0, text));
    };
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return Err(TimeError("no digits after the decimal point"));
    }
    let kept = length.min(6);
    let micros = digits(&text[..kept])? * 10_i64.pow(6 - kept as u32);
    Ok((micros, &text[length..]))
}

/// Minutes east of UTC.
fn offset(zone: &[u8]) -> Result<i64, TimeError> {
    match zone {
        b"" | b"Z" | b"z" => Ok(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return Err(TimeError("no such offset from UTC"));
            }
            let east = hours * 60 + minutes;
            Ok(if *sign == b'-' { -east } else { east })
        }
        _ => Err(TimeError("neither Z nor an offset such as +02:00 after the time")),
    }
}

fn digits(text: &[u8]) -> Result<i64, TimeError> {
    text.iter().try_fold(0, |number, byte| match byte {
        b'0'..=b'9' => Ok(number * 10 + i64::from(byte - b'0')),
        _ => Err(TimeError("not a digit where one must be")),
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; with its inverse below after Howard Hinnant,
/// <https://howardhinnant.github.io/date_algorithms.html>. Years begin in March, so that the leap day is their last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn micros(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_micros()
    }

    fn refusal(text: &str) -> String {
        text.parse::<Timestamp>().unwrap_err().to_string()
    }

    #[test]
    fn one_instant_has_many_spellings() {
        for text in [
            "2024-05-01T10:00:00.123456Z",
            "2024-05-01t10:00:00.123456z",
            "2024-05-01 10:00:00.123456",
            "2024-05-01T10:00:00.123456999Z",
            "2024-05-01T12:00:00.123456+02:00",
            "2024-04-30 22:30:00.123456-11:30",
            "2024-05-01T10:00:00.123456-00:00",
        ] {
            assert_eq!(micros(text), 1_714_557_600_123_456, "{text}");
        }
        assert_eq!(micros("2024-05-01 10:00:00.1"), 1_714_557_600_100_000);
        assert_eq!(micros("2024-05-01 10:00:00"), 1_714_557_600_000_000);
        assert_eq!(micros("2016-12-31T23:59:60Z"), micros("2016-12-31T23:59:59Z"));
    }

    #[test]
    fn what_is_no_instant_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "too short"),
            ("2024-05-01", "too short"),
            ("2024/05/01 10:00:00", "not a date and a time"),
            ("2024-05-01_10:00:00", "not a date and a time"),
            ("2024-05-01 1o:00:00", "not a digit"),
            ("2023-02-29 10:00:00", "no such day"),
            ("1900-02-29 10:00:00", "no such day"),
            ("2024-13-01 10:00:00", "no such day"),
            ("2024-00-01 10:00:00", "no such day"),
            ("2024-04-31 10:00:00", "no such day"),
            ("2024-05-00 10:00:00", "no such day"),
            ("2024-05-01 24:00:00", "no such time"),
            ("2024-05-01 10:60:00", "no such time"),
            ("2024-05-01 10:00:61", "no such time"),
            ("2024-05-01 10:00:00.", "no digits"),
            ("2024-05-01 10:00:00+24:00", "no such offset"),
            ("2024-05-01 10:00:00+02", "neither Z nor an offset"),
            ("2024-05-01 10:00:00 UTC", "neither Z nor an offset"),
            ("0000-01-01T00:00:00+00:01", "outside the years"),
            ("9999-12-31T23:59:59-00:01", "outside the years"),
        ] {
            let message = refusal(text);
            assert!(message.starts_with(reason), "{text}: {message}");
            assert!(message.contains("write it as 2024-05-01T10:00:00.123456Z"), "{message}");
        }
    }

    #[test]
    fn the_ends_are_written() {
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_micros(Timestamp::MAX.as_micros() + 1), None);
        assert_eq!(Timestamp::MAX.saturating_add_micros(1), Timestamp::MAX);
        assert_eq!(&*Timestamp::default().zoneless(), "1970-01-01 00:00:00.000000");
        // The calendar repeats after 400 years, and this is the last day of them.
        for day in ["0000-02-29", "2000-02-29", "2400-02-29"] {
            let time: Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
            assert_eq!(&time.to_string()[..10], day);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(micros in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let time = Timestamp(micros);
            prop_assert_eq!(str::from_utf8(&time.rfc3339()).unwrap().parse(), Ok(time));
            prop_assert_eq!(time.zoneless().parse(), Ok(time));
        }

        #[test]
        fn jiff_agrees(micros in Timestamp::MIN.0..=253_402_207_200_000_000, offset in -1_439_i32..=1_439) {
            let time = Timestamp(micros);
            let theirs = jiff::Timestamp::from_microsecond(micros).unwrap();
            prop_assert_eq!(time.to_string(), format!("{theirs:.6}"));
            let zone = jiff::tz::Offset::from_seconds(offset * 60).unwrap();
            let civil = zone.to_datetime(theirs);
            prop_assume!((0..=9_999).contains(&civil.year()));
            let sign = if offset < 0 { '-' } else { '+' };
            let text = format!("{civil:.6}{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60);
            prop_assert_eq!(text.parse(), Ok(time));
        }

        #[test]
        fn garbage_never_panics(text in "\\PC{0,40}", near in "[0-9T:. +Z-]{15,40}") {
            let _ = text.parse::<Timestamp>();
            let _ = near.parse::<Timestamp>();
        }
    }
}
