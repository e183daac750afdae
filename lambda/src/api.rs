//! Events of API Gateway, for a REST API with proxy integration (payload format 1.0), and the answers to them:
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The fields of a request that are used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(default)]
    query_string_parameters: Option<Query>,
    #[serde(default)]
    request_context: Context,
}

#[derive(Debug, Deserialize)]
struct Query {
    model: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(default)]
    request_id: String,
}

impl Request {
    /// The body's bytes. A body that claims to be base64 but is not stays as it is.
    pub fn body(&self) -> Vec<u8> {
        let body = self.body.as_deref().unwrap_or_default().as_bytes();
        match self.is_base64_encoded {
            true => STANDARD.decode(body).unwrap_or_else(|_| body.to_vec()),
            false => body.to_vec(),
        }
    }

    /// The model that the address names: `/score?model=NAME`.
    pub fn model(&self) -> Option<&str> {
        let model = self.query_string_parameters.as_ref()?.model.as_deref();
        model.filter(|model| !model.is_empty())
    }

    /// The id by which it is found in the log.
    pub fn id(&self) -> &str {
        &self.request_context.request_id
    }
}

/// An answer, its body JSON.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    status_code: u16,
    headers: Headers,
    body: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Headers {
    #[serde(rename = "Content-Type")]
    content_type: &'static str,
    #[serde(rename = "Cache-Control")]
    cache_control: &'static str,
}

impl Answer {
    /// With this status and body.
    pub fn new(status_code: u16, body: &impl Serialize) -> Self {
        Self {
            status_code,
            headers: Headers {
                content_type: "application/json",
                cache_control: "no-store",
            },
            body: serde_json::to_string(body).expect("answers have no keys but texts"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_documented_request_is_read() {
        let request: Request = serde_json::from_str(
            r#"{"resource":"/score","path":"/score","httpMethod":"POST","headers":{"Accept":"*/*"},
            "multiValueHeaders":{"Accept":["*/*"]},"queryStringParameters":{"model":"app","other":"x"},
            "multiValueQueryStringParameters":{"model":["app"]},"pathParameters":null,"stageVariables":null,
            "requestContext":{"accountId":"123456789012","requestId":"c6af9ac6-7b61","identity":{"apiKey":null}},
            "body":"e30=","isBase64Encoded":true}"#,
        )
        .unwrap();
        assert_eq!((request.model(), request.id()), (Some("app"), "c6af9ac6-7b61"));
        assert_eq!(request.body(), b"{}");
        let bare: Request = serde_json::from_str(r#"{"body":null,"queryStringParameters":null}"#).unwrap();
        assert_eq!((bare.model(), bare.id(), bare.body().len()), (None, "", 0));
    }

    #[test]
    fn an_answer_has_the_documented_form() {
        let answer = serde_json::to_value(Answer::new(200, &[1])).unwrap();
        assert_eq!(
            (
                &answer["statusCode"],
                &answer["body"],
                &answer["headers"]["Content-Type"]
            ),
            (&200.into(), &"[1]".into(), &"application/json".into())
        );
    }
}
