//! `GetParameter` of Systems Manager. Its SDK crate has 150 operations and takes a fifth of a build; this is one of
//! them, over the SDK's own client and signer.
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>

use std::env;
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::retry::RetryConfig;
use serde::Deserialize;
use serde_json::json;

/// Reads parameters with the region, credentials and timeouts of an [`SdkConfig`].
#[derive(Debug)]
pub struct SystemsManager {
    sdk: SdkConfig,
    call: Operation<HttpRequest, String, Refused>,
}

/// The error of a refused request.
#[derive(Debug, Default, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
#[serde(default)]
struct Refused {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message")]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: String,
}

impl SystemsManager {
    /// A client in the region of `sdk`.
    pub fn new(sdk: &SdkConfig) -> Self {
        let mut call = Operation::builder()
            .service_name("ssm")
            .operation_name("GetParameter")
            .endpoint_url(&endpoint(sdk))
            .no_auth()
            .standard_retry(&RetryConfig::standard())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<Refused>::new())
            .serializer(Ok)
            .deserializer(value);
        if let Some(client) = sdk.http_client() {
            call = call.http_client(client);
        }
        if let Some(timeouts) = sdk.timeout_config() {
            call = call.timeout_config(timeouts.clone());
        }
        Self {
            sdk: sdk.clone(),
            call: call.build(),
        }
    }

    /// The value of a parameter, decrypted if it is a `SecureString`.
    pub async fn get_parameter(&self, name: &str) -> anyhow::Result<String> {
        let request = self.request(name).await?;
        let answer = self.call.invoke(request).await;
        answer.map_err(|error| match error.as_service_error() {
            Some(refused) => anyhow!("{refused}"),
            None => anyhow!("{}", DisplayErrorContext(&error)),
        })
    }

    /// The request, signed by Signature Version 4. The signature covers the host, so it is made here and not by the
    /// call, which only sends.
    async fn request(&self, name: &str) -> anyhow::Result<HttpRequest> {
        let credentials = self
            .sdk
            .credentials_provider()
            .context("there are no AWS credentials")?;
        let identity = credentials.provide_credentials().await?.into();
        let region = self.sdk.region().map_or("", Region::as_ref);
        let body = json!({"Name": name, "WithDecryption": true}).to_string();
        let url = endpoint(&self.sdk);
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "AmazonSSM.GetParameter"),
        ];
        let mut request = http::Request::post(&url);
        for (header, value) in headers {
            request = request.header(header, value);
        }
        let mut request = request.body(SdkBody::from(body.as_str()))?;
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("ssm")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        signature.apply_to_request_http1x(&mut request);
        Ok(HttpRequest::try_from(request)?)
    }
}

/// The endpoint: from the environment, as for every SDK client, or the region's own.
/// <https://docs.aws.amazon.com/general/latest/gr/ssm.html>
fn endpoint(sdk: &SdkConfig) -> String {
    let set = env::var("AWS_ENDPOINT_URL_SSM").ok().filter(|url| !url.is_empty());
    if let Some(url) = set.or_else(|| sdk.endpoint_url().map(str::to_owned)) {
        return format!("{}/", url.trim_end_matches('/'));
    }
    let region = sdk.region().map_or("", Region::as_ref);
    let service = if sdk.use_fips() == Some(true) {
        "ssm-fips"
    } else {
        "ssm"
    };
    let suffix = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://{service}.{region}.{suffix}/")
}

fn value(response: &HttpResponse) -> Result<String, OrchestratorError<Refused>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        let answer: Result<Answer, _> = serde_json::from_slice(body);
        return match answer {
            Ok(answer) => Ok(answer.parameter.value),
            Err(error) => Err(OrchestratorError::other(format!(
                "the answer is not a parameter: {error}"
            ))),
        };
    }
    let refused = serde_json::from_slice(body).unwrap_or_else(|_| Refused {
        code: format!("HTTP {}", response.status().as_u16()),
        message: String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned(),
    });
    Err(OrchestratorError::operation(refused))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use aws_smithy_runtime_api::http::StatusCode;

    use super::*;

    fn sdk(region: &str, fips: bool) -> SdkConfig {
        let region = Region::new(region.to_owned());
        SdkConfig::builder().region(region).use_fips(fips).build()
    }

    fn answer(status: u16, body: &'static str) -> HttpResponse {
        HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))
    }

    #[test]
    fn the_endpoint_is_the_regions_unless_another_is_set() {
        assert_eq!(
            endpoint(&sdk("eu-west-1", false)),
            "https://ssm.eu-west-1.amazonaws.com/"
        );
        assert_eq!(
            endpoint(&sdk("us-east-1", true)),
            "https://ssm-fips.us-east-1.amazonaws.com/"
        );
        assert_eq!(
            endpoint(&sdk("cn-north-1", false)),
            "https://ssm.cn-north-1.amazonaws.com.cn/"
        );
        let local = sdk("eu-west-1", false)
            .into_builder()
            .endpoint_url("http://127.0.0.1:4566");
        assert_eq!(endpoint(&local.build()), "http://127.0.0.1:4566/");
    }

    #[test]
    fn an_answer_is_the_value_or_says_why_there_is_none() {
        let found = answer(
            200,
            r#"{"Parameter":{"Name":"settings","Type":"String","Value":"[detect]\n"}}"#,
        );
        assert_eq!(value(&found).unwrap(), "[detect]\n");
        for (status, body, reason) in [
            (
                400,
                r#"{"__type":"ParameterNotFound","message":"no such"}"#,
                "ParameterNotFound: no such",
            ),
            (
                403,
                r#"{"__type":"AccessDeniedException","Message":"not you"}"#,
                "AccessDeniedException: not you",
            ),
            (502, "<html>", "HTTP 502: <html>"),
        ] {
            let error = value(&answer(status, body)).unwrap_err();
            assert_eq!(error.as_operation_error().unwrap().to_string(), reason);
        }
        let error = value(&answer(200, "{}")).unwrap_err();
        assert!(error.as_operation_error().is_none());
    }
}
