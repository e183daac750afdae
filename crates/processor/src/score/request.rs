//! A request's body: a series in order, or one vector.

use detect::settings::Period;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;
use wire::Timestamp;
use wire::reading::MAX_NUMBERS;

use super::body_limits::{MAX_BODY_BYTES, MAX_VALUES};
use super::refusal::{Mistake, Refusal};

/// Characters of a value shown in an error.
const SHOWN: usize = 40;
const MINUTE: i64 = 60_000_000;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The score of each value of a series, by those before it.
    Series(Series),
    /// The score of a vector as the next reading of a model.
    Vector(Vector),
}

/// Values in the order of their instants.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Finite, at least one.
    pub values: Vec<f64>,
    /// One per value, each after the one before.
    pub times: Vec<Timestamp>,
}

/// Numbers observed at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// Finite, at least one, at most [`MAX_NUMBERS`].
    pub numbers: Vec<f64>,
    /// The model, if the body names one.
    pub model: Option<String>,
}

type Raw<'a> = Option<&'a RawValue>;

/// The fields, unread. An absent one and `null` are the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    values: Raw<'a>,
    timestamps: Raw<'a>,
    interval: Raw<'a>,
    data: Raw<'a>,
    model: Raw<'a>,
}

impl Request {
    /// Parses a body; errors name their place.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > MAX_BODY_BYTES {
            return Err(Refusal::too_large(body.len()));
        }
        let text = str::from_utf8(body)
            .map_err(|error| Refusal::not_json(format!("the body is no UTF-8 from byte {} on", error.valid_up_to())))?;
        // Serde would take an array for the fields in their order.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Refusal::not_json("the body is no JSON object"));
        }
        let body: Body<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
            Category::Data => Refusal::fields(error.to_string()),
            _ => Refusal::not_json(format!("the body is no JSON: {error}")),
        })?;
        match (body.values, body.data) {
            (Some(values), None) => {
                if body.model.is_some() {
                    return Err(Refusal::fields("a series begins anew and has no model"));
                }
                let values = numbers("values", values, MAX_VALUES)?;
                let times = match body.timestamps {
                    Some(_) if body.interval.is_some() => {
                        return Err(Refusal::fields(
                            "timestamps and interval say the same: send one of them",
                        ));
                    }
                    Some(timestamps) => instants(timestamps, values.len())?,
                    None => regular(body.interval, values.len())?,
                };
                Ok(Self::Series(Series { values, times }))
            }
            (None, Some(data)) => {
                if body.timestamps.is_some() || body.interval.is_some() {
                    return Err(Refusal::fields("timestamps and interval belong to values, not to data"));
                }
                Ok(Self::Vector(Vector {
                    numbers: numbers("data", data, MAX_NUMBERS)?,
                    model: body.model.map(name).transpose()?,
                }))
            }
            (Some(_), Some(_)) => Err(Refusal::fields("values and data are two requests: send one of them")),
            (None, None) => Err(Refusal::fields("there is neither values nor data")),
        }
    }
}

fn numbers(field: &str, raw: &RawValue, most: usize) -> Result<Vec<f64>, Refusal> {
    let items = list(field, raw, most)?;
    let number = |(place, item): (usize, &&RawValue)| {
        let item = item.get();
        let what = || format!("{field}[{place}] is {}", shortened(item));
        if !item.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            let remedy = "send a number such as 97.3, without quotes";
            return Err(Refusal::new(
                Mistake::NotANumber,
                format!("{}, which is no number", what()),
                remedy,
            ));
        }
        // Every JSON number is a Rust one; those beyond the range of an f64 become infinite.
        let number: f64 = item.parse().unwrap_or(f64::INFINITY);
        if !number.is_finite() {
            let detail = format!("{}, beyond the range of a 64-bit floating point number", what());
            return Err(Refusal::new(Mistake::NotFinite, detail, "send a smaller number"));
        }
        Ok(number)
    };
    items.iter().enumerate().map(number).collect()
}

