//! `temp-ingest incidents list | show | acknowledge | mute`, over the embedded store or the tables, while they are filled.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use detect::Transition;
use processor::StoreError;
use processor::dynamodb::TableIncidents;
use processor::incidents::{Found, Incident, Incidents};
use processor::message::description;
use processor::message::text::{printable, rounded, span, utc, value};
use processor::sqlite::{EmbeddedIncidents, FILE};
use serde_json::{Value as Json, json};
use wire::{Timestamp, Value};

/// The most incidents a list shows. Open ones come first.
const MAX_LISTED: u32 = 500;

/// The most anomalies shown of one incident, the latest ones.
const MAX_ANOMALIES: u32 = 50;

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As people read it.
    #[default]
    Text,
    /// One JSON value, for programs.
    Json,
}

/// Why a question was not answered or a change not made.
#[derive(Debug, thiserror::Error)]
pub enum IncidentsError {
    /// There is no store.
    #[error(
        "there is no store {}: start the daemon with the embedded sink, or name the folder where it keeps its state",
        .0.display()
    )]
    NoStore(PathBuf),
    /// No incident is called so.
    #[error("no incident is called {0:?}: `temp-ingest incidents list` shows them")]
    Unknown(String),
    /// Several incidents' ids begin so.
    #[error("{0:?} begins the ids of several incidents: {list}; write more of it", list = .1.join(", "))]
    Ambiguous(String, Vec<String>),
    /// A mute that would not end within the years that can be written.
    #[error("a mute of {0:?} has no end: give a duration such as 2h")]
    TooLong(Duration),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer could not be written.
    #[error("writing the answer failed")]
    Write(#[from] io::Error),
}

/// The embedded store of `dir`.
pub fn in_store(dir: &Path) -> Result<EmbeddedIncidents, IncidentsError> {
    EmbeddedIncidents::open(dir)?.ok_or_else(|| IncidentsError::NoStore(dir.join(FILE)))
}

/// The table the functions keep incidents in. Region, credentials and endpoint as in every AWS SDK.
pub async fn in_table(table: &str) -> TableIncidents {
    let settings = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    TableIncidents::new(Client::new(&settings), table)
}

