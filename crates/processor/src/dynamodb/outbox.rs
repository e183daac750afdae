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
use super::{CONCURRENCY, anomaly, clock, unavailable};
use crate::encoding;
use crate::episodes::Group;
use crate::incident_id::IncidentId;
use crate::message::description;
use crate::outbox::{NotificationState, Outbox};
use crate::store_error::StoreError;

/// The range key of a sensor's mute, in place of the start of an incident.
pub(super) const MUTE: &str = "mute";

/// The range key of a group of sensors; its name is the hash key, in place of a sensor's id.
const GROUP: &str = "group";

/// Digits of an id that are the hash key of the index by id.
pub(super) const ID_HEAD: usize = 2;

/// How long a lease of an incident or a group lasts. Longer than all attempts of a call together, shorter than an
/// invocation: what is delivered again after a crash waits within one for the lease to expire.
const LEASE: Duration = Duration::from_secs(25);

/// No other holder has the lease.
const FREE: &str = "attribute_not_exists(leased_by) OR leased_by = :me OR leased_until_ms < :now";

/// Interval between attempts to take a lease that another holder has.
const LEASE_RETRY: Duration = Duration::from_millis(200);

/// Anomalies and incidents in two tables.
#[derive(Debug)]
pub struct TableOutbox {
    client: Client,
    anomalies: String,
    incidents: String,
    /// The holder of leases: this process, which may take its own leases again.
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
            .item("since", text(transition_key(transition)))
            .item("transition", bytes(encoding::encode(transition)));
        let put = request.send().await;
        put.map(drop)
            .map_err(|error| unavailable(format!("keeping a transition in table {}", self.incidents), &error))
    }

    /// Does nothing if the incident has this transition or a later one.
    async fn move_forward(&self, transition: &Transition) -> Result<(), StoreError> {
        let mut sets = vec!["notified = if_not_exists(notified, :nought)".to_owned()];
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

    /// An update that takes a lease.
    fn leasing(&self, request: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let now = clock::now().as_micros() / 1_000;
        request
            .update_expression("SET leased_by = :me, leased_until_ms = :until")
            .expression_attribute_values(":me", text(&self.me))
            .expression_attribute_values(":until", integer(now + LEASE.as_millis() as i64))
            .expression_attribute_values(":now", integer(now))
            .return_values(ReturnValue::AllNew)
    }

    fn failed(&self, doing: &str, error: &SdkError<UpdateItemError>) -> StoreError {
        unavailable(format!("{doing} in table {}", self.incidents), error)
    }

    /// Takes an incident's lease if it is free. Returns the item if that worked or people were notified already.
    async fn try_lease(&self, transition: &Transition) -> Result<Option<Item>, StoreError> {
        let request = self.leasing(self.update(transition));
        let request = request
            .condition_expression(format!("notified < :number AND ({FREE})"))
            .expression_attribute_values(":number", integer(transition.number))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(answer) => Ok(Some(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    let item = refused.item().cloned().unwrap_or_default();
                    let notified: u32 = Reader {
                        item: &item,
                        what: "an incident",
                    }
                    .number("notified")?;
                    Ok((notified >= transition.number).then_some(item))
                }
                _ => Err(self.failed("leasing an incident", &error)),
            },
        }
    }

    /// The attributes of an incident: what people read, and the whole last transition.
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
            ("words", text(description::of(transition).join("; "))),
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

    /// Takes a group's lease if it is free, and reads the group.
    async fn try_lease_group(&self, group: &str) -> Result<Option<Group>, StoreError> {
        let request = self.leasing(self.update_group(group)).condition_expression(FREE);
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
            Err(error) => Err(self.failed("leasing a group", &error)),
        }
    }

    async fn mark_one(&self, transition: &Transition) -> Result<(), StoreError> {
        let request = self.update(transition);
        let request = request
            .update_expression("SET notified = :number REMOVE leased_by, leased_until_ms")
            .condition_expression("notified < :number")
            .expression_attribute_values(":number", integer(transition.number));
        match request.send().await {
            // Refused: people were notified of a later one meanwhile.
            Err(error) if !is_refused(&error) => Err(self.failed("marking an incident as notified", &error)),
            _ => Ok(()),
        }
    }

    /// The items of the incidents table with these keys, as far as they exist.
    async fn items(&self, keys: Vec<Key>) -> Result<HashMap<Key, Item>, StoreError> {
        batch::get(&self.client, &self.incidents, keys, "incidents and mutes").await
    }
}

