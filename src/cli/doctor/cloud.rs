//! What a Kinesis sink needs: credentials, a region, the stream, the permission to put, a clock that is right.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, RecordDistributionStrategy, StreamDescriptionSummary, StreamStatus,
};
use aws_sdk_sts::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_sts::config::{ConfigBag, Intercept, ProvideCredentials, RuntimeComponents};
use aws_sdk_sts::error::BoxError;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use values::duration::friendly;

use super::endpoint::Endpoint;
use super::{Finding, Report};
use crate::config::{Aggregation, Settings};
use crate::sink::kinesis::{Role, Target, ToStream, cause, causes, ignores_keys};

/// A signature is refused from five minutes on; this leaves time to act.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
const SKEW: Duration = Duration::from_secs(4 * 60);

/// One above the largest hash key. Kinesis refuses it after it has found that the caller may put.
const NO_HASH_KEY: &str = "340282366920938463463374607431768211456";

/// Looks at everything a Kinesis sink needs, as far as what came before allows.
pub(super) async fn examine<Tell: FnMut(&Finding)>(settings: &Settings, report: &mut Report<Tell>) {
    let target = settings.kinesis.target();
    let sdk = target.own_config().await;
    let Some(region) = sdk.region() else {
        let text = "none is set; set kinesis.region, AWS_REGION, or name the stream by its ARN";
        report.add(Finding::bad("region", text));
        return;
    };
    report.add(Finding::ok("region", region.to_string()));
    if let Err(finding) = credentials(&sdk).await {
        report.add(finding);
        return;
    }
    let clock = Clock::default();
    report.add(caller("credentials", &sdk, &clock).await);
    let sdk = target.sdk_config().await;
    if let Some(role) = &target.role {
        if let Err(finding) = assumed(role, &sdk).await {
            report.add(finding);
            return;
        }
        report.add(caller("role", &sdk, &clock).await);
    }
    let endpoint = Endpoint::default();
    let client = aws_sdk_kinesis::Client::from_conf(
        aws_sdk_kinesis::config::Builder::from(&sdk)
            .interceptor(clock.clone())
            .interceptor(endpoint.clone())
            .build(),
    );
    let findings = stream(&client, &target, settings).await;
    report.add(endpoint.finding(&sdk));
    for finding in findings {
        report.add(finding);
    }
    report.add(permission(&client, &target).await);
    report.add(clock.finding());
}

async fn credentials(sdk: &SdkConfig) -> Result<(), Finding> {
    let remedy =
        "run `aws configure` or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; on an instance, give it a role";
    let Some(provider) = sdk.credentials_provider() else {
        return Err(Finding::bad("credentials", format!("none are configured; {remedy}")));
    };
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(error) => Err(Finding::bad("credentials", format!("{}; {remedy}", causes(&error)))),
    }
}

/// Whether the role can be assumed.
async fn assumed(role: &Role, sdk: &SdkConfig) -> Result<(), Finding> {
    let provider = sdk.credentials_provider().expect("it was set to that of the role");
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(error) => Err(Finding::bad(
            "role",
            format!(
                "{} cannot be assumed: {}; allow sts:AssumeRole on it to the credentials above, and have its trust \
                 policy name them (with kinesis.external_id, where it asks for one)",
                role.arn,
                causes(&error)
            ),
        )),
    }
}

async fn caller(subject: &'static str, sdk: &SdkConfig, clock: &Clock) -> Finding {
    let client = aws_sdk_sts::Client::from_conf(
        aws_sdk_sts::config::Builder::from(sdk)
            .interceptor(clock.clone())
            .build(),
    );
    match client.get_caller_identity().send().await {
        Ok(caller) => Finding::ok(subject, caller.arn().unwrap_or("an unnamed caller")),
        Err(error) => match error.code() {
            Some(_) => Finding::bad(subject, format!("STS refuses them: {}", cause(&error))),
            // The stream may be reachable where STS is not, as behind a VPC endpoint.
            None => Finding::warning(
                subject,
                format!("found, but STS cannot be asked whose: {}", cause(&error)),
            ),
        },
    }
}

async fn stream(client: &aws_sdk_kinesis::Client, target: &Target, settings: &Settings) -> Vec<Finding> {
    match client.describe_stream_summary().to(target).send().await {
        Ok(answer) => match answer.stream_description_summary() {
            Some(summary) => described(summary, settings),
            None => vec![Finding::warning(
                "stream",
                "the answer to DescribeStreamSummary is empty",
            )],
        },
        Err(error) => vec![match error.code() {
            Some("ResourceNotFoundException") => Finding::bad(
                "stream",
                format!(
                    "{} does not exist in this account and region; create it, or mend kinesis.stream or the region",
                    target.stream
                ),
            ),
            Some(code) if code.starts_with("AccessDenied") => Finding::warning(
                "stream",
                "may not be described, so neither its shards nor its record distribution strategy are known; \
                 allow kinesis:DescribeStreamSummary",
            ),
            Some(_) => Finding::bad("stream", format!("describing {}: {}", target.stream, cause(&error))),
            None => Finding::bad(
                "stream",
                format!(
                    "reaching Kinesis: {}; mend the network, or AWS_ENDPOINT_URL",
                    cause(&error)
                ),
            ),
        }],
    }
}

