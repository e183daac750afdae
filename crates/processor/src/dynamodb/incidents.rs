//! Incidents as people query them, from the table of the alert function.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use detect::Transition;
use wire::Timestamp;

use super::attribute::{Item, Reader, integer, text, utc};
use super::outbox::{ID_HEAD, MUTE};
use super::{batch, unavailable};
use crate::encoding;
use crate::incidents::{Acknowledgement, Found, Incident, Incidents, KeptAnomaly};
use crate::store_error::StoreError;

/// The most ids shown for an ambiguous prefix.
const MOST_FOUND: i32 = 10;

/// Incidents in a table.
#[derive(Clone, Debug)]
pub struct TableIncidents {
    client: Client,
    table: String,
}

impl TableIncidents {
    /// In this table, with its indexes `by_state` and `by_id`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} in table {}", self.table)
    }

    fn query(&self) -> QueryFluentBuilder {
        self.client.query().table_name(&self.table)
    }

    /// All matching items, at most `limit`, over as many answers as they take.
    async fn all(&self, query: QueryFluentBuilder, limit: usize) -> Result<Vec<Item>, StoreError> {
        let mut answers = query.into_paginator().items().send();
        let mut items = Vec::new();
        while items.len() < limit
            && let Some(item) = answers.next().await
        {
            items.push(item.map_err(|error| unavailable(self.doing("reading incidents"), &error))?);
        }
        Ok(items)
    }

    async fn of_state(&self, state: &str, group: Option<&str>, limit: usize) -> Result<Vec<Incident>, StoreError> {
        let query = self.query().index_name("by_state").scan_index_forward(false);
        let mut query = query
            .key_condition_expression("#state = :state")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", text(state));
        query = match group {
            None => query.limit(limit.clamp(1, 1000) as i32),
            // A limit would count filtered items too.
            Some(group) => query
                .filter_expression("#group = :group")
                .expression_attribute_names("#group", "group")
                .expression_attribute_values(":group", text(group)),
        };
        let items = self.all(query, limit).await?;
        self.incidents(&items).await
    }

    /// The incidents of these items, with the mutes of their sensors.
    async fn incidents(&self, items: &[Item]) -> Result<Vec<Incident>, StoreError> {
        let mut incidents: Vec<Incident> = items.iter().map(incident).collect::<Result<_, _>>()?;
        let mute_of = |incident: &Incident| (incident.latest.sensor.id().to_owned(), MUTE.to_owned());
        let open = incidents.iter().filter(|incident| incident.open);
        let mutes = batch::get(&self.client, &self.table, open.map(mute_of).collect(), "mutes").await?;
        for incident in incidents.iter_mut().filter(|incident| incident.open) {
            let until = mutes.get(&mute_of(incident)).and_then(|item| {
                let reader = Reader { item, what: "a mute" };
                Timestamp::from_micros(reader.optional_number("until_us")?)
            });
            incident.muted_until = incident.muted_until.max(until);
        }
        Ok(incidents)
    }

    /// Changes attributes of an existing incident, and returns all of them.
    async fn update(
        &self,
        incident: &Incident,
        doing: &str,
        set: &str,
        values: [(&str, AttributeValue); 2],
    ) -> Result<Item, StoreError> {
        let request = self.client.update_item().table_name(&self.table);
        let mut request = request
            .key("sensor", text(incident.latest.sensor.id()))
            .key("since", utc(incident.latest.since))
            .update_expression(set)
            .condition_expression("attribute_exists(id)")
            .return_values(ReturnValue::AllNew);
        for (name, value) in values {
            request = request.expression_attribute_values(name, value);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| unavailable(format!("{doing} incident {}", incident.id), &error))?;
        Ok(answer.attributes.unwrap_or_default())
    }
}

impl Incidents for TableIncidents {
    async fn list(&self, group: Option<&str>, limit: u32) -> Result<Vec<Incident>, StoreError> {
        let limit = limit as usize;
        let mut incidents = self.of_state("open", group, limit).await?;
        let left = limit - incidents.len();
        if left > 0 {
            incidents.extend(self.of_state("resolved", group, left).await?);
        }
        Ok(incidents)
    }

    async fn find(&self, id: &str) -> Result<Found, StoreError> {
        let id = id.to_ascii_lowercase();
        // The hash key of the index is the first digits of an id; fewer find nothing.
        let Some(head) = id.get(..ID_HEAD) else {
            return Ok(Found::None);
        };
        let query = self.query().index_name("by_id").limit(MOST_FOUND);
        let query = query
            .key_condition_expression("id_head = :head AND begins_with(id, :id)")
            .expression_attribute_values(":head", text(head))
            .expression_attribute_values(":id", text(&id));
        let items = self.all(query, MOST_FOUND as usize).await?;
        let mut incidents = self.incidents(&items).await?;
        Ok(match incidents.len() {
            0 => Found::None,
            1 => Found::One(Box::new(incidents.swap_remove(0))),
            _ => Found::Several(incidents.into_iter().map(|incident| incident.id).collect()),
        })
    }

