//! The answer to a client.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// A status, a text and headers.
#[derive(Debug)]
pub struct Answer {
    /// 2xx only if every reading of the request is safe.
    pub status: StatusCode,
    text: String,
    json: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// Creates an answer with `text` for people, which gets a line end.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into() + "\n",
            json: false,
            headers: Vec::new(),
        }
    }

    /// All readings of the request are safe.
    pub fn safe(readings: usize) -> Self {
        Self {
            json: true,
            ..Self::new(StatusCode::OK, format!("{{\"readings\":{readings}}}"))
        }
    }

    /// True if it says that readings are safe.
    pub fn is_safe(&self) -> bool {
        self.json
    }

    /// Adds a header.
    pub fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Asks the client to retry after this time.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.headers.push((header::RETRY_AFTER, wait.as_secs().max(1).into()));
        self
    }

    /// Closes the connection after this answer.
    pub fn closing(self) -> Self {
        match self.headers.iter().any(|(name, _)| *name == header::CONNECTION) {
            true => self,
            false => self.with(header::CONNECTION, "close"),
        }
    }

    /// Converts it to the HTTP response.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.text)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let kind = match self.json {
            true => "application/json",
            false => "text/plain; charset=utf-8",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.extend(self.headers);
        response
    }

    /// Returns the text without the line end.
    pub fn text(&self) -> &str {
        self.text.trim_end()
    }
}
