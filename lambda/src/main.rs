//! The program of the functions, on the runtime `provided.al2023`: events in, the processor, events out. `detect` is
//! behind the stream, `alert` behind the stream of the partitions table, `score` behind a REST API; the function's
//! property `Handler` selects one.

// Futures of the SDK nest deeply.
#![recursion_limit = "256"]

mod alert;
mod api;
mod detect;
mod event;
mod metrics;
mod output;
mod parameter;
mod score;
mod scores;
mod systems_manager;
mod topic;

use std::env;

use std::time::Duration;

use anyhow::{Context, bail};
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use tracing_subscriber::EnvFilter;

/// Time limit of a call: ten times that of the slowest one in a healthy region.
const ATTEMPT: Duration = Duration::from_secs(5);

/// One thread: a function has two processors only from 1.8 GB of memory on.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log();
    match run().await {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot start");
            Err(format!("{error:#}").into())
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let sdk = sdk().await;
    match required("_HANDLER", "the function's property Handler")?.as_str() {
        "detect" => detect::run(&sdk).await,
        "alert" => alert::run(&sdk).await,
        "score" => score::run(&sdk).await,
        other => bail!("unknown handler {other:?}: set the function's property Handler to detect, alert or score"),
    }
}

/// The SDK retries calls; the time limit keeps one that hangs from using up the function's time.
async fn sdk() -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build();
    let loader = aws_config::defaults(BehaviorVersion::latest());
    loader.timeout_config(timeouts).load().await
}

/// Logs lines of JSON, which CloudWatch Logs can query.
fn log() {
    let level = env::var("LOG_LEVEL").unwrap_or_default();
    let filter = EnvFilter::try_new(if level.is_empty() { "info" } else { &level });
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    // The service adds the time to every line.
    let format = tracing_subscriber::fmt().json().flatten_event(true).without_time();
    format.with_env_filter(filter).init();
}

/// A required environment variable; `why` says what it is.
fn required(name: &str, why: &str) -> anyhow::Result<String> {
    optional(name).with_context(|| format!("the environment variable {name} is not set: give {why}"))
}

/// An environment variable, if it is set and not empty.
fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Passes events to the handler, one after the other, until the service ends the process.
async fn serve<E, H>(handler: H) -> anyhow::Result<()>
where
    E: for<'de> serde::Deserialize<'de> + 'static,
    H: Invoke<E> + 'static,
{
    let handler = std::rc::Rc::new(tokio::sync::Mutex::new(handler));
    let service = lambda_runtime::service_fn(move |event: lambda_runtime::LambdaEvent<E>| {
        let handler = handler.clone();
        async move { handler.lock().await.invoke(event.payload).await }
    });
    lambda_runtime::run(service)
        .await
        .map_err(|error| anyhow::anyhow!("serving invocations: {error}"))
}

/// Handles events one after the other.
trait Invoke<E> {
    /// The answer to an event.
    type Answer: serde::Serialize;

    /// Handles an event.
    fn invoke(&mut self, event: E) -> impl Future<Output = Result<Self::Answer, lambda_runtime::Error>>;
}
