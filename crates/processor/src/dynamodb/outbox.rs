//! Anomalies and incidents in two tables.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use detect::{Anomaly, Change, Transition};
use futures_util::{StreamExt, TryStreamExt, stream};
use wire::Timestamp;

use super::attribute::{Item, Reader, bytes, integer, number, text, utc, value};
use super::batch::{self, Key};
use super::{CONCURRENCY, clock, unavailable};
use crate::encoding;
use crate::group::Group;
use crate::incident_id::IncidentId;
use crate::outbox::{Claim, Outbox};
use crate::store_error::StoreError;
use crate::words;

/// What a mute of a sensor has for the beginning of an incident.
pub(super) const MUTE: &str = "mute";

/// What a group of sensors has for the beginning of an incident; its name is where a sensor's id is.
const GROUP: &str = "group";

/// How many digits of an id choose its place in the index by id.
pub(super) const ID_HEAD: usize = 2;

/// How long whoever has claimed an incident or a group has to tell people. Longer than all tries of a call together, shorter than an
/// invocation: what comes again after a crash waits for the end of the claim within one.
const CLAIM: Duration = Duration::from_secs(25);

/// Nobody else holds the claim.
const FREE: &str = "attribute_not_exists(claimed_by) OR claimed_by = :me OR claimed_until_ms < :now";

/// How often a claim that somebody else holds is asked for again.
const CLAIM_AGAIN: Duration = Duration::from_millis(200);

/// Anomalies and incidents in two tables.
#[derive(Debug)]
pub struct TableOutbox {
    client: Client,
    anomalies: String,
    incidents: String,
    /// Who claims: this process, whose own claims are not in its way.
    me: String,
}

impl TableOutbox {
    /// In these tables: anomalies with HASH `deviceid`, RANGE `timestamp`; incidents with HASH `sensor`, RANGE `since`.
    pub fn new(client: Client, anomalies: impl Into<String>, incidents: impl Into<String>) -> Self {
        Self {
            client,
            anomalies: anomalies.into(),
            incidents: incidents.into(),
            me: format!("{:016x}", fastrand::u64(..)),
        }
    }

    async fn put_transition(&self, transition: &Transition) -> Result<(), StoreError> {
        let request = self.client.put_item().table_name(&self.incidents);
        let request = request
            .item("sensor", text(transition.sensor.id()))
            .item("since", text(moment(transition)))
            .item("transition", bytes(encoding::encode(transition)));
        let put = request.send().await;
        put.map(drop)
            .map_err(|error| unavailable(format!("keeping a transition in table {}", self.incidents), &error))
    }

    /// Leaves an incident that is there already, or has moved on.
    async fn move_forward(&self, transition: &Transition) -> Result<(), StoreError> {
        let mut sets = vec!["told = if_not_exists(told, :nought)".to_owned()];
        let mut request = self
            .update(transition)
            .condition_expression("attribute_not_exists(#number) OR #number < :number")
            .expression_attribute_values(":nought", integer(0));
        for (name, value) in self.shown(transition) {
            sets.push(format!("#{name} = :{name}"));
            request = request
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let request = request.update_expression(format!("SET {}", sets.join(", ")));
        match request.send().await {
            Err(error) if !is_refused(&error) => Err(self.failed("moving an incident forward", &error)),
            _ => Ok(()),
        }
    }

    fn update(&self, transition: &Transition) -> UpdateItemFluentBuilder {
        let request = self.client.update_item().table_name(&self.incidents);
        request
            .key("sensor", text(transition.sensor.id()))
            .key("since", utc(transition.since))
    }

    fn update_group(&self, group: &str) -> UpdateItemFluentBuilder {
        let request = self.client.update_item().table_name(&self.incidents);
        request.key("sensor", text(group)).key("since", text(GROUP))
    }

    /// Of an update that takes a claim where nobody holds it.
    fn claiming(&self, request: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let now = clock::now().as_micros() / 1_000;
        request
            .update_expression("SET claimed_by = :me, claimed_until_ms = :until")
            .expression_attribute_values(":me", text(&self.me))
            .expression_attribute_values(":until", integer(now + CLAIM.as_millis() as i64))
            .expression_attribute_values(":now", integer(now))
            .return_values(ReturnValue::AllNew)
    }

    fn failed(&self, doing: &str, error: &SdkError<UpdateItemError>) -> StoreError {
        unavailable(format!("{doing} in table {}", self.incidents), error)
    }

    /// Takes an incident's claim where nobody holds it; then, or where people were told already, answers its item.
    async fn try_claim(&self, transition: &Transition) -> Result<Option<Item>, StoreError> {
        let request = self.claiming(self.update(transition));
        let request = request
            .condition_expression(format!("told < :number AND ({FREE})"))
            .expression_attribute_values(":number", integer(transition.number))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(answer) => Ok(Some(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    let item = refused.item().cloned().unwrap_or_default();
                    let told: u32 = Reader {
                        item: &item,
                        what: "an incident",
                    }
                    .number("told")?;
                    Ok((told >= transition.number).then_some(item))
                }
                _ => Err(self.failed("claiming an incident", &error)),
            },
        }
    }

