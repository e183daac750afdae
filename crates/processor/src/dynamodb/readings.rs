//! Every reading in a table, kept for a number of days: HASH `sensor`, RANGE `time` of the item's first reading. An
//! item holds the readings of one invocation, sensor and hour, so larger batches cost less.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use detect::Kinds;
use wire::fields::Fields;
use wire::{Reading, Sensor, Timestamp, Value};

use super::attribute::{Item, Reader, integer, number, text, utc, value};
use super::{batch, clock, unavailable};
use crate::partition::PartitionName;
use crate::scores::{Scored, Scores};
use crate::store_error::StoreError;

/// A new hour begins a new item, so that an hour can be queried.
const HOUR_MICROS: i64 = 3_600_000_000;

/// An item stays far below 400 KB, even with vectors.
const MOST_READINGS: usize = 500;
const MOST_NUMBERS: usize = 10_000;

/// Every reading in a table.
#[derive(Clone, Debug)]
pub struct TableReadings {
    client: Client,
    table: String,
    days: u32,
}

impl TableReadings {
    /// In this table, for this many days.
    pub fn new(client: Client, table: impl Into<String>, days: u32) -> Self {
        Self {
            client,
            table: table.into(),
            days,
        }
    }

    /// Its name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The readings of a sensor from `from` until before `to`.
    pub fn of(&self, sensor: &str, from: Timestamp, to: Timestamp) -> Hours {
        // An item is kept under its first reading, which is of the same hour.
        let hour = from.as_micros().div_euclid(HOUR_MICROS) * HOUR_MICROS;
        let begin = Timestamp::from_micros(hour).unwrap_or(from);
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#sensor = :sensor AND #time BETWEEN :begin AND :end")
            .expression_attribute_names("#sensor", "sensor")
            .expression_attribute_names("#time", "time")
            .expression_attribute_values(":sensor", text(sensor))
            .expression_attribute_values(":begin", utc(begin))
            // BETWEEN includes its end, which we exclude.
            .expression_attribute_values(":end", utc(to.saturating_add_micros(-1)));
        Hours {
            doing: format!("reading {} of table {}", sensor, self.table),
            query: Some(query),
            items: VecDeque::new(),
            from,
            to,
        }
    }
}

/// Readings of one sensor, read from the table an hour at a time.
#[derive(Debug)]
pub struct Hours {
    doing: String,
    /// `None` once the table has no more.
    query: Option<QueryFluentBuilder>,
    items: VecDeque<Item>,
    from: Timestamp,
    to: Timestamp,
}

impl Hours {
    /// The readings of the next hour that has any, in order, each once; `None` after the last. A reading stored twice
    /// was judged once: that score counts.
    pub async fn next(&mut self) -> Result<Option<Vec<Scored>>, StoreError> {
        let mut of_hour: BTreeMap<i64, Scored> = BTreeMap::new();
        let mut hour = None;
        loop {
            while let Some(item) = self.items.front() {
                let kept = kept(item)?;
                let this = kept[0].reading.time().as_micros().div_euclid(HOUR_MICROS);
                if *hour.get_or_insert(this) != this {
                    return Ok(Some(of_hour.into_values().collect()));
                }
                self.items.pop_front();
                for scored in kept {
                    let time = scored.reading.time();
                    if (self.from..self.to).contains(&time) {
                        let known = of_hour.entry(time.as_micros()).or_insert_with(|| scored.clone());
                        if known.score.is_none() {
                            *known = scored;
                        }
                    }
                }
            }
            if !self.fetch().await? {
                return Ok(hour.map(|_| of_hour.into_values().collect()));
            }
        }
    }

    /// Reads more items; false if there are none.
    async fn fetch(&mut self) -> Result<bool, StoreError> {
        let Some(query) = self.query.take() else {
            return Ok(false);
        };
        let answer = query
            .clone()
            .send()
            .await
            .map_err(|error| unavailable(&self.doing, &error))?;
        self.query = answer
            .last_evaluated_key
            .map(|key| query.set_exclusive_start_key(Some(key)));
        self.items.extend(answer.items.unwrap_or_default());
        Ok(true)
    }
}

