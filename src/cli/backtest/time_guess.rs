//! Which time format a history is written in, by its first rows. It never takes one of two that both fit.

use std::sync::LazyLock;

use wire::Timestamp;

use super::time_format::{Pattern, TimeFormat, Unit, Written};

/// What the first rows tell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Guess {
    /// One format fits most of them, more than any other.
    One(TimeFormat),
    /// Two fit as many, and tell different times.
    Several(Ambiguity),
    /// None fits half of them.
    None,
}

/// One text that two formats read differently, though they fit as many texts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ambiguity {
    pub text: String,
    /// Each with the time it reads; `None` where it cannot.
    pub readings: [(TimeFormat, Option<Timestamp>); 2],
}

/// So many texts, each with a digit, are tried with every format; formats that read none of them are passed over.
const PROBES: usize = 20;
/// Numbers between these are taken for Unix times: the years 1990 to 2100, in seconds.
const PLAUSIBLE: std::ops::Range<f64> = 631_152_000.0..4_102_444_800.0;

const DATES: [&str; 15] = [
    "%Y/%m/%d", "%Y-%m-%d", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y",
    "%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d",
];
/// With the month's name, short or long.
const NAMED_DATES: [&str; 10] = [
    "%d %b %Y",
    "%d. %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d/%b/%Y",
    "%b %d %Y",
    "%b %d, %Y",
    "%Y %b %d",
    "%Y-%b-%d",
    "%d %b %y",
];
const WEEKDAYS: [&str; 4] = ["", "%a ", "%a, ", "%A, "];
const BETWEEN: [&str; 4] = [" ", ", ", "T", "_"];
const BETWEEN_NAMED: [&str; 3] = [" ", ", ", ":"];
const TIMES: [&str; 8] = [
    "%H:%M",
    "%H:%M:%S",
    "%H:%M:%S%.f",
    "%I:%M %p",
    "%I:%M:%S %p",
    "%I:%M:%S%.f %p",
    "%H.%M",
    "%H.%M.%S",
];
const ZONES: [&str; 5] = ["", " %z", " %:z", " UTC", " GMT"];
const WHOLE: [&str; 8] = [
    "%Y%m%d%H%M%S",
    "%Y%m%d%H%M",
    "%Y%m%d %H%M%S",
    "%Y%m%d %H%M",
    "%Y%m%d %H:%M:%S",
    "%Y%m%d %H:%M",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S UTC %Y",
];

/// All formats without names of months but Unix times, the plainest first.
static PLAIN: LazyLock<Vec<TimeFormat>> = LazyLock::new(|| {
    let mut formats = vec![TimeFormat::Iso, TimeFormat::Rfc2822];
    formats.extend(WHOLE.iter().map(|whole| TimeFormat::Pattern(Pattern::new(whole))));
    DATES.iter().for_each(|date| formats.extend(with_times(date, &BETWEEN)));
    formats
});
/// All with names of months.
static NAMED: LazyLock<Vec<TimeFormat>> = LazyLock::new(|| {
    let dates = NAMED_DATES
        .iter()
        .flat_map(|date| [(*date).to_owned(), date.replace("%b", "%B")]);
    let dates = dates.flat_map(|date| WEEKDAYS.map(|weekday| format!("{weekday}{date}")));
    dates.flat_map(|date| with_times(&date, &BETWEEN_NAMED)).collect()
});

/// The date alone, then with every time of day.
fn with_times(date: &str, between: &[&str]) -> Vec<TimeFormat> {
    let mut texts = vec![date.to_owned()];
    for (between, time) in between.iter().flat_map(|between| TIMES.map(|time| (between, time))) {
        texts.extend(ZONES.map(|zone| format!("{date}{between}{time}{zone}")));
    }
    texts
        .iter()
        .map(|text| TimeFormat::Pattern(Pattern::new(text)))
        .collect()
}

/// So many of them may be all digits.
const DIGITS: usize = 2 + WHOLE.len();

