//! The metadata service of an instance, version 2: a token first, and credentials of the instance's role with it.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>

use hyper::{HeaderMap, Method, StatusCode};
use serde_json::json;

use crate::command::Metadata;
use crate::state::State;

/// Everything below it is the metadata service.
pub(crate) const PATH: &str = "/latest/";
const ROLE: &str = "temp-ingest";
const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";
const TOKEN: &str = "token";

pub(crate) fn answer(state: &mut State, method: &Method, path: &str, headers: &HeaderMap) -> (StatusCode, String) {
    let asked = &mut state.ledger.counters.metadata;
    let asks_token = method == Method::PUT && path == "/latest/api/token";
    if asks_token {
        asked.tokens += 1;
    } else if headers.contains_key("x-aws-ec2-metadata-token") {
        asked.with_token += 1;
    } else {
        asked.without_token += 1;
    }
    match (state.metadata, path) {
        (Metadata::Down, _) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        (Metadata::WithoutToken, _) if asks_token => (StatusCode::FORBIDDEN, String::new()),
        _ if asks_token => (StatusCode::OK, TOKEN.to_owned()),
        (_, CREDENTIALS) => (StatusCode::OK, ROLE.to_owned()),
        (_, path) if path.strip_prefix(CREDENTIALS) == Some(ROLE) => {
            let (key, expiration) = state.new_session("ASIAINSTANCE");
            let credentials = json!({
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": key,
                "SecretAccessKey": "secret",
                "Token": "session",
                "Expiration": expiration,
            });
            (StatusCode::OK, credentials.to_string())
        }
        _ => (StatusCode::NOT_FOUND, String::new()),
    }
}
