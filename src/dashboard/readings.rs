//! The last readings of a sensor: a plot where there is a script, a table everywhere.

use processor::message::text::{rounded, utc};
use serde_json::{Value as Json, json};

use super::html::{badge, section, table};
use super::incident_stores::Kept;
use super::markup::{Html, each, tag};
use crate::control::status::Status;
use crate::sink;
use crate::telemetry::recent_readings::{Point, RecentReading, RecentReadings, SENSORS};

/// Rows of the table.
const ROWS: usize = 20;

/// A sensor that somebody looks at.
#[derive(Debug)]
pub(super) struct LookedAt {
    pub sensor: String,
    pub trace: RecentReading,
    /// Why its scores cannot be read.
    pub unscored: Option<String>,
}

/// The sensor that is shown where none was asked for: the first incident's, else the first.
pub(super) fn first(recent: &RecentReadings, kept: &Kept) -> Option<String> {
    let sensors = recent.sensors();
    let troubled = kept.first_sensor().filter(|id| sensors.iter().any(|known| known == id));
    troubled.map(str::to_owned).or_else(|| sensors.first().cloned())
}

/// How a sensor is asked for.
pub(super) fn query(sensor: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("sensor", sensor)
        .finish()
}

/// What the plot draws. Times are seconds since the epoch; what is not known is null.
pub(super) fn series(trace: &RecentReading, threshold: Option<f64>) -> Json {
    let column = |of: fn(&Point) -> Option<f64>| -> Vec<Option<f64>> { trace.points.iter().map(of).collect() };
    let time = |point: &Point| Some(point.time.as_micros() as f64 / 1e6);
    json!({
        "unit": trace.unit,
        "threshold": threshold,
        "time": column(time),
        "value": column(|point| point.value),
        "low": column(|point| point.expected.map(|(low, _)| low)),
        "high": column(|point| point.expected.map(|(_, high)| high)),
        "score": column(|point| point.score),
        "anomaly": trace.points.iter().map(|point| point.anomaly).collect::<Vec<_>>(),
    })
}

pub(super) fn part(recent: &RecentReadings, status: &Status, looked_at: Option<&LookedAt>) -> Html {
    let mut sensors = recent.sensors();
    let sensor = looked_at.map(|looked_at| &looked_at.sensor);
    if let Some(sensor) = sensor
        && !sensors.contains(sensor)
    {
        sensors.insert(0, sensor.clone());
    }
    let content = match looked_at {
        Some(looked_at) => of_sensor(&sensors, looked_at, status),
        None => tag("p").of((
            "Waiting for the first readings…",
            tag("noscript").of(" Refresh to see them."),
        )),
    };
    let shape = format!("{sensor:?} {}", sensors.len());
    let content = tag("div")
        .class("stack")
        .id("readings-of")
        .with("data-shape", shape)
        .of(content);
    section("readings", "Readings", content)
}

fn of_sensor(sensors: &[String], looked_at: &LookedAt, status: &Status) -> Html {
    let LookedAt {
        sensor,
        trace,
        unscored,
    } = looked_at;
    let scored = status.threshold.is_some();
    let plot = tag("div")
        .id("plot")
        .with("data-sensor", sensor)
        .flag("data-scored", scored);
    let key = [
        ("", "value"),
        ("band", "expected"),
        ("anomaly", "anomaly"),
        ("", "below: score"),
        ("limit", "score of an anomaly"),
    ];
    let key = each(key, |(class, name)| tag("li").class(class).of(name));
    let key = scored.then(|| tag("ul").class("key").with("aria-label", "Key of the plot").of(key));
    let unscored = match unscored {
        Some(why) => Some(
            tag("p")
                .class("notice failed")
                .of(format!("Scores cannot be read: {why}")),
        ),
        None => why_unscored(status).map(|why| tag("p").class("hint").of(why)),
    };
    tag("div").class("stack").of((
        choice(sensors, sensor),
        tag("p").class("said").live("latest").of(latest(trace)),
        plot.of(()),
        key,
        unscored,
        tag("details")
            .id("rows")
            .of((tag("summary").of("As a table"), rows(trace, scored))),
    ))
}

