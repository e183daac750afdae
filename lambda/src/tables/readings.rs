//! Every reading in a table, for as long as people want to look back: HASH `sensor`, RANGE `time` of the first reading of
//! the item. An item holds what one invocation had of a sensor and an hour, so the longer a batch, the cheaper.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::attribute::{Item, integer, number, text, utc, value};
use super::{batch, clock};
use crate::page_name::PageName;
use crate::scores::{Scored, Scores};
use crate::store_error::StoreError;

/// Items begin anew with each hour, so that an hour can be asked for.
const HOUR_MICROS: i64 = 3_600_000_000;

/// So that an item stays far below 400 KB, even with vectors.
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
    /// In this table, for so many days.
    pub fn new(client: Client, table: impl Into<String>, days: u32) -> Self {
        Self {
            client,
            table: table.into(),
            days,
        }
    }
}

impl Scores for TableReadings {
    fn wanted(&self) -> bool {
        true
    }

    async fn keep(&mut self, pages: &[(PageName, Vec<Scored>)]) -> Result<(), StoreError> {
        let expires = clock::now().as_micros() / 1_000_000 + i64::from(self.days) * 86_400;
        let items = items(pages.iter().flat_map(|(_, scores)| scores), expires);
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
        // A reading that comes again says the same; the first one was judged.
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

/// How many of these fit one item, at least one.
fn fitting(scores: &[&Scored]) -> usize {
    let mut numbers = 0;
    let fits = |scored: &&&Scored| {
        numbers += scored.reading.value().numbers().len();
        numbers <= MOST_NUMBERS
    };
    scores.iter().take(MOST_READINGS).take_while(fits).count().max(1)
}

/// One item: what all readings share, and of each reading its distance from the first, its value and its score.
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