    /// The attributes of an incident: what people look at, and the last transition whole.
    fn shown(&self, transition: &Transition) -> Vec<(&'static str, aws_sdk_dynamodb::types::AttributeValue)> {
        let sensor = &transition.sensor;
        let id = IncidentId::of(sensor, transition.since).to_string();
        let state = if transition.change == Change::Resolved {
            "resolved"
        } else {
            "open"
        };
        let mut shown = vec![
            ("number", integer(transition.number)),
            ("state", text(state)),
            ("id_head", text(&id[..ID_HEAD])),
            ("id", text(id)),
            ("kind", text(sensor.kind())),
            ("what", text(transition.kinds.joined(sensor.kind(), ","))),
            ("words", text(words::of(transition).join("; "))),
            ("value", value(&transition.value)),
            ("peak", number(transition.peak)),
            ("anomalies", integer(transition.anomalies)),
            ("changed", utc(transition.time)),
            ("latest", bytes(encoding::encode(transition))),
            ("anomalies_table", text(&self.anomalies)),
        ];
        shown.extend(sensor.unit().map(|unit| ("unit", text(unit))));
        shown.extend(sensor.group().map(|group| ("group", text(group))));
        if let Some((lowest, highest)) = transition.expected {
            shown.push(("expected_lowest", number(lowest)));
            shown.push(("expected_highest", number(highest)));
        }
        shown
    }

    /// Takes a group's claim where nobody holds it; then answers what is kept of it.
    async fn try_claim_group(&self, group: &str) -> Result<Option<Group>, StoreError> {
        let request = self.claiming(self.update_group(group)).condition_expression(FREE);
        match request.send().await {
            Ok(answer) => {
                let item = answer.attributes.unwrap_or_default();
                let what = format!("group {group}");
                let reader = Reader {
                    item: &item,
                    what: &what,
                };
                let kept = reader.optional_bytes("episodes");
                Ok(Some(match kept {
                    Some(bytes) => Group::decode(group, bytes)?,
                    None => Group::default(),
                }))
            }
            Err(error) if is_refused(&error) => Ok(None),
            Err(error) => Err(self.failed("claiming a group", &error)),
        }
    }

    async fn mark_told(&self, transition: &Transition) -> Result<(), StoreError> {
        let request = self.update(transition);
        let request = request
            .update_expression("SET told = :told REMOVE claimed_by, claimed_until_ms")
            .condition_expression("told < :told")
            .expression_attribute_values(":told", integer(transition.number));
        match request.send().await {
            // Refused: a later one was told meanwhile.
            Err(error) if !is_refused(&error) => Err(self.failed("marking an incident as told", &error)),
            _ => Ok(()),
        }
    }

    /// The items of the incidents table with these keys, those that are there.
    async fn items(&self, keys: Vec<Key>) -> Result<HashMap<Key, Item>, StoreError> {
        batch::get(&self.client, &self.incidents, keys, "incidents and mutes").await
    }
}

impl Outbox for TableOutbox {
    async fn keep(&mut self, anomalies: &[&Anomaly]) -> Result<(), StoreError> {
        let items = anomalies
            .iter()
            .map(|anomaly| ((anomaly.sensor.id(), anomaly.time), item(anomaly)));
        batch::put(&self.client, &self.anomalies, batch::by_key(items), "anomalies").await
    }

    async fn advance(&mut self, transitions: &[&Transition]) -> Result<(), StoreError> {
        let mut sensors: HashMap<&str, Vec<&Transition>> = HashMap::new();
        for transition in transitions {
            sensors.entry(transition.sensor.id()).or_default().push(transition);
        }
        let outbox = &*self;
        let advance = |transitions: Vec<_>| async move {
            for transition in transitions {
                outbox.put_transition(transition).await?;
                outbox.move_forward(transition).await?;
            }
            Ok(())
        };
        all(sensors.into_values().map(advance).collect()).await
    }

    async fn claim(&mut self, transition: &Transition, now: Timestamp) -> Result<Claim, StoreError> {
        let item = loop {
            match self.try_claim(transition).await? {
                Some(item) => break item,
                None => tokio::time::sleep(CLAIM_AGAIN).await,
            }
        };
        let reader = Reader {
            item: &item,
            what: "an incident",
        };
        if reader.number::<u32>("told")? >= transition.number {
            return Ok(Claim::Told);
        }
        let sensor = mute_key(transition);
        let mutes = self.items(vec![sensor.clone()]).await?;
        let is_muted =
            muted(&item, "muted_until_us", now) || mutes.get(&sensor).is_some_and(|mute| muted(mute, "until_us", now));
        Ok(if is_muted { Claim::Muted } else { Claim::Tell })
    }

