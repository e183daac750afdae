//! Which endpoint the SDK has chosen: by the region, kinesis.fips and kinesis.dual_stack, or AWS_ENDPOINT_URL.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_kinesis::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;

use super::Finding;
use crate::sink::kinesis::{no_such_endpoint, special_endpoint};

/// Notes where the last request goes, and whether anybody answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint(Arc<Mutex<Seen>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    /// Scheme and host; `None` where the SDK knew none.
    url: Option<String>,
    answered: bool,
}

impl Endpoint {
    pub fn finding(&self, sdk: &SdkConfig) -> Finding {
        let Seen { url, answered } = self.seen().clone();
        match (url, special_endpoint(sdk)) {
            (Some(url), None) => Finding::ok("endpoint", url),
            (Some(url), Some(special)) if answered => Finding::ok("endpoint", format!("{url} ({special})")),
            (Some(url), Some(special)) => {
                let text = format!("{url} does not answer: {}", no_such_endpoint(special, sdk));
                Finding::bad("endpoint", text)
            }
            (None, Some(special)) => Finding::bad("endpoint", no_such_endpoint(special, sdk)),
            (None, None) => Finding::bad(
                "endpoint",
                "none is known for this region: mend kinesis.region or AWS_REGION",
            ),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Endpoint {
    fn name(&self) -> &'static str {
        "Endpoint"
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri = context.request().uri();
        let host = uri.find("://").map_or(0, |at| at + 3);
        let path = uri[host..].find(['/', '?']).map_or(uri.len(), |at| host + at);
        self.seen().url = Some(uri[..path].to_owned());
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.seen().answered = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::config::interceptors::BeforeTransmitInterceptorContextMut;
    use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};

    use super::*;
    use crate::cli::doctor::Verdict;
    use crate::sink::kinesis::Target;

    #[derive(Debug)]
    struct Offline;

    impl Intercept for Offline {
        fn name(&self) -> &'static str {
            "Offline"
        }

        fn modify_before_transmit(
            &self,
            _: &mut BeforeTransmitInterceptorContextMut<'_>,
            _: &RuntimeComponents,
            _: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            Err("nothing leaves this test".into())
        }
    }

    async fn found(region: &str, fips: Option<bool>, dual_stack: Option<bool>) -> (Option<String>, Finding) {
        let target = Target {
            stream: "readings".to_owned(),
            region: Some(region.to_owned()),
            timeout: std::time::Duration::from_secs(1),
            fips,
            dual_stack,
            role: None,
        };
        let credentials = SharedCredentialsProvider::new(Credentials::new("id", "secret", None, None, "test"));
        let sdk = target
            .own_config()
            .await
            .into_builder()
            .credentials_provider(credentials)
            .build();
        let endpoint = Endpoint::default();
        let config = aws_sdk_kinesis::config::Builder::from(&sdk)
            .interceptor(endpoint.clone())
            .interceptor(Offline);
        let client = aws_sdk_kinesis::Client::from_conf(config.build());
        client
            .describe_stream_summary()
            .stream_name("readings")
            .send()
            .await
            .expect_err("nothing leaves this test");
        let url = endpoint.seen().url.clone();
        (url, endpoint.finding(&sdk))
    }

    #[tokio::test]
    async fn the_settings_choose_the_endpoint() {
        for (region, fips, dual_stack, expected) in [
            ("eu-central-1", None, None, "https://kinesis.eu-central-1.amazonaws.com"),
            (
                "us-east-1",
                Some(true),
                None,
                "https://kinesis-fips.us-east-1.amazonaws.com",
            ),
            ("eu-west-1", None, Some(true), "https://kinesis.eu-west-1.api.aws"),
            (
                "us-west-2",
                Some(true),
                Some(true),
                "https://kinesis-fips.us-west-2.api.aws",
            ),
            (
                "us-east-1",
                Some(false),
                Some(false),
                "https://kinesis.us-east-1.amazonaws.com",
            ),
        ] {
            assert_eq!(found(region, fips, dual_stack).await.0.as_deref(), Some(expected));
        }
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_named_with_the_remedy() {
        let (_, finding) = found("eu-central-1", Some(true), None).await;
        assert_eq!(finding.verdict, Verdict::Bad, "{finding}");
        let beginning = "https://kinesis-fips.eu-central-1.amazonaws.com does not answer: is there a FIPS endpoint";
        assert!(
            finding.text.starts_with(beginning) && finding.text.contains("kinesis.fips"),
            "{finding}"
        );
    }
}
