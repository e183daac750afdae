//! Metrics in the log: CloudWatch extracts them from lines in the embedded metric format,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use std::env;
use std::io::{self, Write};

use processor::dynamodb::clock;
use serde_json::{Map, Value, json};

/// The namespace in CloudWatch.
const NAMESPACE: &str = "TempIngest";

/// The unit of a metric.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Count,
    Microseconds,
}

/// Writes the metrics of one invocation.
#[derive(Debug)]
pub struct Metrics {
    function: String,
}

impl Metrics {
    /// Metrics of this function, by its name.
    pub fn new() -> Self {
        Self {
            function: env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default(),
        }
    }

    /// Writes one line.
    pub fn put(&self, metrics: &[(&str, Unit, u64)]) {
        let line = self.line(metrics, clock::now().as_micros() / 1_000);
        if let Err(error) = writeln!(io::stdout().lock(), "{line}") {
            tracing::warn!(%error, "cannot write metrics");
        }
    }

    fn line(&self, metrics: &[(&str, Unit, u64)], now_ms: i64) -> Value {
        let names: Vec<Value> = metrics
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": format!("{unit:?}")}))
            .collect();
        let definition = json!({"Namespace": NAMESPACE, "Dimensions": [["function"]], "Metrics": names});
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({"Timestamp": now_ms, "CloudWatchMetrics": [definition]}),
        );
        line.insert("function".to_owned(), self.function.as_str().into());
        line.extend(
            metrics
                .iter()
                .map(|(name, _, value)| ((*name).to_owned(), (*value).into())),
        );
        line.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_defines_and_gives_every_metric() {
        let metrics = Metrics {
            function: "f".to_owned(),
        };
        let line = metrics.line(&[("Readings", Unit::Count, 7), ("FoldTime", Unit::Microseconds, 9)], 1);
        let definition = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(definition["Dimensions"][0][0], "function");
        assert_eq!(
            definition["Metrics"][1],
            json!({"Name": "FoldTime", "Unit": "Microseconds"})
        );
        assert_eq!(
            (&line["function"], &line["Readings"], &line["FoldTime"]),
            (&json!("f"), &json!(7), &json!(9))
        );
    }
}