/// One of those that are kept; where there may be more, any other by its name.
fn choice(sensors: &[String], sensor: &str) -> Html {
    let input = if sensors.len() >= SENSORS {
        let input = tag("input").id("sensor").with("name", "sensor").with("value", sensor);
        let input = input.with("list", "sensors").with("autocomplete", "off").void();
        let option = |known: &String| tag("option").with("value", known).of(());
        (input, tag("datalist").id("sensors").of(each(sensors, option)))
    } else {
        let option = |known: &String| {
            tag("option")
                .with("value", known)
                .flag("selected", known == sensor)
                .of(known)
        };
        let select = tag("select").id("sensor").with("name", "sensor");
        (select.of(each(sensors, option)), Html::default())
    };
    let form = tag("form")
        .class("choice")
        .with("method", "get")
        .with("action", "/#readings");
    form.of((
        tag("label").with("for", "sensor").of("Sensor"),
        input,
        tag("button").of("Show"),
    ))
}

fn latest(trace: &RecentReading) -> Html {
    let unit = trace.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
    let Some(last) = trace.points.back() else {
        return tag("span").of("Nothing has come from this sensor while this page is open.");
    };
    let value = last
        .value
        .map(|value| (tag("strong").of((rounded(value), &unit)), " at "));
    let time = tag("time").with("datetime", last.time.to_string()).of(utc(last.time));
    let expected = last
        .expected
        .map(|(low, high)| format!(", expected {} to {}{unit}", rounded(low), rounded(high)));
    let score = last.score.map(|score| format!(", score {score:.1}"));
    let peak = trace.points.iter().filter_map(|point| point.score).reduce(f64::max);
    let all = peak.map(|peak| {
        let anomalies = trace.points.iter().filter(|point| point.anomaly).count();
        let were = if anomalies == 1 {
            "was an anomaly"
        } else {
            "were anomalies"
        };
        let readings = trace.points.len();
        format!(" Of the last {readings} readings {anomalies} {were}, the highest score was {peak:.1}.")
    });
    tag("span").of((value, time, expected, score, ".", all))
}

fn rows(trace: &RecentReading, scored: bool) -> Html {
    let columns = [
        ("Time", false),
        ("Value", true),
        ("Expected", true),
        ("Score", true),
        ("State", false),
    ];
    let columns = if scored { &columns[..] } else { &columns[..2] };
    let number = |text: String| tag("td").class("number").of(text);
    let value = |value: Option<f64>| number(value.map_or_else(|| "–".to_owned(), rounded));
    let row = |point: &Point| {
        let time = tag("time").with("datetime", point.time.to_string()).of(utc(point.time));
        let judged = scored.then(|| {
            let range = |(low, high)| format!("{} to {}", rounded(low), rounded(high));
            let expected = number(point.expected.map_or_else(|| "–".to_owned(), range));
            let score = number(
                point
                    .score
                    .map_or_else(|| "–".to_owned(), |score| format!("{score:.1}")),
            );
            let state = point.anomaly.then(|| badge("badge bad", "anomaly"));
            (expected, score, tag("td").of(state))
        });
        tag("tr").of((tag("td").of(time), value(point.value), judged))
    };
    let body = each(trace.points.iter().rev().take(ROWS), row);
    table("Last readings", columns, tag("tbody").live("row-list").of(body))
}

fn why_unscored(status: &Status) -> Option<&'static str> {
    match status.sink {
        sink::Kind::Embedded => None,
        sink::Kind::Kinesis if status.readings.is_some() => Some(
            "Scores are those of the table that the function temp-detect keeps, and seconds behind. What was expected is in \
             its output stream, where that is on.",
        ),
        sink::Kind::Kinesis => Some(
            "Scores are made behind the stream, by the function temp-detect: here are only values. Where it keeps \
             readings in a table, name that as dashboard.readings_table.",
        ),
        sink::Kind::Stdout => Some("Nothing is judged here: here are only values."),
    }
}