/// The format of these texts; empty ones say nothing.
pub(super) fn guess<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Guess {
    let texts = texts.filter(|text| !text.is_empty());
    let dated = |text: &&str| text.bytes().any(|byte| byte.is_ascii_digit());
    let probes: Vec<&str> = texts.clone().filter(dated).take(PROBES).collect();
    let digits = probes.iter().all(|probe| probe.parse::<f64>().is_ok());
    let plain = &PLAIN[..if digits { DIGITS } else { PLAIN.len() }];
    let three_letters = |probe: &&str| {
        probe
            .as_bytes()
            .windows(3)
            .any(|text| text.iter().all(u8::is_ascii_alphabetic))
    };
    let named: &[TimeFormat] = if probes.iter().any(three_letters) { &NAMED } else { &[] };
    let numbers = [Unit::Seconds, Unit::Millis, Unit::Micros, Unit::Nanos].map(TimeFormat::Unix);
    let mut rows = 0;
    let mut found: Vec<(&TimeFormat, usize)> = Vec::new();
    for format in plain.iter().chain(named).chain(&numbers) {
        if probes.iter().any(|probe| read(format, probe).is_some()) {
            let fitting = texts.clone().filter(|text| read(format, text).is_some()).count();
            rows = texts.clone().count();
            found.push((format, fitting));
            // Nothing is plainer, and nobody writes year, day, month.
            if *format == TimeFormat::Iso && fitting == rows {
                break;
            }
        }
    }
    let most = found.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most * 2 < rows || most == 0 {
        return Guess::None;
    }
    let mut best = found
        .iter()
        .filter(|(_, count)| *count == most)
        .map(|(format, _)| *format);
    let Some(first) = best.next() else { return Guess::None };
    for other in best {
        let differs = |text: &&str| read(first, text) != read(other, text);
        if let Some(text) = texts.clone().find(differs) {
            return Guess::Several(Ambiguity {
                text: text.to_owned(),
                readings: [first, other].map(|format| (format.clone(), read(format, text).map(at))),
            });
        }
    }
    Guess::One(first.clone())
}

/// What a text says by this format, where that is likely: a number is a Unix time only between 1990 and 2100.
fn read(format: &TimeFormat, text: &str) -> Option<Written> {
    let time = format.read(text)?;
    let seconds = at(time).as_micros() as f64 / 1e6;
    let likely = !matches!(format, TimeFormat::Unix(_)) || PLAUSIBLE.contains(&seconds);
    likely.then_some(time)
}

