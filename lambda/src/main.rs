//! The functions' program, on the runtime `provided.al2023`: `detect` behind the stream, `alert` behind the partitions' table,
//! `score` behind a REST API. The function's property `Handler` says which one it is.

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

/// Ten times what the slowest of these calls takes in a healthy region.
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
        other => bail!("no handler is called {other:?}: set the function's property Handler to detect, alert or score"),
    }
}

/// The SDK tries a call again by itself, and does not wait for one that hangs until the function's time is up.
async fn sdk() -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build();
    let loader = aws_config::defaults(BehaviorVersion::latest());
    loader.timeout_config(timeouts).load().await
}

/// Lines of JSON, which CloudWatch Logs takes apart.
fn log() {
    let level = env::var("LOG_LEVEL").unwrap_or_default();
    let filter = EnvFilter::try_new(if level.is_empty() { "info" } else { &level });
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    // The service adds the time to every line.
    let format = tracing_subscriber::fmt().json().flatten_event(true).without_time();
    format.with_env_filter(filter).init();
}

/// An environment variable that must be there; `why` says what it is.
fn required(name: &str, why: &str) -> anyhow::Result<String> {
    optional(name).with_context(|| format!("the environment variable {name} is not set: give {why}"))
}

/// An environment variable, where it is set and not empty.
fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Calls the handler with one event after the other, until the service ends the process.
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

/// Answers one event after the other.
trait Invoke<E> {
    /// What is given back.
    type Answer: serde::Serialize;

    /// The answer, or why there is none.
    fn invoke(&mut self, event: E) -> impl Future<Output = Result<Self::Answer, lambda_runtime::Error>>;
}