/// Writes all incidents kept in a store, or those of a group of sensors: open ones first, then the newest.
pub async fn list(
    store: &impl Incidents,
    group: Option<&str>,
    format: Format,
    out: &mut impl Write,
) -> Result<(), IncidentsError> {
    let incidents = store.list(group, MAX_LISTED).await?;
    if format == Format::Json {
        let all: Vec<Json> = incidents.iter().map(incident_json).collect();
        return Ok(writeln!(out, "{}", Json::from(all))?);
    }
    if incidents.is_empty() {
        let of = group.map(|group| format!(" in {}", printable(group)));
        return Ok(writeln!(out, "no incidents{}", of.unwrap_or_default())?);
    }
    let header = [
        "ID", "STATE", "SENSOR", "GROUP", "WHAT", "VALUE", "EXPECTED", "SCORE", "SINCE", "LASTED", "NOTE",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(incidents.iter().map(row));
    table(&rows, out)?;
    if incidents.len() == MAX_LISTED as usize {
        writeln!(out, "older ones are not shown")?;
    }
    Ok(())
}

/// Writes one incident: its state, its moments and its latest anomalies. `id` may be the beginning of an id.
pub async fn show(
    store: &impl Incidents,
    id: &str,
    format: Format,
    out: &mut impl Write,
) -> Result<(), IncidentsError> {
    let incident = find(store, id).await?;
    let transitions = store.transitions(&incident).await?;
    let anomalies = store.anomalies(&incident, MAX_ANOMALIES).await?;
    if format == Format::Json {
        let mut all = incident_json(&incident);
        all["transitions"] = transitions.iter().map(transition_json).collect();
        all["anomalies"] = anomalies
            .iter()
            .map(|anomaly| {
                let value: Json = serde_json::from_str(&anomaly.value).unwrap_or(Json::Null);
                json!({"timestamp": anomaly.timestamp, "value": value, "kinds": anomaly.kinds, "score": anomaly.score})
            })
            .collect();
        return Ok(writeln!(out, "{all}")?);
    }
    let latest = &incident.latest;
    writeln!(out, "incident {}, {}", incident.id, state(&incident))?;
    writeln!(out, "sensor   {}", named(latest))?;
    writeln!(out, "what     {}", what(latest))?;
    writeln!(out, "since    {}, lasted {}", utc(latest.since), lasted(latest))?;
    writeln!(
        out,
        "worst    {}, at {}; {} anomalies",
        description::at_worst(latest).join("; "),
        utc(latest.worst.time),
        latest.anomalies
    )?;
    for note in notes(&incident) {
        writeln!(out, "note     {note}")?;
    }
    writeln!(out)?;
    let mut rows = vec![["TIME", "CHANGE", "WHAT", "VALUE", "EXPECTED", "SCORE"].map(str::to_owned)];
    rows.extend(transitions.iter().map(|moment| {
        [
            utc(moment.time),
            moment.change.name().to_owned(),
            what(moment),
            value_and_unit(moment),
            expected(moment),
            format!("{:.1}", moment.peak),
        ]
    }));
    table(&rows, out)?;
    writeln!(out)?;
    let mut rows = vec![["ANOMALY AT (UTC)", "VALUE", "KINDS", "SCORE"].map(str::to_owned)];
    rows.extend(anomalies.iter().map(|anomaly| {
        [
            anomaly.timestamp.clone(),
            anomaly.value.clone(),
            anomaly.kinds.clone(),
            format!("{:.1}", anomaly.score),
        ]
    }));
    table(&rows, out)?;
    if anomalies.len() == MAX_ANOMALIES as usize {
        writeln!(out, "earlier ones are not shown")?;
    }
    Ok(())
}

/// Notes that `by` has seen an incident at `now`, by the wall clock. Who was first stays noted.
pub async fn acknowledge(
    store: &impl Incidents,
    id: &str,
    by: &str,
    now: Timestamp,
    out: &mut impl Write,
) -> Result<(), IncidentsError> {
    let incident = find(store, id).await?;
    let acknowledgement = store.acknowledge(&incident, by, now).await?;
    Ok(writeln!(
        out,
        "incident {} of {} acknowledged by {} at {}",
        incident.id,
        named(&incident.latest),
        printable(&acknowledgement.by),
        utc(acknowledgement.at)
    )?)
}

/// Publishes no messages of a sensor, or of one incident, for `duration` from `now`. Incidents and anomalies are kept
/// all the same. `target` is a sensor's id, or else an incident's or its beginning.
pub async fn mute(
    store: &impl Incidents,
    target: &str,
    duration: Duration,
    now: Timestamp,
    out: &mut impl Write,
) -> Result<(), IncidentsError> {
    let until = i64::try_from(duration.as_micros())
        .ok()
        .and_then(|micros| now.as_micros().checked_add(micros))
        .and_then(Timestamp::from_micros)
        .ok_or(IncidentsError::TooLong(duration))?;
    let known = store.knows_sensor(target).await?;
    if !known {
        match store.find(target).await? {
            Found::One(incident) => {
                store.mute(&incident, until).await?;
                let sensor = named(&incident.latest);
                return Ok(writeln!(
                    out,
                    "incident {} of {sensor} muted until {}",
                    incident.id,
                    utc(until)
                )?);
            }
            Found::Several(ids) => return Err(IncidentsError::Ambiguous(target.to_owned(), ids)),
            Found::None => {}
        }
    }
    store.mute_sensor(target, until).await?;
    let doubt = if known {
        ""
    } else {
        "; it has had no incident so far: check the spelling"
    };
    Ok(writeln!(
        out,
        "sensor {} muted until {}{doubt}",
        printable(target),
        utc(until)
    )?)
}

async fn find(store: &impl Incidents, id: &str) -> Result<Incident, IncidentsError> {
    match store.find(id).await? {
        Found::One(incident) => Ok(*incident),
        Found::None => Err(IncidentsError::Unknown(id.to_owned())),
        Found::Several(ids) => Err(IncidentsError::Ambiguous(id.to_owned(), ids)),
    }
}

fn row(incident: &Incident) -> [String; 11] {
    let latest = &incident.latest;
    [
        incident.id.clone(),
        state(incident).to_owned(),
        printable(latest.sensor.id()),
        latest.sensor.group().map(printable).unwrap_or_default(),
        what(latest),
        value_and_unit(latest),
        expected(latest),
        format!("{:.1}", latest.peak),
        utc(latest.since),
        lasted(latest),
        notes(incident).join(", "),
    ]
}

fn state(incident: &Incident) -> &'static str {
    match (incident.open, &incident.acknowledged) {
        (true, None) => "open",
        (true, Some(_)) => "seen",
        (false, _) => "resolved",
    }
}

