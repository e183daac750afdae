//! The head of a request: what it asks for, who asks, and what it says of its body. Knows nothing of connections.

use hyper::header::{self, HeaderName};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use wire::json::Layout;

use super::answer::Answer;
use super::http_config::Limits;
use crate::secrets::tokens::Tokens;

/// Where readings are posted.
const READINGS: &str = "/readings";
/// Where load balancers ask.
const HEALTH: &str = "/healthz";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_KEY_BYTES: usize = 255;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To take readings.
    Readings,
    /// Whether readings are taken.
    Health,
}

/// What a request says of its body.
#[derive(Debug)]
pub struct RequestMetadata {
    /// It is packed.
    pub gzip: bool,
    /// How it holds its readings.
    pub layout: Layout,
    /// The request's Idempotency-Key.
    pub key: Option<String>,
}

/// What a request asks for; or where and how to ask.
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

/// Refuses more bytes of headers than there may be.
pub fn check_headers(head: &Parts, limits: &Limits) -> Result<(), Answer> {
    // A name, a value, a colon, a space and a line end.
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

/// Lets in who knows a token, where there are any.
pub fn check_token(headers: &HeaderMap, tokens: Option<&Tokens>) -> Result<(), Answer> {
    let Some(tokens) = tokens else { return Ok(()) };
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    if tokens.admit(authorization) {
        return Ok(());
    }
    let text = match authorization {
        None => "a token is needed: send Authorization: Bearer TOKEN",
        Some(_) => "the token is not known here: send Authorization: Bearer TOKEN with one of token_file",
    };
    let answer = Answer::new(StatusCode::UNAUTHORIZED, text);
    Err(answer.with(header::WWW_AUTHENTICATE, "Bearer realm=\"temp-ingest\""))
}

/// What a request says of its body.
pub fn told(headers: &HeaderMap) -> Result<RequestMetadata, Answer> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let gzip = match text(header::CONTENT_ENCODING).as_deref() {
        None | Some("identity") => false,
        Some(name) if name.eq_ignore_ascii_case("gzip") => true,
        Some(other) => {
            let text = format!("Content-Encoding {other:?} is not known here: send gzip, or none");
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
        // What is sent where nobody says anything: curl's --data among others.
        "" | "text/plain" | "application/octet-stream" | "application/x-www-form-urlencoded" => Layout::Any,
        other => {
            let text = format!(
                "Content-Type {other:?} is not known here: send application/json for one reading or an array, \
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
                    "Idempotency-Key has {} bytes or is no visible ASCII: send 1 to {MAX_KEY_BYTES}, such as a UUID",
                    value.len()
                );
                return Err(Answer::new(StatusCode::BAD_REQUEST, text));
            }
        },
    };
    Ok(RequestMetadata { gzip, layout, key })
}

fn wrong_method(allowed: &'static str) -> Answer {
    let text = format!("this is asked with {allowed}");
    Answer::new(StatusCode::METHOD_NOT_ALLOWED, text).with(header::ALLOW, allowed)
}

fn unsupported(text: String) -> Answer {
    Answer::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
}
