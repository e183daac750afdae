//! The head of a request: its route, its token, and its description of the body. Knows nothing of connections.

use hyper::header::{self, HeaderName};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use wire::json::Layout;

use super::answer::Answer;
use super::http_config::Limits;
use crate::secrets::tokens::Tokens;

/// The path to post readings to.
const READINGS: &str = "/readings";
/// The path for load balancers' health checks.
const HEALTH: &str = "/healthz";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_KEY_BYTES: usize = 255;

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Post readings.
    Readings,
    /// Ask whether readings are accepted.
    Health,
}

/// What a request's headers say about its body.
#[derive(Debug)]
pub struct RequestMetadata {
    /// The body is compressed with gzip.
    pub gzip: bool,
    /// The layout of the readings.
    pub layout: Layout,
    /// The Idempotency-Key.
    pub key: Option<String>,
}

/// Returns the route of a request, or an answer with the right path and method.
pub fn route(head: &Parts) -> Result<Route, Answer> {
    match (head.uri.path(), &head.method) {
        (READINGS, &Method::POST) => Ok(Route::Readings),
        (READINGS, _) => Err(wrong_method("POST")),
        (HEALTH, &Method::GET | &Method::HEAD) => Ok(Route::Health),
        (HEALTH, _) => Err(wrong_method("GET, HEAD")),
        (path, _) => {
            let text = format!("there is no {path}: post readings to {READINGS}");
            Err(Answer::new(StatusCode::NOT_FOUND, text))
        }
    }
}

/// Refuses headers larger than the limit.
pub fn check_headers(head: &Parts, limits: &Limits) -> Result<(), Answer> {
    // Each header has a name, a value, a colon, a space and a line end.
    let lines = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    let bytes = lines.sum::<usize>() + head.uri.path().len();
    if bytes <= limits.headers {
        return Ok(());
    }
    let text = format!(
        "the headers have {bytes} bytes, and max_headers is {}: send fewer or shorter ones",
        limits.headers
    );
    Err(Answer::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text).closing())
}

/// Admits clients with a token, if tokens are configured.
pub fn check_token(headers: &HeaderMap, tokens: Option<&Tokens>) -> Result<(), Answer> {
    let Some(tokens) = tokens else { return Ok(()) };
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    if tokens.admit(authorization) {
        return Ok(());
    }
    let text = match authorization {
        None => "a token is required: send Authorization: Bearer TOKEN",
        Some(_) => "wrong token: send Authorization: Bearer TOKEN with a token of token_file",
    };
    let answer = Answer::new(StatusCode::UNAUTHORIZED, text);
    Err(answer.with(header::WWW_AUTHENTICATE, "Bearer realm=\"temp-ingest\""))
}

/// Returns what the headers say about the body.
pub fn told(headers: &HeaderMap) -> Result<RequestMetadata, Answer> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let gzip = match text(header::CONTENT_ENCODING).as_deref() {
        None | Some("identity") => false,
        Some(name) if name.eq_ignore_ascii_case("gzip") => true,
        Some(other) => {
            let text = format!("Content-Encoding {other:?} is not supported: send gzip, or none");
            return Err(unsupported(text).with(header::ACCEPT_ENCODING, "gzip, identity"));
        }
    };
    let kind = text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let layout = match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" => Layout::Document,
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/json-lines"
        | "application/jsonlines" => Layout::Lines,
        // What clients send unless told otherwise, such as curl's --data.
        "" | "text/plain" | "application/octet-stream" | "application/x-www-form-urlencoded" => Layout::Any,
        other => {
            let text = format!(
                "Content-Type {other:?} is not supported: send application/json for one reading or an array, \
                 application/x-ndjson for a reading a line"
            );
            return Err(unsupported(text).with(header::ACCEPT, "application/json, application/x-ndjson"));
        }
    };
    let key = match headers.get(IDEMPOTENCY_KEY) {
        None => None,
        Some(value) => match value.to_str() {
            Ok(key) if (1..=MAX_KEY_BYTES).contains(&key.len()) => Some(key.to_owned()),
            _ => {
                let text = format!(
                    "Idempotency-Key has {} bytes or is not visible ASCII: send 1 to {MAX_KEY_BYTES}, such as a UUID",
                    value.len()
                );
                return Err(Answer::new(StatusCode::BAD_REQUEST, text));
            }
        },
    };
    Ok(RequestMetadata { gzip, layout, key })
}

fn wrong_method(allowed: &'static str) -> Answer {
    let text = format!("wrong method: use {allowed}");
    Answer::new(StatusCode::METHOD_NOT_ALLOWED, text).with(header::ALLOW, allowed)
}

fn unsupported(text: String) -> Answer {
    Answer::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
}