pub(crate) fn notes(incident: &Incident) -> Vec<String> {
    let acknowledged = incident.acknowledged.as_ref();
    let acknowledged = acknowledged.map(|by| format!("acknowledged by {} at {}", printable(&by.by), utc(by.at)));
    let muted = incident
        .muted_until
        .filter(|_| incident.open)
        .map(|until| format!("muted until {}", utc(until)));
    acknowledged.into_iter().chain(muted).collect()
}

fn named(transition: &Transition) -> String {
    match transition.sensor.group() {
        Some(group) => format!("{} in {}", printable(transition.sensor.id()), printable(group)),
        None => printable(transition.sensor.id()),
    }
}

fn what(transition: &Transition) -> String {
    let kind = transition.sensor.kind();
    format!("{} {}", printable(kind), transition.kinds.joined(kind, "+"))
}

fn value_and_unit(transition: &Transition) -> String {
    match transition.sensor.unit() {
        Some(unit) => format!("{} {}", value(&transition.value), printable(unit)),
        None => value(&transition.value),
    }
}

fn expected(transition: &Transition) -> String {
    match transition.expected {
        Some((lowest, highest)) => format!("{} to {}", rounded(lowest), rounded(highest)),
        None => "-".to_owned(),
    }
}

pub(crate) fn lasted(transition: &Transition) -> String {
    span(transition.time.as_micros() - transition.since.as_micros())
}

/// Columns as wide as their widest cell, two spaces between them.
fn table<const N: usize>(rows: &[[String; N]], out: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line += &format!("{cell:<width$}  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn incident_json(incident: &Incident) -> Json {
    let mut all = transition_json(&incident.latest);
    all["id"] = incident.id.as_str().into();
    all["open"] = incident.open.into();
    all["sensor"] = incident.latest.sensor.id().into();
    all["kind"] = incident.latest.sensor.kind().into();
    all["unit"] = incident.latest.sensor.unit().into();
    all["group"] = incident.latest.sensor.group().into();
    all["since"] = incident.latest.since.to_string().into();
    all["acknowledged_by"] = incident.acknowledged.as_ref().map(|by| by.by.as_str()).into();
    all["acknowledged_at"] = incident.acknowledged.as_ref().map(|by| by.at.to_string()).into();
    all["muted_until"] = incident.muted_until.map(|until| until.to_string()).into();
    all
}

fn transition_json(transition: &Transition) -> Json {
    let kinds: Vec<&str> = transition.kinds.names(transition.sensor.kind()).collect();
    let value = |value: &Value| -> Json {
        match value {
            Value::Scalar(number) => (*number).into(),
            Value::Vector(numbers) => numbers.to_vec().into(),
            Value::Event(fields) => serde_json::from_str(fields.as_json()).unwrap_or(Json::Null),
        }
    };
    let range = |range: Option<(f64, f64)>| range.map(|(lowest, highest)| [lowest, highest]);
    let worst = &transition.worst;
    json!({
        "number": transition.number,
        "change": transition.change.name(),
        "time": transition.time.to_string(),
        "kinds": kinds,
        "value": value(&transition.value),
        "expected": range(transition.expected),
        "score": transition.peak,
        "words": description::of(transition),
        "anomalies": transition.anomalies,
        "worst": {
            "time": worst.time.to_string(),
            "value": value(&worst.value),
            "expected": range(worst.expected),
            "words": description::at_worst(transition),
        },
    })
}

#[cfg(test)]
#[path = "incidents_tests.rs"]
mod tests;