fn at(written: Written) -> Timestamp {
    match written {
        Written::Instant(time) | Written::Wall(time) => time,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn named(texts: &[&str]) -> String {
        match guess(texts.iter().copied()) {
            Guess::One(format) => format.to_string(),
            Guess::Several(Ambiguity {
                text,
                readings: [(one, _), (two, _)],
            }) => format!("{text}: {one} or {two}"),
            Guess::None => "none".into(),
        }
    }

    #[test]
    fn formats_in_common_use_are_found() {
        for (texts, expected) in [
            (&["2024-05-01T10:00:00Z"][..], "ISO 8601"),
            (&["2024-05-01 10:00:00", "2024-05-01 10:00:00.5"], "ISO 8601"),
            (&["2024-05-01 10:00:00+02:00"], "ISO 8601"),
            (&["2024-05-01T10:00:00,123"], "ISO 8601"),
            (&["2024-05-01"], "ISO 8601"),
            (&["20240501", "20240502"], "ISO 8601"),
            (&["20240501100000"], "%Y%m%d%H%M%S"),
            (&["202405011000"], "%Y%m%d%H%M"),
            (&["2024/05/01 10:00"], "%Y/%m/%d %H:%M"),
            (&["2024/05/01 10:00:00"], "%Y/%m/%d %H:%M:%S"),
            (
                &["2024/05/01 10:00:00", "2024/05/01 10:00:00.5"],
                "%Y/%m/%d %H:%M:%S%.f",
            ),
            (&["2024-5-1 9:00"], "%Y-%m-%d %H:%M"),
            (&["2024-05-01 10:00:00 +0200"], "%Y-%m-%d %H:%M:%S %z"),
            (&["2024-05-01 10:00:00 +02:00"], "%Y-%m-%d %H:%M:%S %:z"),
            (&["2024-05-01 10:00:00 UTC"], "%Y-%m-%d %H:%M:%S UTC"),
            (&["01.05.2024 10:00"], "%d.%m.%Y %H:%M"),
            (&["1.5.2024"], "%d.%m.%Y"),
            (&["01.05.24 10:00:00"], "%d.%m.%y %H:%M:%S"),
            (&["10.03.2004 18.00.00"], "%d.%m.%Y %H.%M.%S"),
            (&["10/03/2004 18.00.00", "13/03/2004 18.00.00"], "%d/%m/%Y %H.%M.%S"),
            (&["01/05/2024 10:00", "13/05/2024 10:00"], "%d/%m/%Y %H:%M"),
            (&["05/01/2024 10:00 AM", "05/13/2024 1:00 PM"], "%m/%d/%Y %I:%M %p"),
            (&["5/13/24 1:05:09 pm"], "%m/%d/%y %I:%M:%S %p"),
            (&["13-05-2024 10:00"], "%d-%m-%Y %H:%M"),
            (&["1 May 2024 10:00", "2 Jun 2024 10:00"], "%d %b %Y %H:%M"),
            (&["June 1, 2024 10:00"], "%B %d, %Y %H:%M"),
            (&["01-Jun-2024 10:00:00"], "%d-%b-%Y %H:%M:%S"),
            (&["01/Jun/2024:10:00:00 +0200"], "%d/%b/%Y:%H:%M:%S %z"),
            (&["Sat Jun  1 10:00:00 2024"], "%a %b %d %H:%M:%S %Y"),
            (&["Sat, 1 Jun 2024 10:00:00 +0200"], "RFC 2822"),
            (&["1714557600", "1714557660.5"], "Unix seconds"),
            (&["1.7145576e9"], "Unix seconds"),
            (&["1714557600000"], "Unix milliseconds"),
            (&["1714557600000000"], "Unix microseconds"),
            (&["1714557600000000000"], "Unix nanoseconds"),
            (&["", "2024-05-01", ""], "ISO 8601"),
        ] {
            assert_eq!(named(texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn what_means_two_times_is_not_guessed() {
        for (texts, expected) in [
            (
                &["01/05/2024 10:00"][..],
                "01/05/2024 10:00: %d/%m/%Y %H:%M or %m/%d/%Y %H:%M",
            ),
            (&["05/05/2024", "06/05/2024"], "06/05/2024: %d/%m/%Y or %m/%d/%Y"),
            (&["01-05-2024"], "01-05-2024: %d-%m-%Y or %m-%d-%Y"),
            (&["13/05/24"], "13/05/24: %d/%m/%y or %y/%m/%d"),
            (&["13/05/2024", "05/13/2024"], "13/05/2024: %d/%m/%Y or %m/%d/%Y"),
        ] {
            assert_eq!(named(texts), expected, "{texts:?}");
        }
        let Guess::Several(found) = guess(["01/05/2024"].into_iter()) else {
            panic!("guessed")
        };
        let times = found.readings.map(|(_, time)| time.unwrap().to_string());
        assert_eq!(times, ["2024-05-01T00:00:00.000000Z", "2024-01-05T00:00:00.000000Z"]);
    }

    #[test]
    fn one_row_decides_and_a_bad_one_does_not_disturb() {
        assert_eq!(named(&["01/05/2024", "02/05/2024", "13/05/2024"]), "%d/%m/%Y");
        assert_eq!(named(&["yesterday", "2024-05-01", "2024-05-02", ""]), "ISO 8601");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for texts in [
            &["21.5", "22"][..],
            &["warm"],
            &[],
            &["", ""],
            &["10:00"],
            &["0", "1", "2"],
            &["kitchen-1"],
        ] {
            assert_eq!(named(texts), "none", "{texts:?}");
        }
    }
}
