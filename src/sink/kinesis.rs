//! Records to a Kinesis data stream, through the AWS SDK. On the daemon's data path only this module names AWS types.
//!
//! Each call makes one attempt: the SDK's retries are off, because the lanes retry in order.

mod body;
mod cause;
mod failure;
mod target;
mod watch;

use std::collections::HashSet;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::types::PutRecordsResultEntry;
use delivery::record::Record;
use delivery::sink::{Answer, Put, PutError, Sink, THROTTLED};
use tokio::sync::Mutex;
use tracing::debug;

pub use self::cause::{cause, causes};
use self::failure::{Failure, Meaning};
pub use self::target::{Role, Target, ToStream, lacks_credentials, no_such_endpoint, special_endpoint};
use self::watch::{Look, Watch};

/// Puts records into one stream.
#[derive(Debug)]
pub struct Kinesis {
    target: Target,
    /// `None` until the first request, and after credentials have expired, so that they are read again.
    connection: Mutex<Option<Connection>>,
    watch: Watch,
}

#[derive(Clone, Debug)]
struct Connection {
    client: Client,
    sdk: SdkConfig,
}

impl Kinesis {
    /// Creates a sink for the target, fed by `lanes` lanes; `None` if every sensor is a lane of its own. Sends nothing
    /// yet.
    pub fn new(target: Target, lanes: Option<u32>) -> Self {
        Self {
            target,
            connection: Mutex::new(None),
            watch: Watch::new(lanes),
        }
    }

    async fn connection(&self) -> Connection {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = &*connection {
            return connection.clone();
        }
        let sdk = self.target.sdk_config().await;
        let client = Client::new(&sdk);
        connection.insert(Connection { client, sdk }).clone()
    }

    async fn put_records(&self, records: &[Arc<Record>]) -> Result<Vec<Answer>, PutError> {
        let connection = self.connection().await;
        match self.watch.due() {
            Look::First => self.look(&connection).await?,
            // Other problems will show in the put.
            Look::Again => match self.look(&connection).await {
                Err(error @ PutError::Fatal { .. }) => return Err(error),
                Err(error) => debug!(%error, "the stream was not looked at again"),
                Ok(()) => {}
            },
            Look::No => {}
        }
        let body = body::write(records, &self.target);
        // The stream is named twice because the SDK also chooses the endpoint by it.
        let request = connection.client.put_records().to(&self.target);
        let request = request.customize().mutate_request(move |request| {
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = body.clone().into();
        });
        match request.send().await {
            Ok(answer) if answer.records().len() == records.len() => {
                let mut shards = HashSet::new();
                Ok(answer
                    .records()
                    .iter()
                    .map(|entry| answer_of(entry, &mut shards))
                    .collect())
            }
            Ok(answer) => Err(PutError::Transient {
                kind: "malformed_answer",
                message: format!(
                    "{} answers to {} records from {}",
                    answer.records().len(),
                    records.len(),
                    self.target.stream
                ),
            }),
            Err(error) => Err(self
                .failed("putting records into", Failure::of(&error), error, &connection)
                .await),
        }
    }

    /// Refuses a stream that ignores partition keys. If reading the summary is not allowed, the put itself will fail.
    async fn look(&self, connection: &Connection) -> Result<(), PutError> {
        let request = connection.client.describe_stream_summary().to(&self.target);
        match request.send().await {
            Ok(answer) => self
                .watch
                .found(&self.target.stream, answer.stream_description_summary()),
            Err(error) if error.code() == Some("AccessDeniedException") => {
                self.watch.denied(&self.target.stream);
                Ok(())
            }
            // A request without records is invalid for the stream it names.
            Err(error) => Err(self
                .failed("describing", Failure::of(&error).without_records(), error, connection)
                .await),
        }
    }

    async fn failed<E>(&self, doing: &str, failure: Failure, error: SdkError<E>, connection: &Connection) -> PutError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let Failure { kind, meaning } = failure;
        let mut message = format!("{doing} stream {}: ", self.target.stream);
        if kind == "no_credentials" {
            message += &self.target.credentials_wanted();
            message += ": ";
        }
        message += &cause(&error);
        debug!(kind, error = %DisplayErrorContext(&error), "all that the SDK says of it");
        if let ("connection" | "not_sent", Some(special)) = (kind, special_endpoint(&connection.sdk)) {
            message += "; ";
            message += &no_such_endpoint(special, &connection.sdk);
        }
        match kind {
            "expired_credentials" | "wrong_credentials" => *self.connection.lock().await = None,
            "stream_missing" | "stream_not_active" => self.watch.lost(),
            _ => {}
        }
        match meaning {
            Meaning::Outage => PutError::Transient { kind, message },
            Meaning::Request(objection) => PutError::Rejected {
                kind,
                objection,
                message,
            },
            Meaning::Configuration => {
                message += "; ";
                message += failure::remedy(kind);
                PutError::Misconfigured { kind, message }
            }
        }
    }
}

impl Sink for Kinesis {
    fn put<'a>(&'a self, records: &'a [Arc<Record>]) -> Put<'a> {
        Box::pin(self.put_records(records))
    }
}

/// Explains why a stream that ignores partition keys is refused, and what to do.
pub fn ignores_keys(stream: &str) -> String {
    format!(
        "stream {stream} has the record distribution strategy AUTO: it ignores partition keys, so no sensor's readings \
         would stay in order; set it back: aws kinesis update-stream-record-distribution-strategy \
         --record-distribution-strategy USER_PARTITION_KEY, or name another stream under [kinesis]"
    )
}

/// `shards` are those of the answer so far: many records share a few names.
fn answer_of(entry: &PutRecordsResultEntry, shards: &mut HashSet<Arc<str>>) -> Answer {
    match entry.error_code() {
        None => Answer::Accepted(entry.shard_id().map(|shard| match shards.get(shard) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = shard.into();
                shards.insert(new.clone());
                new
            }
        })),
        Some(THROTTLED) => Answer::Refused(THROTTLED),
        Some("InternalFailure") => Answer::Refused("InternalFailure"),
        Some(_) => Answer::Refused("other"),
    }
}