fn list<'a>(field: &str, raw: &'a RawValue, most: usize) -> Result<Vec<&'a RawValue>, Refusal> {
    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| {
        let detail = format!("{field} is {}, which is no list", shortened(raw.get()));
        Refusal::new(Mistake::NotANumber, detail, "send a list such as [97.1,97.3]")
    })?;
    match items.len() {
        0 => Err(Refusal::empty(field)),
        found if found > most => Err(Refusal::too_many(field, found, most)),
        _ => Ok(items),
    }
}

fn name(raw: &RawValue) -> Result<String, Refusal> {
    let name: Option<String> = serde_json::from_str(raw.get()).ok();
    name.filter(|name| !name.is_empty()).ok_or_else(|| {
        let detail = format!("model is {}, which names nothing", shortened(raw.get()));
        Refusal::new(Mistake::Fields, detail, "name a sensor or a log group, in quotes")
    })
}

/// Given instants: texts, or seconds since 1970.
fn instants(raw: &RawValue, count: usize) -> Result<Vec<Timestamp>, Refusal> {
    let items = list("timestamps", raw, MAX_VALUES)?;
    if items.len() != count {
        let detail = format!("timestamps has {} items, and values has {count}", items.len());
        return Err(Refusal::time(detail, "send one for each value, or none at all"));
    }
    let mut instants: Vec<Timestamp> = Vec::with_capacity(count);
    for (place, item) in items.iter().enumerate() {
        let what = || format!("timestamps[{place}] is {}", shortened(item.get()));
        let remedy = r#"write it as "2024-05-01T10:00:00Z", or as seconds since 1970"#;
        let none = || Refusal::time(format!("{}, which is no instant", what()), remedy);
        let instant = instant(item.get()).ok_or_else(none)?;
        if instants.last().is_some_and(|before| instant <= *before) {
            let detail = format!("{}, not after the one before it", what());
            return Err(Refusal::time(
                detail,
                "send values in the order of their time, one an instant",
            ));
        }
        instants.push(instant);
    }
    Ok(instants)
}

fn instant(item: &str) -> Option<Timestamp> {
    match serde_json::from_str::<String>(item) {
        Ok(text) => text.parse().ok(),
        // What is too large for an i64 becomes the largest one, which no timestamp is.
        Err(_) => Timestamp::from_micros((item.parse::<f64>().ok()? * 1e6).round() as i64),
    }
}