/// The readings of an item, at least one.
fn kept(item: &Item) -> Result<Vec<Scored>, StoreError> {
    let what = "an item of readings";
    let reader = Reader { item, what };
    let mut sensor = Sensor::new(reader.text("sensor")?, reader.text("kind")?);
    if let Some(unit) = reader.optional_text("unit") {
        sensor = sensor.with_unit(unit);
    }
    if let Some(group) = reader.optional_text("group") {
        sensor = sensor.with_group(group);
    }
    let sensor = Arc::new(sensor);
    let first: Timestamp = reader
        .text("time")?
        .parse()
        .map_err(|_| reader.damaged("its time is invalid"))?;
    let list = |name: &str| {
        let list = item.get(name).and_then(|list| list.as_l().ok());
        list.ok_or_else(|| reader.damaged(format!("it has no list {name:?}")))
    };
    let (offsets, values, scores) = (list("offsets_us")?, list("values")?, list("scores")?);
    if offsets.is_empty() || offsets.len() != values.len() || offsets.len() != scores.len() {
        return Err(reader.damaged("its lists are of different lengths, or empty"));
    }
    let read = |((offset, value), score): ((&AttributeValue, &AttributeValue), &AttributeValue)| {
        let time = offset
            .as_n()
            .ok()
            .and_then(|digits| digits.parse::<i64>().ok())
            .map(|offset| first.saturating_add_micros(offset))?;
        let reading = Reading::new(sensor.clone(), time, value_of(value)?).ok()?;
        Some(Scored {
            reading,
            score: scalar(score),
            expected: None,
            kinds: Kinds::NONE,
        })
    };
    let scored: Option<Vec<Scored>> = offsets.iter().zip(values).zip(scores).map(read).collect();
    scored.ok_or_else(|| reader.damaged("one of its readings is invalid"))
}

fn value_of(attribute: &AttributeValue) -> Option<Value> {
    match attribute {
        AttributeValue::L(numbers) => numbers
            .iter()
            .map(scalar)
            .collect::<Option<Arc<[f64]>>>()
            .map(Value::Vector),
        AttributeValue::S(text) if text.starts_with('{') => Fields::parse(text).ok().map(Value::Event),
        number => scalar(number).map(Value::Scalar),
    }
}

/// A number; one beyond the range of the table's numbers is kept as text.
fn scalar(attribute: &AttributeValue) -> Option<f64> {
    match attribute {
        AttributeValue::N(digits) | AttributeValue::S(digits) => digits.parse().ok(),
        _ => None,
    }
}

impl Scores for TableReadings {
    fn wanted(&self) -> bool {
        true
    }

    async fn keep(&mut self, partitions: &[(PartitionName, Vec<Scored>)]) -> Result<(), StoreError> {
        let expires = clock::now().as_micros() / 1_000_000 + i64::from(self.days) * 86_400;
        let items = items(partitions.iter().flat_map(|(_, scores)| scores), expires);
        batch::put(&self.client, &self.table, items, "readings").await
    }
}

/// The readings of each sensor and hour, in items.
fn items<'a>(scores: impl Iterator<Item = &'a Scored>, expires: i64) -> Vec<Item> {
    let mut hours: BTreeMap<(&str, i64), BTreeMap<i64, &Scored>> = BTreeMap::new();
    for scored in scores {
        let time = scored.reading.time().as_micros();
        let hour = time.div_euclid(HOUR_MICROS);
        let of_hour = hours.entry((scored.reading.sensor().id(), hour)).or_default();
        // A repeated reading is the same; the first one was judged.
        of_hour.entry(time).or_insert(scored);
    }
    let mut items = Vec::new();
    for of_hour in hours.values() {
        let scores: Vec<&Scored> = of_hour.values().copied().collect();
        let mut rest = scores.as_slice();
        while !rest.is_empty() {
            let (these, after) = rest.split_at(fitting(rest));
            items.push(item(these, expires));
            rest = after;
        }
    }
    items
}

/// How many of these fit into one item, at least one.
fn fitting(scores: &[&Scored]) -> usize {
    let mut numbers = 0;
    let fits = |scored: &&&Scored| {
        numbers += scored.reading.value().numbers().len();
        numbers <= MOST_NUMBERS
    };
    scores.iter().take(MOST_READINGS).take_while(fits).count().max(1)
}

/// One item: what all readings share, and for each reading its offset from the first, its value and its score.
fn item(scores: &[&Scored], expires: i64) -> Item {
    let first = &scores[0].reading;
    let sensor = first.sensor();
    let list = |attribute: &dyn Fn(&Scored) -> AttributeValue| {
        AttributeValue::L(scores.iter().map(|scored| attribute(scored)).collect())
    };
    let offset = |scored: &Scored| integer(scored.reading.time().as_micros() - first.time().as_micros());
    // To two decimals: enough to compare with a threshold.
    let score = |scored: &Scored| match scored.score {
        Some(score) => number((score * 100.0).round() / 100.0),
        None => AttributeValue::Null(true),
    };
    let mut item = Item::from([
        ("sensor".to_owned(), text(sensor.id())),
        ("time".to_owned(), utc(first.time())),
        ("kind".to_owned(), text(sensor.kind())),
        ("offsets_us".to_owned(), list(&offset)),
        ("values".to_owned(), list(&|scored| value(scored.reading.value()))),
        ("scores".to_owned(), list(&score)),
        ("expires".to_owned(), integer(expires)),
    ]);
    item.extend(sensor.unit().map(|unit| ("unit".to_owned(), text(unit))));
    item.extend(sensor.group().map(|group| ("group".to_owned(), text(group))));
    item
}
