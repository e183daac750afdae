//! Numbers in a source's settings with their ranges, so that a number outside is refused at its line.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::duration::Within;

macro_rules! number {
    ($(#[$meaning:meta])* $name:ident, $range:expr, $remedy:literal) => {
        $(#[$meaning])*
        #[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize, Serialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl TryFrom<f64> for $name {
            type Error = String;

            fn try_from(number: f64) -> Result<Self, String> {
                let range: fn(f64) -> bool = $range;
                match range(number) {
                    true => Ok(Self(number)),
                    false => Err(format!(concat!("{} is out of range: ", $remedy), number)),
                }
            }
        }

        impl From<$name> for f64 {
            fn from(number: $name) -> Self {
                number.0
            }
        }
    };
}

number! {
    /// Any number a sensor could measure: finite, up to a billion either way.
    Level, |number| number.abs() <= 1e9, "use a number from -1e9 to 1e9"
}
number! {
    /// An amount or a rate: from 0 to a million.
    Amount, |number| (0.0..=1e6).contains(&number), "use a number from 0 to 1e6"
}
number! {
    /// How much of one reading is in the next: from 0 to below 1.
    Correlation, |number| (0.0..1.0).contains(&number), "use a number from 0 (none) to below 1"
}
number! {
    /// The shape of a Weibull distribution.
    Shape, |number| (0.5..=10.0).contains(&number), "use a number from 0.5 to 10; wind has about 2"
}

/// How fast a source runs, against the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times real time.
    Factor(f64),
    /// As fast as the pipeline takes it.
    Max,
}

impl Speed {
    /// Real time.
    pub const REAL: Self = Self::Factor(1.0);

    fn factor(number: f64) -> Result<Self, String> {
        match number > 0.0 && number <= 1e6 {
            true => Ok(Self::Factor(number)),
            false => Err(format!(
                "speed {number} is out of range: use a factor of real time above 0 up to 1e6, or \"max\""
            )),
        }
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("max", _) => Ok(Self::Max),
            (_, Ok(number)) => Self::factor(number),
            _ => Err(format!("speed {text:?} is neither a factor of real time nor \"max\"")),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(factor) => write!(f, "{factor}"),
            Self::Max => f.write_str("max"),
        }
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Speed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a factor of real time, or \"max\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Speed, E> {
                Speed::factor(number as f64).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Speed, E> {
                Speed::factor(number as f64).map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Speed, E> {
                Speed::factor(number).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Speed, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for Speed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Factor(factor) => serializer.serialize_f64(*factor),
            Self::Max => serializer.serialize_str("max"),
        }
    }
}

/// The event time between two readings of a sensor: from a millisecond to a day.
pub type Interval = Within<1, 86_400_000>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize, Serialize)]
    struct Table {
        speed: Speed,
        interval: Interval,
        shape: Shape,
    }

    #[test]
    fn a_speed_is_a_factor_or_max() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("60".parse(), Ok(Speed::Factor(60.0)));
        for wrong in ["0", "-1", "NaN", "inf", "fast", ""] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_read_from_toml_as_written_and_write_back() {
        let text = "speed = 60\ninterval = \"250ms\"\nshape = 2\n";
        let table: Table = toml::from_str(text).unwrap();
        assert_eq!(table.speed, Speed::Factor(60.0));
        assert_eq!(table.interval, Interval::from_millis(250));
        assert_eq!(
            toml::from_str::<Table>(&toml::to_string(&table).unwrap()).unwrap(),
            table
        );
    }

    #[test]
    fn a_number_out_of_range_is_refused_at_its_line_with_a_remedy() {
        for (line, remedy) in [
            ("speed = 0", "or \"max\""),
            ("interval = \"2d\"", "from 1ms to"),
            ("shape = 0.1", "from 0.5 to 10"),
        ] {
            let rest: String = ["speed = 1", "interval = \"1s\"", "shape = 2"]
                .into_iter()
                .filter(|other| other.split(' ').next() != line.split(' ').next())
                .fold(String::new(), |text, line| text + line + "\n");
            let error = toml::from_str::<Table>(&format!("{rest}{line}\n"))
                .unwrap_err()
                .to_string();
            assert!(error.contains("line 3") && error.contains(remedy), "{error}");
        }
    }
}