/// Instants an interval apart, from 1970 on: where none are given, the hour of the day says nothing.
fn regular(interval: Raw<'_>, count: usize) -> Result<Vec<Timestamp>, Refusal> {
    let step = match interval {
        None => MINUTE,
        Some(raw) => {
            let text: Option<String> = serde_json::from_str(raw.get()).ok();
            let length: Option<SignedDuration> = text.and_then(|text| text.parse().ok());
            let period = length.and_then(|length| Period::try_from(length).ok()).ok_or_else(|| {
                let detail = format!("interval is {}, which is no length of time", shortened(raw.get()));
                Refusal::time(detail, r#"give one from "1ms" to "10 years", such as "1m""#)
            })?;
            period.as_micros()
        }
    };
    let time = |place: i64| place.checked_mul(step).and_then(Timestamp::from_micros);
    (0..count as i64).map(time).collect::<Option<_>>().ok_or_else(|| {
        let detail = format!("{count} values at this interval end after the year 9999");
        Refusal::time(detail, "give a shorter interval")
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn series(body: &str) -> Series {
        match Request::parse(body.as_bytes()).unwrap() {
            Request::Series(series) => series,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_series_has_its_instants_or_regular_ones() {
        let given = series(r#"{"values":[1,-2.5e1],"timestamps":["2024-05-01T10:00:00Z",1714557601.5]}"#);
        assert_eq!(given.values, [1.0, -25.0]);
        assert_eq!(given.times[1].as_micros() - given.times[0].as_micros(), 1_500_000);
        let regular = |body: &str| {
            series(body)
                .times
                .iter()
                .map(|time| time.as_micros())
                .collect::<Vec<_>>()
        };
        assert_eq!(regular(r#"{"values":[1,2,3]}"#), [0, MINUTE, 2 * MINUTE]);
        assert_eq!(regular(r#"{"values":[1,2],"interval":"5s"}"#), [0, 5_000_000]);
    }

    #[test]
    fn a_vector_may_name_its_model() {
        let vector = Request::parse(br#"{"data":[1,2,3,4],"model":"/aws/app"}"#).unwrap();
        let named = Vector {
            numbers: vec![1.0, 2.0, 3.0, 4.0],
            model: Some("/aws/app".to_owned()),
        };
        assert_eq!(vector, Request::Vector(named));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let many = format!(r#"{{"values":[{}1]}}"#, "1,".repeat(MAX_VALUES));
        let wide = format!(r#"{{"data":[{}1]}}"#, "1,".repeat(MAX_NUMBERS));
        let large = " ".repeat(MAX_BODY_BYTES + 1);
        for (body, error, place) in [
            ("", Mistake::NotJson, "no JSON object"),
            ("[1,2]", Mistake::NotJson, "no JSON object"),
            (r#"{"values":[1,2}"#, Mistake::NotJson, "line 1 column 15"),
            (large.as_str(), Mistake::TooLarge, "1048577 bytes"),
            ("{}", Mistake::Fields, "neither values nor data"),
            (r#"{"value":[1]}"#, Mistake::Fields, "`value`"),
            (r#"{"values":[1],"data":[1]}"#, Mistake::Fields, "two requests"),
            (r#"{"values":[1],"model":"x"}"#, Mistake::Fields, "begins anew"),
            (r#"{"data":[1],"interval":"1m"}"#, Mistake::Fields, "belong to values"),
            (r#"{"data":[1],"model":7}"#, Mistake::Fields, "model is 7"),
            (r#"{"values":[]}"#, Mistake::Empty, "values is empty"),
            (
                many.as_str(),
                Mistake::TooMany,
                "values has 50001 items, and at most 50000",
            ),
            (wide.as_str(), Mistake::TooMany, "data has 1025 items, and at most 1024"),
            (r#"{"values":5}"#, Mistake::NotANumber, "values is 5, which is no list"),
            (r#"{"values":[1,"2"]}"#, Mistake::NotANumber, r#"values[1] is "2""#),
            (r#"{"values":[1,null]}"#, Mistake::NotANumber, "values[1] is null"),
            (r#"{"data":[1,1e999]}"#, Mistake::NotFinite, "data[1] is 1e999"),
            (
                r#"{"values":[1],"timestamps":[]}"#,
                Mistake::Empty,
                "timestamps is empty",
            ),
            (
                r#"{"values":[1],"timestamps":[1,2]}"#,
                Mistake::Time,
                "timestamps has 2 items, and values has 1",
            ),
            (
                r#"{"values":[1,2],"timestamps":[1,"x"]}"#,
                Mistake::Time,
                r#"timestamps[1] is "x""#,
            ),
            (
                r#"{"values":[1,2],"timestamps":[2,2]}"#,
                Mistake::Time,
                "timestamps[1] is 2, not after",
            ),
            (
                r#"{"values":[1],"timestamps":[1e300]}"#,
                Mistake::Time,
                "timestamps[0] is 1e300",
            ),
            (
                r#"{"values":[1],"timestamps":[1],"interval":"1s"}"#,
                Mistake::Fields,
                "say the same",
            ),
            (
                r#"{"values":[1],"interval":"0s"}"#,
                Mistake::Time,
                r#"interval is "0s""#,
            ),
            (r#"{"values":[1],"interval":60}"#, Mistake::Time, "interval is 60"),
        ] {
            let refusal = Request::parse(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.error, error, "{body:.60}: {refusal}");
            assert!(refusal.detail.contains(place), "{body:.60}: {refusal}");
            assert!(!refusal.remedy.is_empty());
        }
    }

    #[test]
    fn a_series_ends_before_the_calendar_does() {
        let body = format!(r#"{{"values":[{}1],"interval":"10 years"}}"#, "1,".repeat(1000));
        assert_eq!(Request::parse(body.as_bytes()).unwrap_err().error, Mistake::Time);
    }
}
