//! Behind a REST API: scores a series or a vector. It reads partitions and writes nothing.

use anyhow::{Context, bail};
use aws_config::SdkConfig;
use processor::dynamodb::TablePartitions;
use processor::score::{Scorer, Unscored};
use serde_json::json;
use tracing::{error, info};
use wire::lane::MAX_LANES;

use crate::api::{Answer, Request};
use crate::{Invoke, optional, parameter, required, serve};

/// Default of LANES, the daemon's own.
const LANES: u32 = 16;

struct Score {
    scorer: Scorer<TablePartitions>,
}

/// Serves invocations.
pub async fn run(sdk: &SdkConfig) -> anyhow::Result<()> {
    let partitions = required("PARTITIONS_TABLE", "the name of the table of partitions")?;
    let settings = optional("SETTINGS").unwrap_or_default();
    let settings = parameter::parse(&settings).context("the environment variable SETTINGS is not a [detect] table")?;
    let partitions = TablePartitions::new(aws_sdk_dynamodb::Client::new(sdk), partitions);
    let scorer = Scorer::new(partitions, settings, lanes()?, optional("DEFAULT_MODEL"));
    serve(Score { scorer }).await
}

fn lanes() -> anyhow::Result<u32> {
    let Some(text) = optional("LANES") else {
        return Ok(LANES);
    };
    match text.parse() {
        Ok(lanes @ 1..=MAX_LANES) if u32::is_power_of_two(lanes) => Ok(lanes),
        _ => bail!("the environment variable LANES is {text:?}: give the daemon's `lanes`, a power of two"),
    }
}

impl Invoke<Request> for Score {
    type Answer = Answer;

    /// Never an error: API Gateway would replace it with a generic body.
    async fn invoke(&mut self, request: Request) -> Result<Answer, lambda_runtime::Error> {
        Ok(match self.scorer.score(&request.body(), request.model()).await {
            Ok(scored) => Answer::new(200, &scored),
            Err(Unscored::Refused(refusal)) => {
                info!(request = request.id(), %refusal, "refused");
                Answer::new(refusal.error.status(), &refusal)
            }
            Err(Unscored::Store(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                error!(request = request.id(), %error, cause, "cannot answer");
                Answer::new(500, &internal(request.id()))
            }
        })
    }
}

/// The answer to an internal error: how to find it in the log, without its details.
fn internal(id: &str) -> serde_json::Value {
    json!({
        "error": "internal",
        "detail": "the request is valid, but could not be answered",
        "remedy": "try again; the function's log has the reason under this request_id",
        "request_id": id,
    })
}
