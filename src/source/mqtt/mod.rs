//! Messages of an MQTT broker. One of quality of service 1 is acknowledged once its readings are delivered or synced to the
//! spool: until then the broker has it, and gives it again after a restart of either side.

mod connection;
mod decoder;
mod devices;
mod dial;
mod fields;
mod frames;
mod glob;
mod mqtt_config;
mod names;
mod packet;
mod rules;
mod server;
mod session;
mod template;
mod time;
mod tls;
mod topic;
mod window;
mod words;

use std::sync::Arc;
use std::time::Duration;

use connection::{Connection, End};
pub use decoder::{Decoder, Message, Outcome};
use delivery::backoff::Backoff;
pub use devices::Devices;
use dial::ConnectionError;
pub(super) use mqtt_config::Config;
#[cfg(test)]
pub(super) use mqtt_config::KEYS;
pub use mqtt_config::Protocol;
pub use rules::Format;
use session::Session;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};
use wire::{Reading, Timestamp};

use super::{Ended, Malformed, Output, SourceContext, SourceError, Stop};
use crate::telemetry::metrics::Metrics;

/// The longest wait before the second round of all servers, and before any: a broker that is back is soon found.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A connection that lasted so long was a good one. Two clients of one id end each other's sooner, and wait ever longer.
const GOOD: Duration = Duration::from_secs(5);
/// A failure that lasts is logged again after this time.
const REMIND: Duration = Duration::from_secs(60);

/// What outlives connections.
struct Broker {
    name: String,
    config: Config,
    session: Session,
    /// What the broker is asked for.
    filters: Vec<String>,
    decoder: Decoder,
    malformed: Arc<Malformed>,
    metrics: Arc<Metrics>,
    /// How many messages came to what since the metrics were told.
    counts: [u64; Outcome::ALL.len()],
    /// There was a connection before.
    was_connected: bool,
    failure: ConnectionFailure,
    stop: Stop,
    /// Where readings go; `None` once there are to be no more.
    output: Option<Output>,
    /// What receipts tell, and who keeps its end open while there may be more.
    settled: Option<mpsc::UnboundedSender<u64>>,
    settlements: mpsc::UnboundedReceiver<u64>,
    /// The number of the next batch, over all connections.
    next: u64,
}

/// What keeps us from the broker, said once when it begins and now and then while it lasts.
#[derive(Default)]
struct ConnectionFailure(Option<(String, Instant)>);

/// Runs until `output` asks it to stop.
pub(super) async fn run(
    name: String,
    config: Config,
    output: Output,
    context: SourceContext,
) -> Result<Ended, SourceError> {
    let (settled, settlements) = mpsc::unbounded_channel();
    let mut broker = Broker {
        session: Session::open(&context.state_dir, &name, config.client_id.as_deref())?,
        filters: config.rules.topics.iter().map(topic::Pattern::filter).collect(),
        decoder: Decoder::new(config.rules.clone()),
        name,
        config,
        malformed: context.malformed,
        metrics: context.metrics,
        counts: Default::default(),
        was_connected: false,
        failure: ConnectionFailure::default(),
        stop: output.stop(),
        output: Some(output),
        settled: Some(settled),
        settlements,
        next: 0,
    };
    broker.begin();
    let ended = broker.connections().await;
    broker.disconnected();
    ended
}

impl Broker {
    /// Connects again and again, to one server after another.
    async fn connections(&mut self) -> Result<Ended, SourceError> {
        let backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let servers = self.config.servers.clone();
        let mut failed = 0;
        loop {
            let server = &servers[failed as usize % servers.len()];
            let mut stop = self.stop.clone();
            let dialled = tokio::select! {
                biased;
                () = stop.asked() => return Ok(Ended::Stopped),
                dialled = dial::dial(&self.config, server, self.session.client_id()) => dialled,
            };
            let began = Instant::now();
            let error = match dialled {
                Err(error) => error,
                Ok(dialled) => match Connection::new(self, dialled).serve(server).await {
                    End::Stopped => return Ok(Ended::Stopped),
                    End::Failed(error) => return Err(error),
                    End::Broken(error) => error,
                },
            };
            self.disconnected();
            if self.output.is_none() {
                return Ok(Ended::Stopped);
            }
            failed = if began.elapsed() >= GOOD { 1 } else { failed + 1 };
            self.failure.seen(&self.name, &server.to_string(), &error);
            // A whole round without a wait: the next server may well be there.
            let rounds = failed / servers.len() as u32;
            let round_ends = (failed as usize).is_multiple_of(servers.len());
            if round_ends {
                let delay = backoff.delay(rounds, &mut rand::rng());
                tokio::select! {
                    biased;
                    () = stop.asked() => return Ok(Ended::Stopped),
                    () = sleep(delay) => {}
                }
            }
        }
    }

    /// Shows what will be counted, so that rates begin with the first.
    fn begin(&self) {
        self.metrics.broker_connected(&self.name, false);
        self.metrics.broker_reconnected(&self.name, 0);
        self.tell();
    }

    fn connected(&mut self) {
        let again = std::mem::replace(&mut self.was_connected, true);
        self.metrics.broker_reconnected(&self.name, again.into());
        self.metrics.broker_connected(&self.name, true);
        self.failure = ConnectionFailure::default();
    }

    fn disconnected(&self) {
        self.metrics.broker_connected(&self.name, false);
    }

    /// Brings what was counted into the metrics: once a batch.
    fn count(&mut self) {
        if self.counts.iter().any(|count| *count > 0) {
            self.tell();
            self.counts.fill(0);
        }
    }

    fn tell(&self) {
        for (outcome, count) in Outcome::ALL.into_iter().zip(self.counts) {
            self.metrics.broker_messages(&self.name, outcome.name(), count);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn decode(&mut self, message: &Message<'_>, now: Timestamp, readings: &mut Vec<Reading>) {
        let before = readings.len();
        let mut outcome = self.decoder.decode(message, now, readings).unwrap_or_else(|reason| {
            self.malformed.message(message.topic, message.payload, &reason);
            Outcome::Malformed
        });
        let refused = self.output.as_ref().map_or(0, |output| output.admit(readings, before));
        if refused > 0 && readings.len() == before {
            outcome = Outcome::Refused;
        }
        self.counts[outcome as usize] += 1;
    }

    fn too_large(&mut self, topic: &str, bytes: usize) {
        let most = self.config.max_message_bytes;
        debug!(
            source = self.name,
            topic, bytes, most, "a message larger than max_message_bytes is passed over"
        );
        self.counts[Outcome::TooLarge as usize] += 1;
    }
}

impl ConnectionFailure {
    fn seen(&mut self, source: &str, server: &str, error: &ConnectionError) {
        let error = error.to_string();
        match &self.0 {
            Some((said, at)) if *said == error && at.elapsed() < REMIND => {
                debug!(source, server, error, "still no MQTT broker");
            }
            _ => {
                warn!(
                    source,
                    server, error, "cannot reach the MQTT broker; retrying: it keeps what it has for this session"
                );
                self.0 = Some((error, Instant::now()));
            }
        }
    }
}
