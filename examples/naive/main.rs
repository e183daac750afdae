//! What `make bench` compares the daemon with: the same simulated readings put by the SDK as its documentation shows it, 500
//! records a request, one request after the other, a reading a record, the sensor as the partition key.
//!
//! `naive SENSORS COUNT`; endpoint, region and credentials from the environment.

use std::error::Error;

use aws_config::BehaviorVersion;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use simulate::{Fleet, Plan, Profile, Temperature};
use wire::{Form, Timestamp};

const RECORDS: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("naive SENSORS COUNT");
    let (sensors, count): (u32, usize) = (next()?.parse()?, next()?.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(put(sensors, count))
}

async fn put(sensors: u32, count: usize) -> Result<(), Box<dyn Error>> {
    let client = Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
    let mut fleet = Fleet::new(&plan(sensors), Timestamp::default());
    let mut left = count;
    while left > 0 {
        let mut entries = Vec::with_capacity(RECORDS);
        while entries.len() < RECORDS.min(left) {
            let Some(reading) = fleet.step(&mut Vec::new()) else {
                continue;
            };
            let mut json = Vec::new();
            wire::json::encode(&reading, None, &mut json);
            let entry = PutRecordsRequestEntry::builder()
                .partition_key(reading.sensor().id())
                .data(Blob::new(json))
                .build()?;
            entries.push(entry);
        }
        left -= entries.len();
        client
            .put_records()
            .stream_name("readings")
            .set_records(Some(entries))
            .send()
            .await?;
    }
    Ok(())
}

/// What the daemon simulates under `profile = "temperature"` with an empty prefix.
fn plan(sensors: u32) -> Plan {
    Plan {
        profile: Profile::Temperature(Temperature::HOUSE),
        sensors,
        interval_micros: 1_000_000,
        seed: 1,
        prefix: String::new(),
        group: Some(String::new()),
        faults_per_day: 0.0,
        form: Form::General,
        datatype: "temperature".into(),
        unit: Some("°C".into()),
        bounds: None,
        decimals: 2,
    }
}