impl Outbox for TableOutbox {
    async fn keep(&mut self, anomalies: &[&Anomaly]) -> Result<(), StoreError> {
        let items = anomalies
            .iter()
            .map(|one| ((one.sensor.id(), one.time), anomaly::item(one)));
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

    async fn lease(&mut self, transition: &Transition, now: Timestamp) -> Result<NotificationState, StoreError> {
        let item = loop {
            match self.try_lease(transition).await? {
                Some(item) => break item,
                None => tokio::time::sleep(LEASE_RETRY).await,
            }
        };
        let reader = Reader {
            item: &item,
            what: "an incident",
        };
        if reader.number::<u32>("notified")? >= transition.number {
            return Ok(NotificationState::Notified);
        }
        let sensor = mute_key(transition);
        let mutes = self.items(vec![sensor.clone()]).await?;
        let is_muted =
            muted(&item, "muted_until_us", now) || mutes.get(&sensor).is_some_and(|mute| muted(mute, "until_us", now));
        Ok(if is_muted {
            NotificationState::Muted
        } else {
            NotificationState::Pending
        })
    }

    async fn states(
        &mut self,
        transitions: &[&Transition],
        now: Timestamp,
    ) -> Result<Vec<NotificationState>, StoreError> {
        let keys = transitions.iter().flat_map(|one| [key(one), mute_key(one)]);
        let items = self.items(keys.collect()).await?;
        let states = transitions.iter().map(|transition| {
            let item = items.get(&key(transition)).cloned().unwrap_or_default();
            let reader = Reader {
                item: &item,
                what: "an incident",
            };
            if reader.number::<u32>("notified")? >= transition.number {
                return Ok(NotificationState::Notified);
            }
            let sensor_muted = items
                .get(&mute_key(transition))
                .is_some_and(|mute| muted(mute, "until_us", now));
            let is_muted = sensor_muted || muted(&item, "muted_until_us", now);
            Ok(if is_muted {
                NotificationState::Muted
            } else {
                NotificationState::Pending
            })
        });
        states.collect()
    }

    async fn mark_notified(&mut self, transitions: &[&Transition]) -> Result<(), StoreError> {
        let outbox = &*self;
        all(transitions
            .iter()
            .map(|transition| outbox.mark_one(transition))
            .collect())
        .await
    }

    async fn lease_group(&mut self, group: &str) -> Result<Group, StoreError> {
        loop {
            match self.try_lease_group(group).await? {
                Some(kept) => return Ok(kept),
                None => tokio::time::sleep(LEASE_RETRY).await,
            }
        }
    }

    async fn save_group(&mut self, group: &str, saved: &Group) -> Result<(), StoreError> {
        let request = self.update_group(group);
        let request = request
            .update_expression("SET episodes = :episodes")
            .condition_expression("leased_by = :me")
            .expression_attribute_values(":me", text(&self.me))
            .expression_attribute_values(":episodes", bytes(saved.encode()));
        let put = request.send().await.map(drop);
        put.map_err(|error| self.failed(&format!("saving group {group}"), &error))
    }

    async fn release_group(&mut self, group: &str) -> Result<(), StoreError> {
        let request = self.update_group(group);
        let request = request
            .update_expression("REMOVE leased_by, leased_until_ms")
            .condition_expression("leased_by = :me")
            .expression_attribute_values(":me", text(&self.me));
        match request.send().await {
            Err(error) if !is_refused(&error) => Err(self.failed("ending the lease of a group", &error)),
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

/// The key of the mute of a transition's sensor.
fn mute_key(transition: &Transition) -> Key {
    (transition.sensor.id().to_owned(), MUTE.to_owned())
}

/// True if this attribute is the end of a mute that has not ended yet.
fn muted(item: &Item, until: &str, now: Timestamp) -> bool {
    let reader = Reader { item, what: "a mute" };
    reader.optional_number(until) > Some(now.as_micros())
}

/// Runs some at once, all of them to the end or the first error.
async fn all<F: Future<Output = Result<(), StoreError>>>(work: Vec<F>) -> Result<(), StoreError> {
    stream::iter(work).buffer_unordered(CONCURRENCY).try_collect().await
}

/// The range key of a transition: sorted after its incident, in order.
fn transition_key(transition: &Transition) -> String {
    format!("{}#{:06}", &*transition.since.zoneless(), transition.number)
}