    async fn transitions(&self, incident: &Incident) -> Result<Vec<Transition>, StoreError> {
        let query = self
            .query()
            .key_condition_expression("sensor = :sensor AND begins_with(since, :since)");
        let query = query
            .expression_attribute_values(":sensor", text(incident.latest.sensor.id()))
            .expression_attribute_values(":since", text(format!("{}#", &*incident.latest.since.zoneless())));
        let what = format!("incident {}", incident.id);
        let items = self.all(query, usize::MAX).await?;
        items
            .iter()
            .map(|item| encoding::decode(Reader { item, what: &what }.bytes("transition")?, || what.clone()))
            .collect()
    }

    async fn anomalies(&self, incident: &Incident, limit: u32) -> Result<Vec<KeptAnomaly>, StoreError> {
        let request = self.client.get_item().table_name(&self.table);
        let request = request
            .key("sensor", text(incident.latest.sensor.id()))
            .key("since", utc(incident.latest.since));
        let answer = request.send().await;
        let item = answer.map_err(|error| unavailable(self.doing("reading an incident"), &error))?;
        let item = item.item.unwrap_or_default();
        let what = format!("incident {}", incident.id);
        let table = Reader {
            item: &item,
            what: &what,
        }
        .text("anomalies_table")?
        .to_owned();
        let end = if incident.open {
            Timestamp::MAX
        } else {
            incident.latest.time
        };
        let query = self.client.query().table_name(&table).scan_index_forward(false);
        let query = query
            .key_condition_expression("deviceid = :sensor AND #timestamp BETWEEN :since AND :end")
            .expression_attribute_names("#timestamp", "timestamp")
            .expression_attribute_values(":sensor", text(incident.latest.sensor.id()))
            .expression_attribute_values(":since", utc(incident.latest.since))
            .expression_attribute_values(":end", utc(end))
            .limit(limit.clamp(1, 1000) as i32);
        let items = self.all(query, limit as usize).await?;
        items.iter().rev().map(anomaly).collect()
    }

    async fn acknowledge(&self, incident: &Incident, by: &str, now: Timestamp) -> Result<Acknowledgement, StoreError> {
        let set = "SET acknowledged_by = if_not_exists(acknowledged_by, :by), \
                   acknowledged_at_us = if_not_exists(acknowledged_at_us, :at)";
        let values = [(":by", text(by)), (":at", integer(now.as_micros()))];
        let item = self.update(incident, "acknowledging", set, values).await?;
        let what = format!("incident {}", incident.id);
        acknowledgement(&Reader {
            item: &item,
            what: &what,
        })
        .ok_or_else(|| StoreError::unavailable(format!("acknowledging {what}"), "the table did not store it"))
    }

    async fn mute(&self, incident: &Incident, until: Timestamp) -> Result<(), StoreError> {
        let set = "SET muted_until_us = :until, muted_until = :text";
        let values = [(":until", integer(until.as_micros())), (":text", utc(until))];
        self.update(incident, "muting", set, values).await.map(drop)
    }

    async fn mute_sensor(&self, sensor: &str, until: Timestamp) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(&self.table);
        let request = request
            .item("sensor", text(sensor))
            .item("since", text(MUTE))
            .item("until_us", integer(until.as_micros()))
            .item("until", utc(until));
        let put = request.send().await;
        put.map(drop)
            .map_err(|error| unavailable(format!("muting sensor {sensor}"), &error))
    }

    async fn knows_sensor(&self, sensor: &str) -> Result<bool, StoreError> {
        // Digits come before a colon, and the letters of mutes and groups after it.
        let query = self
            .query()
            .key_condition_expression("sensor = :sensor AND since < :letters");
        let query = query
            .expression_attribute_values(":sensor", text(sensor))
            .expression_attribute_values(":letters", text(":"))
            .limit(1);
        Ok(!self.all(query, 1).await?.is_empty())
    }
}

fn incident(item: &Item) -> Result<Incident, StoreError> {
    let reader = Reader {
        item,
        what: "an incident",
    };
    let id = reader.text("id")?.to_owned();
    let what = format!("incident {id}");
    let reader = Reader { item, what: &what };
    Ok(Incident {
        open: reader.text("state")? == "open",
        latest: encoding::decode(reader.bytes("latest")?, || what.clone())?,
        acknowledged: acknowledgement(&reader),
        muted_until: reader
            .optional_number("muted_until_us")
            .and_then(Timestamp::from_micros),
        id,
    })
}

fn acknowledgement(reader: &Reader<'_>) -> Option<Acknowledgement> {
    Some(Acknowledgement {
        by: reader.optional_text("acknowledged_by")?.to_owned(),
        at: Timestamp::from_micros(reader.optional_number("acknowledged_at_us")?)?,
    })
}

fn anomaly(item: &Item) -> Result<KeptAnomaly, StoreError> {
    let reader = Reader {
        item,
        what: "an anomaly",
    };
    let value = item.get("value").map(json).unwrap_or_default();
    Ok(KeptAnomaly {
        timestamp: reader.text("timestamp")?.to_owned(),
        value,
        kinds: reader.text("anomalyType")?.to_owned(),
        score: reader.number("anomaly_score")?,
    })
}

/// A number, or a JSON array of numbers.
fn json(value: &AttributeValue) -> String {
    match value {
        AttributeValue::N(number) | AttributeValue::S(number) => number.clone(),
        AttributeValue::L(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(json).collect();
            format!("[{}]", numbers.join(","))
        }
        _ => String::new(),
    }
}