    async fn standing(&mut self, transitions: &[&Transition], now: Timestamp) -> Result<Vec<Claim>, StoreError> {
        let keys = transitions.iter().flat_map(|one| [key(one), mute_key(one)]);
        let items = self.items(keys.collect()).await?;
        let standing = transitions.iter().map(|transition| {
            let item = items.get(&key(transition)).cloned().unwrap_or_default();
            let reader = Reader {
                item: &item,
                what: "an incident",
            };
            if reader.number::<u32>("told")? >= transition.number {
                return Ok(Claim::Told);
            }
            let sensor_muted = items
                .get(&mute_key(transition))
                .is_some_and(|mute| muted(mute, "until_us", now));
            let is_muted = sensor_muted || muted(&item, "muted_until_us", now);
            Ok(if is_muted { Claim::Muted } else { Claim::Tell })
        });
        standing.collect()
    }

    async fn told(&mut self, transitions: &[&Transition]) -> Result<(), StoreError> {
        let outbox = &*self;
        all(transitions
            .iter()
            .map(|transition| outbox.mark_told(transition))
            .collect())
        .await
    }

    async fn claim_group(&mut self, group: &str) -> Result<Group, StoreError> {
        loop {
            match self.try_claim_group(group).await? {
                Some(kept) => return Ok(kept),
                None => tokio::time::sleep(CLAIM_AGAIN).await,
            }
        }
    }

    async fn keep_group(&mut self, group: &str, kept: &Group) -> Result<(), StoreError> {
        let request = self.update_group(group);
        let request = request
            .update_expression("SET episodes = :episodes")
            .condition_expression("claimed_by = :me")
            .expression_attribute_values(":me", text(&self.me))
            .expression_attribute_values(":episodes", bytes(kept.encode()));
        let put = request.send().await.map(drop);
        put.map_err(|error| self.failed(&format!("keeping what was told of group {group}"), &error))
    }

    async fn free_group(&mut self, group: &str) -> Result<(), StoreError> {
        let request = self.update_group(group);
        let request = request
            .update_expression("REMOVE claimed_by, claimed_until_ms")
            .condition_expression("claimed_by = :me")
            .expression_attribute_values(":me", text(&self.me));
        match request.send().await {
            Err(error) if !is_refused(&error) => Err(self.failed("ending the claim of a group", &error)),
            _ => Ok(()),
        }
    }

    fn command(&self) -> String {
        format!("temp-ingest incidents --table {}", self.incidents)
    }
}

fn is_refused(error: &SdkError<UpdateItemError>) -> bool {
    error
        .as_service_error()
        .is_some_and(UpdateItemError::is_conditional_check_failed_exception)
}

fn key(transition: &Transition) -> Key {
    let since = transition.since.zoneless();
    (transition.sensor.id().to_owned(), (*since).to_owned())
}

/// Of the mute of a transition's sensor.
fn mute_key(transition: &Transition) -> Key {
    (transition.sensor.id().to_owned(), MUTE.to_owned())
}

/// True where this attribute says that a mute has not ended yet.
fn muted(item: &Item, until: &str, now: Timestamp) -> bool {
    let reader = Reader { item, what: "a mute" };
    reader.optional_number(until) > Some(now.as_micros())
}

/// Some at once, all of them to their end or to the first error.
async fn all<F: Future<Output = Result<(), StoreError>>>(work: Vec<F>) -> Result<(), StoreError> {
    stream::iter(work).buffer_unordered(CONCURRENCY).try_collect().await
}

/// An anomaly as people and other programs read it.
fn item(anomaly: &Anomaly) -> Item {
    let sensor = &anomaly.sensor;
    let timestamp = anomaly.time.zoneless();
    let mut item = Item::from([
        ("deviceid".to_owned(), text(sensor.id())),
        ("anomalyDate".to_owned(), text(&timestamp[..10])),
        ("timestamp".to_owned(), text(&*timestamp)),
        ("value".to_owned(), value(&anomaly.value)),
        ("anomalyType".to_owned(), text(anomaly.kinds.joined(sensor.kind(), ","))),
        ("anomaly_score".to_owned(), number(anomaly.score)),
        ("kind".to_owned(), text(sensor.kind())),
        (
            "incident".to_owned(),
            text(IncidentId::of(sensor, anomaly.incident).to_string()),
        ),
    ]);
    item.extend(sensor.unit().map(|unit| ("unit".to_owned(), text(unit))));
    item.extend(sensor.group().map(|group| ("group".to_owned(), text(group))));
    if let Some((lowest, highest)) = anomaly.expected {
        item.insert("expected_lowest".to_owned(), number(lowest));
        item.insert("expected_highest".to_owned(), number(highest));
    }
    item
}

/// Where a transition is kept: behind its incident, in order.
fn moment(transition: &Transition) -> String {
    format!("{}#{:06}", &*transition.since.zoneless(), transition.number)
}
