//! A stand-in for DynamoDB in a process of its own: ministack, from requirements-test.txt.

use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use tempfile::TempDir;

/// It takes a few seconds; a machine may be busy.
const TRIES: u32 = 600;

/// Ended when it is dropped.
pub struct Standin {
    process: Child,
    client: Client,
    _dir: TempDir,
}

impl Standin {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let python = env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(dir.path().join("log")).unwrap();
        let process = Command::new(&python)
            .args(["-m", "ministack"])
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir.path())
            .env("TMPDIR", dir.path())
            .env("STATE_DIR", dir.path().join("state"))
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            // Its listener for MQTT would bind every interface.
            .env("IOT_MTLS_ENABLED", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("running {python}: {error}: PYTHON names one with requirements-test.txt"));
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(format!("http://127.0.0.1:{port}"))
            .build();
        let mut standin = Self {
            process,
            client: Client::from_conf(config),
            _dir: dir,
        };
        standin.await_ready(&python).await;
        standin
    }

    async fn await_ready(&mut self, python: &str) {
        for _ in 0..TRIES {
            if self.client.list_tables().send().await.is_ok() {
                return;
            }
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "`{python} -m ministack` ended: `{python} -m pip install -r requirements-test.txt` gives it what it needs"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the stand-in does not answer");
    }

    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Makes a table with these keys, all of them texts.
pub async fn table(client: &Client, name: &str, hash: &str, range: &str, indexes: &[(&str, &str, &str)]) {
    let keys = indexes.iter().flat_map(|(_, hash, range)| [*hash, *range]);
    let mut names: Vec<&str> = [hash, range].into_iter().chain(keys).collect();
    names.sort_unstable();
    names.dedup();
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest);
    for name in names {
        let definition = AttributeDefinition::builder().attribute_name(name);
        let definition = definition.attribute_type(ScalarAttributeType::S).build().unwrap();
        request = request.attribute_definitions(definition);
    }
    for (name, hash, range) in indexes {
        let all = Projection::builder().projection_type(ProjectionType::All).build();
        let index = GlobalSecondaryIndex::builder().index_name(*name).projection(all);
        let index = index.set_key_schema(Some(schema(hash, range))).build().unwrap();
        request = request.global_secondary_indexes(index);
    }
    request.set_key_schema(Some(schema(hash, range))).send().await.unwrap();
}

fn schema(hash: &str, range: &str) -> Vec<KeySchemaElement> {
    let element = |name, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .unwrap()
    };
    vec![element(hash, KeyType::Hash), element(range, KeyType::Range)]
}

/// All items of a partition.
pub async fn items(client: &Client, table: &str, partition: &str) -> Vec<HashMap<String, AttributeValue>> {
    items_of(client, table, "partition", partition).await
}

/// All items with this hash key, in order.
pub async fn items_of(client: &Client, table: &str, hash: &str, key: &str) -> Vec<HashMap<String, AttributeValue>> {
    let query = client.query().table_name(table).consistent_read(true);
    let query = query
        .key_condition_expression("#hash = :key")
        .expression_attribute_names("#hash", hash)
        .expression_attribute_values(":key", AttributeValue::S(key.to_owned()));
    let mut answers = query.into_paginator().items().send();
    let mut items = Vec::new();
    while let Some(item) = answers.next().await {
        items.push(item.unwrap());
    }
    items
}