fn described(summary: &StreamDescriptionSummary, settings: &Settings) -> Vec<Finding> {
    let (name, shards) = (summary.stream_name(), summary.open_shard_count());
    let mut findings = vec![match summary.stream_status() {
        StreamStatus::Active | StreamStatus::Updating => {
            Finding::ok("stream", format!("{name} has {shards} open shards"))
        }
        status => Finding::warning(
            "stream",
            format!("{name} is {status}: the daemon waits until it is ACTIVE"),
        ),
    }];
    if summary.record_distribution_strategy() == Some(&RecordDistributionStrategy::Auto) {
        findings.push(Finding::bad("strategy", ignores_keys(name)));
    }
    let lanes = settings.lanes.get();
    if settings.aggregation == Aggregation::Kpl && i64::from(shards) > i64::from(lanes) {
        findings.push(Finding::warning(
            "lanes",
            format!(
                "{lanes} lanes cannot use {shards} shards; set lanes = {}",
                u32::try_from(shards).unwrap_or(lanes).next_power_of_two()
            ),
        ));
    }
    findings
}

/// Whether the caller may put, found without putting: the only record has a hash key out of range, which Kinesis refuses
/// with InvalidArgumentException to those who may put, and with AccessDeniedException to those who may not.
async fn permission(client: &aws_sdk_kinesis::Client, target: &Target) -> Finding {
    let record = PutRecordsRequestEntry::builder()
        .partition_key("doctor")
        .explicit_hash_key(NO_HASH_KEY)
        .data(Blob::new([]));
    let request = client
        .put_records()
        .records(record.build().expect("a record has a key and data"));
    match request.to(target).send().await {
        Ok(_) => Finding::warning(
            "permission",
            "may put, and the endpoint took an empty record that Kinesis refuses: it is not Kinesis itself",
        ),
        Err(error) => match error.code() {
            Some("InvalidArgumentException" | "ValidationException") => Finding::ok("permission", "may put records"),
            Some(code) if code.starts_with("AccessDenied") => Finding::bad(
                "permission",
                format!("may not put; allow kinesis:PutRecords: {}", cause(&error)),
            ),
            _ => Finding::bad("permission", format!("trying to put: {}", cause(&error))),
        },
    }
}

/// How far the local clock is from that of the service that answered last.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<Mutex<Option<Skew>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skew {
    Ahead(Duration),
    Behind(Duration),
}

impl Skew {
    /// Between the local time and the `Date` of an answer; `None` where that is no date.
    fn between(local: SystemTime, date: &str) -> Option<Self> {
        let remote: Timestamp = DateTimeParser::new().parse_timestamp(date).ok()?;
        let remote = SystemTime::from(remote);
        Some(match local.duration_since(remote) {
            Ok(ahead) => Self::Ahead(ahead),
            Err(error) => Self::Behind(error.duration()),
        })
    }

    fn finding(self) -> Finding {
        let (by, direction) = match self {
            Self::Ahead(by) => (by, "ahead of"),
            Self::Behind(by) => (by, "behind"),
        };
        let seconds = friendly(Duration::from_secs(by.as_secs()));
        match by {
            // A date has whole seconds, and an answer takes a while.
            _ if by < Duration::from_secs(2) => Finding::ok("clock", "agrees with AWS"),
            _ if by < SKEW => Finding::ok("clock", format!("{seconds} {direction} AWS")),
            _ => Finding::warning(
                "clock",
                format!(
                    "{seconds} {direction} AWS, which refuses signatures from 5m on; start chrony or systemd-timesyncd"
                ),
            ),
        }
    }
}

impl Clock {
    fn finding(&self) -> Finding {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(skew) => skew.finding(),
            None => Finding::warning("clock", "cannot be compared: no answer had a date"),
        }
    }
}

impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "Clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(skew) = context
            .response()
            .headers()
            .get("date")
            .and_then(|date| Skew::between(SystemTime::now(), date))
        {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(skew);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn a_clock_over_four_minutes_off_is_a_warning() {
        // RFC 9110's own example of a date.
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let then = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for (local, skew, verdict) in [
            (then, Skew::Ahead(Duration::ZERO), Verdict::Ok),
            (then + minutes(3), Skew::Ahead(minutes(3)), Verdict::Ok),
            (then + minutes(4), Skew::Ahead(minutes(4)), Verdict::Warning),
            (then - minutes(6), Skew::Behind(minutes(6)), Verdict::Warning),
        ] {
            assert_eq!(Skew::between(local, date), Some(skew));
            assert_eq!(skew.finding().verdict, verdict, "{}", skew.finding());
        }
        assert_eq!(Skew::between(then, "yesterday"), None);
    }
}
