//! The command `simulate`: readings of a profile as JSON lines, and the truth about their faults. The same arguments give
//! the same bytes on any day.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::num::NonZeroU32;

use simulate::Choice;
use values::number::Amount;
use values::problem::Problem;
use wire::{Timestamp, json};

use crate::source::Settings;

/// The event time of the first reading: 2024-01-01T00:00:00Z.
const START_MICROS: i64 = 1_704_067_200_000_000;
/// Enough for labels in any output worth keeping: one an hour and sensor.
const FAULTS_PER_DAY: f64 = 24.0;

/// Writes `count` readings of all sensors together to `out`, without a count until nobody reads on, and a label for each
/// injected fault to `labels`. Both ends of a broken pipe are good ends.
///
/// # Errors
///
/// More sensors than a simulation has, a profile file that is none, and what cannot be written to `out` or `labels`.
pub fn simulate(
    profile: &Choice,
    sensors: NonZeroU32,
    count: Option<u64>,
    seed: u64,
    out: &mut impl Write,
    labels: Option<&mut impl Write>,
) -> io::Result<()> {
    match write(profile, sensors, count, seed, out, labels) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

fn write(
    profile: &Choice,
    sensors: NonZeroU32,
    count: Option<u64>,
    seed: u64,
    out: &mut impl Write,
    mut truth: Option<&mut impl Write>,
) -> io::Result<()> {
    let faults = Amount::try_from(FAULTS_PER_DAY).expect("24 is in range");
    let simulation = Settings::simulated(profile, sensors, seed, faults).map_err(refused)?;
    let start = Timestamp::from_micros(START_MICROS).expect("2024 is between the years 0 and 9999");
    let mut running = simulation.start(start);
    let mut out = BufWriter::with_capacity(64 << 10, out);
    let (mut line, mut labels) = (Vec::new(), Vec::new());
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let reading = running.step(&mut labels);
        for label in labels.drain(..) {
            if let Some(truth) = &mut truth {
                label.write(truth)?;
            }
        }
        if let Some(reading) = reading {
            line.clear();
            json::encode(&reading, None, &mut line);
            line.push(b'\n');
            out.write_all(&line)?;
            left -= 1;
        }
    }
    out.flush()
}

fn refused(problems: Vec<Problem>) -> io::Error {
    let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
    io::Error::new(ErrorKind::InvalidInput, problems.join("; "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use simulate::Name;
    use wire::json::Decoder;

    use super::*;

    fn lines(profile: Name, sensors: u32, count: u64, seed: u64) -> (String, String) {
        let (mut out, mut labels) = (Vec::new(), Vec::new());
        let sensors = NonZeroU32::new(sensors).unwrap();
        simulate(
            &Choice::BuiltIn(profile),
            sensors,
            Some(count),
            seed,
            &mut out,
            Some(&mut labels),
        )
        .unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(labels).unwrap())
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
        for profile in Name::ALL {
            let once = lines(profile, 3, 20_000, 1);
            assert_eq!(once, lines(profile, 3, 20_000, 1));
            let other = lines(profile, 3, 20_000, 2);
            assert_ne!(once.0, other.0);
            assert_ne!(once.1, other.1);
        }
    }

    /// Pinned: a change of these bytes changes what a seed means to its users, and belongs in the changelog.
    #[test]
    fn the_first_lines_of_a_seed_never_change() {
        assert_eq!(
            lines(Name::Temperature, 2, 3, 42).0,
            concat!(
                r#"{"sensor":"temperature-001","time":"2024-01-01T00:00:00.000000Z","kind":"temperature","unit":"°C","value":18.13,"group":"living-room"}"#,
                "\n",
                r#"{"sensor":"temperature-002","time":"2024-01-01T00:00:00.000000Z","kind":"temperature","unit":"°C","value":18.59,"group":"kitchen"}"#,
                "\n",
                r#"{"sensor":"temperature-001","time":"2024-01-01T00:00:01.000000Z","kind":"temperature","unit":"°C","value":18.12,"group":"living-room"}"#,
                "\n",
            )
        );
        assert_eq!(
            lines(Name::Wind, 1, 2, 42).0,
            concat!(
                r#"{"sensor":"wind-001","time":"2024-01-01T00:00:00.000000Z","kind":"wind_speed","unit":"m/s","value":1.98,"group":"site-1"}"#,
                "\n",
                r#"{"sensor":"wind-001","time":"2024-01-01T00:00:01.000000Z","kind":"wind_speed","unit":"m/s","value":1.92,"group":"site-1"}"#,
                "\n",
            )
        );
        assert_eq!(lines(Name::Clickstream, 2, 3, 42).0, CLICKS);
    }

    const CLICKS: &str = concat!(
        r#"{"sensor":"site-001","time":"2024-01-01T00:00:00.030805Z","kind":"clickstream","event":{"browseraction":"Impression","site":"site-001"}}"#,
        "\n",
        r#"{"sensor":"site-002","time":"2024-01-01T00:00:00.066228Z","kind":"clickstream","event":{"browseraction":"Impression","site":"site-002"}}"#,
        "\n",
        r#"{"sensor":"site-001","time":"2024-01-01T00:00:00.108187Z","kind":"clickstream","event":{"browseraction":"Impression","site":"site-001"}}"#,
        "\n",
    );

    #[test]
    fn there_are_as_many_readings_as_asked_and_each_is_one() {
        let (out, labels) = lines(Name::Temperature, 4, 50_000, 3);
        let mut decoder = Decoder::new();
        assert_eq!(
            out.lines()
                .filter(|line| decoder.decode(line.as_bytes()).is_ok())
                .count(),
            50_000
        );
        assert!(
            labels.contains("\"kind\":\"dropout\"") || labels.lines().count() > 3,
            "{labels}"
        );
        for line in labels.lines() {
            let label: serde_json::Value = serde_json::from_str(line).unwrap();
            for key in ["sensor", "kind", "start", "end", "magnitude"] {
                assert!(!label[key].is_null(), "{line}");
            }
        }
    }

    #[test]
    fn nobody_reading_on_is_a_good_end() {
        struct Closing(usize);
        impl Write for Closing {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(ErrorKind::BrokenPipe)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let none: Option<&mut Vec<u8>> = None;
        simulate(
            &Choice::BuiltIn(Name::Wind),
            NonZeroU32::MIN,
            None,
            0,
            &mut Closing(1 << 20),
            none,
        )
        .unwrap();
    }

    #[test]
    fn too_many_sensors_are_refused() {
        let none: Option<&mut Vec<u8>> = None;
        let error = simulate(
            &Choice::BuiltIn(Name::Wind),
            NonZeroU32::MAX,
            Some(1),
            0,
            &mut Vec::new(),
            none,
        )
        .unwrap_err();
        assert!(error.to_string().contains("100000"), "{error}");
    }
}
